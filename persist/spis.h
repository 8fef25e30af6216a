/*
 * Which flow an ESP SPI of a client was seen on, so that a tunnel is found again when a NAT on the way has
 * changed the client's port. A table of fixed size with one cache line a set; the oldest of a set gives way.
 * It only proposes, and tells keys apart by a hash: the caller checks that the flow is still there, and still
 * has that address and SPI.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"

/* The most that can be proposed for one SPI. */
#define SPIS_PROPOSALS_MAX 8

struct spi_key {
    struct addr client;
    uint32_t spi; /* of what the client sends */
    uint16_t service;
};

struct spis;

/*
 * For so many flows, two SPIs each and more: 16 to 32 bytes a flow. `seed` is random, so that nobody outside
 * can choose keys that fall into one set. NULL without memory.
 */
struct spis *spis_create(uint32_t flow_capacity, uint64_t seed);
void spis_destroy(struct spis *spis);

/*
 * The SPI was seen on that flow (lb/flows.h; persist/ knows it by its number only), which is now the latest
 * of the key; those that it was seen on before are kept.
 */
void spis_note(struct spis *spis, const struct spi_key *key, uint32_t flow);

/* The flows that it was noted on, each once, the latest first; returns their number. */
uint32_t spis_find(const struct spis *spis, const struct spi_key *key,
                   uint32_t out[static SPIS_PROPOSALS_MAX]);
