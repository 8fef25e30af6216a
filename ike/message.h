/* Builds the IKE messages that ikelb sends itself: probes and inquiries, never a whole handshake. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike/group.h"
#include "ike/header.h"

/* Enough for each message of this file but a large probe, non-ESP marker included. */
#define IKE_MESSAGE_MAX 2048

/* The sizes of large probes, non-ESP marker included. */
#define IKE_LARGE_PROBE_MIN 512
#define IKE_LARGE_PROBE_MAX 9000 /* strongSwan takes no message above 10,000 bytes */

#define IKE_NONCE_LEN  32 /* RFC 7296 section 2.10: at least 16, and half the PRF's key */
#define IKE_COOKIE_MAX 64 /* RFC 7296 section 2.6 */
#define IKE_NATD_LEN   20 /* a SHA-1 hash: RFC 7296 section 2.23 */

/*
 * Random bytes that the caller draws afresh for each message. There is nothing secret in them: no handshake
 * begun here is ever finished, so no private key exists.
 */
struct message_random {
    uint8_t nonce[IKE_NONCE_LEN];
    uint8_t natd[2][IKE_NATD_LEN];
    uint8_t ke[IKE_KE_MAX];
};

/* What a full IKE_SA_INIT varies in. */
struct message_init {
    struct ike_spi spi_i;
    enum ike_group group;  /* of the Key Exchange payload; every group of the enum is proposed */
    const uint8_t *cookie; /* that the server asked for (RFC 7296 section 2.6), or NULL */
    size_t cookie_len;
};

/*
 * Each builder writes a whole message into `buf`, after the non-ESP marker if `natt_port` (the server's port
 * is 4500), and returns its length; 0 if it does not fit, or asks for what does not exist (a group out of the
 * enum, a cookie longer than IKE_COOKIE_MAX). IKE_MESSAGE_MAX bytes always suffice.
 */

/*
 * The health probe: an IKE_SA_INIT request with a single proposal whose cipher is a number of the private
 * range (RFC 7296 section 3.3.2) that no server has. Everything else in it is ordinary, so a server parses it
 * all, answers NO_PROPOSAL_CHOSEN and forgets it: no half-open SA is left.
 */
size_t message_probe(const struct ike_spi *spi_i, const struct message_random *random, bool natt_port,
                     void *buf, size_t size);

/*
 * The same probe made `len` bytes long, for what the size of a datagram decides: IKE_LARGE_PROBE_MIN to _MAX.
 * The filling is a Notify of a status type for private use, which a server must ignore (RFC 7296
 * section 3.10.1). `buf` needs `len` bytes.
 */
size_t message_large_probe(const struct ike_spi *spi_i, const struct message_random *random, bool natt_port,
                           size_t len, void *buf, size_t size);

/*
 * A bare header with major version 3, which a server answers with INVALID_MAJOR_VERSION (RFC 7296
 * section 2.5). strongSwan does so before its limits per source address, so a server that refuses handshakes
 * from us still answers.
 */
size_t message_future_version(const struct ike_spi *spi_i, bool natt_port, void *buf, size_t size);

/*
 * An IKE_SA_INIT that nearly every server accepts, Windows' defaults included. It announces fragmentation
 * (RFC 7383) and claims a NAT by hashes that cannot match, and leaves one half-open SA on the server for as
 * long as that keeps them.
 */
size_t message_init(const struct message_init *what, const struct message_random *random, bool natt_port,
                    void *buf, size_t size);
