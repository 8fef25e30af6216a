/* The key exchange groups that ikelb can offer, each with a public value that a server takes for genuine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IKE_KE_MAX 512 /* bytes of a value of MODP-4096, the largest group offered */

/* Key exchange methods (RFC 7296 section 3.3.2, RFC 3526, RFC 5903, RFC 8031) that are offered. */
enum ike_group {
    IKE_GROUP_MODP_1024 = 2,
    IKE_GROUP_MODP_1536 = 5,
    IKE_GROUP_MODP_2048 = 14,
    IKE_GROUP_MODP_3072 = 15,
    IKE_GROUP_MODP_4096 = 16,
    IKE_GROUP_ECP_256 = 19,
    IKE_GROUP_ECP_384 = 20,
    IKE_GROUP_ECP_521 = 21,
    IKE_GROUP_CURVE25519 = 31,
};

/* The groups in the order in which they are proposed. */
size_t group_count(void);
enum ike_group group_at(size_t index);

/*
 * Writes a value that is valid in the group and returns its length; 0 for a group that is not in the list. No
 * private key belongs to it. MODP and Curve25519: from the random bytes; ECP: the curve's generator, since a
 * random value would not lie on the curve, and servers check that (RFC 6989 section 2.3).
 */
size_t group_public_value(enum ike_group group, const uint8_t random[static IKE_KE_MAX],
                          uint8_t out[static IKE_KE_MAX]);

/* Whether `number`, as demanded by an INVALID_KE_PAYLOAD, is a group of the list. */
bool group_is_known(uint16_t number);
