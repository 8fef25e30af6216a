/* Notify message types and their names (RFC 7296 section 3.10.1 and the IANA registry). */
#pragma once

#include <stdint.h>

/* X(name, number): errors below 16384, statuses from there on. */
#define IKE_NOTIFY_LIST(X)                                                                                   \
    X(UNSUPPORTED_CRITICAL_PAYLOAD, 1)                                                                       \
    X(INVALID_IKE_SPI, 4)                                                                                    \
    X(INVALID_MAJOR_VERSION, 5)                                                                              \
    X(INVALID_SYNTAX, 7)                                                                                     \
    X(INVALID_MESSAGE_ID, 9)                                                                                 \
    X(INVALID_SPI, 11)                                                                                       \
    X(NO_PROPOSAL_CHOSEN, 14)                                                                                \
    X(INVALID_KE_PAYLOAD, 17)                                                                                \
    X(AUTHENTICATION_FAILED, 24)                                                                             \
    X(TEMPORARY_FAILURE, 43)                                                                                 \
    X(INITIAL_CONTACT, 16384)                                                                                \
    X(NAT_DETECTION_SOURCE_IP, 16388)                                                                        \
    X(NAT_DETECTION_DESTINATION_IP, 16389)                                                                   \
    X(COOKIE, 16390)                                                                                         \
    X(HTTP_CERT_LOOKUP_SUPPORTED, 16392)                                                                     \
    X(MOBIKE_SUPPORTED, 16396)                /* RFC 4555 */                                                 \
    X(UPDATE_SA_ADDRESSES, 16400)             /* RFC 4555 */                                                 \
    X(MULTIPLE_AUTH_SUPPORTED, 16404)         /* RFC 4739 */                                                 \
    X(REDIRECT_SUPPORTED, 16406)              /* RFC 5685 */                                                 \
    X(REDIRECT, 16407)                        /* RFC 5685 */                                                 \
    X(TICKET_NACK, 16413)                     /* RFC 5723 */                                                 \
    X(CHILDLESS_IKEV2_SUPPORTED, 16418)       /* RFC 6023 */                                                 \
    X(IKEV2_FRAGMENTATION_SUPPORTED, 16430)   /* RFC 7383 */                                                 \
    X(SIGNATURE_HASH_ALGORITHMS, 16431)       /* RFC 7427 */                                                 \
    X(USE_PPK, 16435)                         /* RFC 8784 */                                                 \
    X(INTERMEDIATE_EXCHANGE_SUPPORTED, 16438) /* RFC 9242 */

enum ike_notify_type {
#define IKE_NOTIFY_ENUM(name, number) IKE_NOTIFY_##name = (number),
    IKE_NOTIFY_LIST(IKE_NOTIFY_ENUM)
#undef IKE_NOTIFY_ENUM
        IKE_NOTIFY_STATUS_MIN = 16384, /* types below are errors */
};

/*
 * The registered name, e.g. "NO_PROPOSAL_CHOSEN", of an IKEv2 type; NULL for one that is not in the list.
 * Static.
 */
const char *notify_name(uint16_t type);
