/* Walks the payloads of an IKE message that travel in the clear (RFC 7296 section 3.2). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "ike/classify.h"
#include "ike/notify.h"

/*
 * More than any client sends in the clear, yet few enough that a crafted datagram of 16,000 empty payloads
 * cannot hold the loop.
 */
#define IKE_PAYLOADS_MAX 64

/* One payload; the body lies behind the generic header and is borrowed from the datagram. */
struct ike_payload {
    uint8_t type; /* enum ike_payload_type */
    bool critical;
    const uint8_t *body;
    size_t len;
};

/* A Notify payload (RFC 7296 section 3.10; RFC 2408 section 3.14); pointers are borrowed. */
struct ike_notify {
    uint16_t type; /* enum ike_notify_type in IKEv2 */
    uint8_t protocol;
    const uint8_t *spi;
    size_t spi_len;
    const uint8_t *data;
    size_t data_len;
};

/* The place in a chain of payloads; visible so that it can live on the stack. */
struct payload_walk {
    struct cursor rest;
    uint8_t next;
};

/*
 * Begins a walk over a datagram of class IKE, after the whole chain has been checked: nobody acts on the
 * first half of a broken message. 0; or ERR_MALFORMED if a payload leaves the message or its own bounds, or
 * there are more than IKE_PAYLOADS_MAX; the walk is empty then. The walk ends before an Encrypted payload,
 * and it is empty for an encrypted IKEv1 message and for a major version that nobody knows the payloads of.
 * What follows the last payload is not looked at.
 */
int payload_walk_init(struct payload_walk *w, const struct ike_datagram *d);

/* Steps to the next payload; false at the end. */
bool payload_walk_next(struct payload_walk *w, struct ike_payload *out);

/*
 * Reads a payload of type IKE_PAYLOAD_NOTIFY or IKE_PAYLOAD_V1_NOTIFY; ERR_MALFORMED if it is too short for
 * its SPI.
 */
int payload_notify(const struct ike_payload *p, struct ike_notify *out);

/*
 * Looks for the first IKEv2 notify of a type among the clear payloads. False if there is none or the message
 * is malformed. `out` may be NULL, and is not touched if false.
 */
bool payload_find_notify(const struct ike_datagram *d, enum ike_notify_type type, struct ike_notify *out);

/* Whether this payload is a Vendor ID of either version. */
bool payload_is_vendor(const struct ike_payload *p);
