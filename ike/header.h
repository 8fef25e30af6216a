/* The IKE header, which both versions of the protocol share (RFC 7296 section 3.1; RFC 2408 section 3.1). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One side's name of an IKE SA (in IKEv1: a cookie): opaque bytes, never a number. */
struct ike_spi {
    uint8_t bytes[8];
};

#define IKE_HEADER_LEN 28

/* The header with its integers in host order. */
struct ike_header {
    struct ike_spi spi_i; /* of the SA's original initiator, whoever sends this message */
    struct ike_spi spi_r; /* zero until the responder has chosen one */
    uint8_t next_payload; /* enum ike_payload_type */
    uint8_t major;
    uint8_t minor;
    uint8_t exchange; /* enum ike_exchange */
    uint8_t flags;    /* IKE_FLAG_* */
    uint32_t message_id;
    uint32_t length; /* of the whole message, this header included */
};

/* RFC 7296 section 3.1; IKEv1: RFC 2408 section 3.1 and RFC 2409 appendix A; resumption: RFC 5723. */
enum ike_exchange {
    IKE_EXCHANGE_V1_MAIN = 2,
    IKE_EXCHANGE_V1_AGGRESSIVE = 4,
    IKE_EXCHANGE_V1_INFORMATIONAL = 5,
    IKE_EXCHANGE_V1_QUICK = 32,
    IKE_EXCHANGE_V1_NEW_GROUP = 33,
    IKE_EXCHANGE_SA_INIT = 34,
    IKE_EXCHANGE_AUTH = 35,
    IKE_EXCHANGE_CREATE_CHILD_SA = 36,
    IKE_EXCHANGE_INFORMATIONAL = 37,
    IKE_EXCHANGE_SESSION_RESUME = 38,
    IKE_EXCHANGE_PRIVATE = 240, /* and above */
};

/* RFC 7296 section 3.2, RFC 7383 section 2.5; IKEv1: RFC 2408 section 3.1. */
enum ike_payload_type {
    IKE_PAYLOAD_NONE = 0,
    IKE_PAYLOAD_V1_SA = 1,
    IKE_PAYLOAD_V1_KE = 4,
    IKE_PAYLOAD_V1_NOTIFY = 11,
    IKE_PAYLOAD_V1_VENDOR = 13,
    IKE_PAYLOAD_SA = 33,
    IKE_PAYLOAD_KE = 34,
    IKE_PAYLOAD_NONCE = 40,
    IKE_PAYLOAD_NOTIFY = 41,
    IKE_PAYLOAD_VENDOR = 43,
    IKE_PAYLOAD_ENCRYPTED = 46,
    IKE_PAYLOAD_ENCRYPTED_FRAGMENT = 53,
};

#define IKE_FLAG_V1_ENCRYPTED 0x01 /* RFC 2408 section 3.1 */
#define IKE_FLAG_INITIATOR    0x08 /* RFC 7296 section 3.1: sent by the original initiator of the SA */
#define IKE_FLAG_RESPONSE     0x20 /* RFC 7296 section 3.1 */

/*
 * Reads the first IKE_HEADER_LEN bytes as they stand, judging nothing: classify_datagram() does that.
 * 0, or ERR_MALFORMED if there are fewer.
 */
int header_read(const uint8_t *data, size_t len, struct ike_header *out);

bool header_spi_is_zero(const struct ike_spi *spi);
bool header_spi_equal(const struct ike_spi *a, const struct ike_spi *b);

/*
 * Whether this opens a new IKE SA: an IKE_SA_INIT or IKE_SESSION_RESUME request, its repetitions with a
 * cookie included, or the first message of IKEv1's main or aggressive mode. The responder's SPI is still zero
 * in all of them.
 */
bool header_is_init_request(const struct ike_header *h);

/*
 * Whether this answers one. Only of use for messages that come from a server: in IKEv1, where no flag tells a
 * request from an answer, a client's third message looks alike. A server that gave the client something to do
 * first (COOKIE, INVALID_KE_PAYLOAD) or refused it (NO_PROPOSAL_CHOSEN) may have left the responder's SPI
 * zero.
 */
bool header_is_init_response(const struct ike_header *h);

/*
 * Whether the contents are encrypted, so that an honest sender has derived the keys of this SA. This is what
 * the header claims: nobody but the peers can check it, so only an encrypted message from *both* sides proves
 * an SA.
 */
bool header_is_encrypted(const struct ike_header *h);

/*
 * Whether this is a message in which the peers prove who they are: IKE_AUTH. IKEv1 has none; its first
 * encrypted messages stand for it.
 */
bool header_is_auth(const struct ike_header *h);
