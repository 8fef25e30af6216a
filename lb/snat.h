/*
 * Full NAT's source addresses and their ports. One address has all its ports once for each (server, 500 or
 * 4500), since that is what tells replies apart.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"

#define SNAT_NONE UINT16_MAX
#define SNAT_MAX  512 /* addresses */

struct snat;

/*
 * For that many servers (lb/pool.h). `seed` is random: it says where the ports begin, so that a new start of
 * the daemon does not begin with the ports that it used last. NULL without memory.
 */
struct snat *snat_create(uint32_t server_count, uint32_t seed);
void snat_destroy(struct snat *snat);

/* Index of the address, added if it is new; SNAT_NONE when there are SNAT_MAX or no memory. */
uint16_t snat_add(struct snat *snat, const struct addr *addr);

/* Index of the address, or SNAT_NONE. */
uint16_t snat_find(const struct snat *snat, const struct addr *addr);

const struct addr *snat_addr(const struct snat *snat, uint16_t source);
uint16_t snat_count(const struct snat *snat);

/* 0 and a source port for packets from `source` to server:port; ERR_FULL when all are in use, or -ENOMEM. */
int snat_take(struct snat *snat, uint16_t source, uint16_t server, uint16_t port, uint16_t *source_port);

/* Takes that very port: 0, or as ports_claim(), or -ENOMEM. */
int snat_claim(struct snat *snat, uint16_t source, uint16_t server, uint16_t port, uint16_t source_port);

/* Gives it back. */
void snat_release(struct snat *snat, uint16_t source, uint16_t server, uint16_t port, uint16_t source_port);
