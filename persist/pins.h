/*
 * The persistence map: which backend a client address belongs to. Both ports of a client follow its pin.
 *
 * A pin is unconfirmed until the backend has proved that the client really is at its address; unconfirmed
 * pins have a bounded share of the table, live for seconds, and never take the place of a confirmed one.
 * Entries are named by index, so that flows can refer to them in four bytes. No clock and no I/O: time is an
 * argument.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slots.h"
#include "persist/stage.h"

#define PIN_NONE SLOT_NONE

enum pin_flag {
    PIN_CONFIRMED = 1 << 0,
    PIN_CLIENT_FRAGMENTATION = 1 << 1, /* the client announced IKEV2_FRAGMENTATION_SUPPORTED */
    PIN_LEFT = 1 << 2,     /* its sessions have gone on to another address: it lives for seconds */
    PIN_RECEIVES = 1 << 3, /* the client has sent the SPI of a backend's answer: it is at its address */
};

/* Whose pin it is. */
struct pin_key {
    struct addr client;
    uint16_t service;
    uint16_t part; /* 0; where one address has several pins (persistence.spread_nat): which of them it is */
};

struct pin {
    struct addr client;
    uint16_t service;
    uint16_t part;
    uint16_t backend;
    uint16_t roams;      /* times that a session came here, or changed its port */
    uint16_t ports[2];   /* the client's latest source port towards 500 and 4500; 0: none seen */
    uint32_t flow_count; /* flows that refer to this pin; it stays while there are any */
    uint32_t created_ms; /* truncated to 32 bits, as all times here; differences are right up to 24 days */
    uint32_t seen_ms;
    uint8_t stage; /* enum stage, of the latest handshake */
    uint8_t flags; /* enum pin_flag */
    uint32_t hash_next;
};

struct pins;

/*
 * Room for `capacity` pins, of which at most `unconfirmed_max` are unconfirmed at a time. `seed` is random,
 * so that nobody outside can choose addresses that fall into one bucket. NULL without memory.
 */
struct pins *pins_create(uint32_t capacity, uint32_t unconfirmed_max, uint64_t seed);
void pins_destroy(struct pins *pins);

/* Index of that pin, or PIN_NONE. */
uint32_t pins_find(const struct pins *pins, const struct pin_key *key);

/*
 * A new pin where pins_find() finds none. 0 and its index in *index; ERR_FULL when the table is full, or when
 * `confirmed` is false and the unconfirmed share is used up.
 */
int pins_insert(struct pins *pins, const struct pin_key *key, uint16_t backend, bool confirmed,
                uint64_t now_ms, uint32_t *index);

/* Is there room for one more unconfirmed pin? */
bool pins_has_room(const struct pins *pins);

/* The pin of that index, which must be in use. Valid until the next insert or remove. */
struct pin *pins_get(struct pins *pins, uint32_t index);

/* From now on the pin lives for the idle timeout and is out of the unconfirmed share. */
void pins_confirm(struct pins *pins, uint32_t index);

/* Lets an unconfirmed pin count as the youngest. */
void pins_renew(struct pins *pins, uint32_t index);

void pins_remove(struct pins *pins, uint32_t index);

/* The oldest unconfirmed pin, or PIN_NONE. */
uint32_t pins_oldest_unconfirmed(const struct pins *pins);

/* Walks the table in slices: slots_next(). */
uint32_t pins_next(const struct pins *pins, uint32_t *cursor, uint32_t *budget);

uint32_t pins_count(const struct pins *pins);
uint32_t pins_unconfirmed_count(const struct pins *pins);
uint32_t pins_capacity(const struct pins *pins);
