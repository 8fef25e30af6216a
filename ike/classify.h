/*
 * Tells what a UDP datagram to or from a server's port 500 or 4500 is (RFC 3948 section 2, RFC 7296
 * section 2.23).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike/header.h"

#define IKE_PORT            500
#define IKE_NATT_PORT       4500
#define IKE_NON_ESP_MARKER  4 /* bytes of zeroes before IKE on port 4500: RFC 3948 section 2.2 */
#define IKE_NATT_KEEPALIVE  0xff
#define IKE_ESP_MIN_LEN     8 /* SPI and sequence number: RFC 4303 section 2 */
#define IKE_UDP_PAYLOAD_MAX 65507

enum ike_class { IKE_CLASS_IKE, IKE_CLASS_ESP, IKE_CLASS_KEEPALIVE, IKE_CLASS_GARBAGE };

/* Why a datagram is garbage: X(name, label); the label is the `reason` of ikelb_drops_total. */
#define IKE_GARBAGE_LIST(X)                                                                                  \
    X(TOO_SHORT, "too_short")               /* ends before an IKE or ESP header does */                      \
    X(ZERO_SPI, "zero_spi")                 /* the initiator's SPI is zero: RFC 7296 section 3.1 */          \
    X(BAD_IKE_VERSION, "bad_ike_version")   /* major version 0, which never was */                           \
    X(BAD_IKE_EXCHANGE, "bad_ike_exchange") /* an exchange type that the version reserves */                 \
    X(BAD_IKE_LENGTH, "bad_ike_length")     /* claims less than a header or more than has arrived */

enum ike_garbage {
#define IKE_GARBAGE_ENUM(name, label) IKE_GARBAGE_##name,
    IKE_GARBAGE_LIST(IKE_GARBAGE_ENUM)
#undef IKE_GARBAGE_ENUM
        IKE_GARBAGE_COUNT
};

/* What classify_datagram() found. Only what belongs to the class is written; all else is left as it was. */
struct ike_datagram {
    enum ike_class class;
    enum ike_garbage garbage; /* IKE_CLASS_GARBAGE */
    uint32_t esp_spi;         /* IKE_CLASS_ESP; never zero */
    struct ike_header header; /* IKE_CLASS_IKE */
    const uint8_t *ike;       /* IKE_CLASS_IKE: the message from its header on, borrowed from the datagram */
    size_t ike_len;           /* IKE_CLASS_IKE: header.length; bytes that trail the message are not counted */
};

/*
 * Classifies the UDP payload `data`; `natt_port` says whether the server's side is port 4500, where ESP is
 * and where IKE wears the non-ESP marker. Returns the class, which also stands in out->class. Reads nothing
 * but the first header.
 *
 * As liberal as servers are. An unknown major version passes, since servers answer it (INVALID_MAJOR_VERSION:
 * RFC 7296 section 2.5); IKEv1 passes, for L2TP/IPsec. Bytes after the message pass: old Cisco clients send
 * 16 of them, and libreswan and strongSwan both take no offence. A message that claims to be longer than its
 * datagram does not pass. RFC 7296 section 1.5 lets an INFORMATIONAL about an unknown ESP SPI have a zero
 * SPI; it is only a hint that no known client heeds and it names no SA that could be followed, so it is
 * garbage as well.
 */
enum ike_class classify_datagram(const uint8_t *data, size_t len, bool natt_port, struct ike_datagram *out);

/* The label of a reason; static. */
const char *classify_garbage_name(enum ike_garbage reason);
