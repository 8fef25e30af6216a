/* Why a packet was dropped. No packet is dropped without one of these being counted. */
#pragma once

#include "ike/classify.h"

/* X(name, label); the label is the `reason` of ikelb_drops_total. What ike/classify calls garbage comes
 * first. */
#define DROP_LIST(X)                                                                                         \
    IKE_GARBAGE_LIST(X)                                                                                      \
    X(BAD_SOURCE, "bad_source")           /* port 0, or an address that no client can have */                \
    X(UNKNOWN_SENDER, "unknown_sender")   /* on the way back, but not from port 500 or 4500 of a backend */  \
    X(TTL_EXPIRED, "ttl_expired")         /* its hops are used up: most likely a routing loop */             \
    X(NO_BACKEND, "no_backend")           /* a new client, and no backend that may get one */                \
    X(RATE_LIMITED, "rate_limited")       /* its source begins too much: dataplane.source_rate */            \
    X(NO_FLOW, "no_flow")                 /* full NAT: nothing tells whose packet it is */                   \
    X(TABLE_FULL, "table_full")           /* full NAT: no room for a flow */                                 \
    X(NO_SNAT_PORT, "no_snat_port")       /* full NAT: all source ports are in use */                        \
    X(NO_SNAT_ADDRESS, "no_snat_address") /* full NAT: no source address leads to the backend */             \
    X(RECEIVE_BUSY, "receive_busy")       /* it came while a socket's queue was full: too much at once */    \
    X(SEND_BUSY, "send_busy")             /* the kernel's send queue is full */                              \
    X(SEND_FAILED, "send_failed")         /* the kernel refused to send: no route, or a firewall */          \
    /* IP fragments that did not come together (lb/reassembly.h); counted by the kernel, and for the whole   \
     * network namespace: it is not known whether they were for a VIP. */                                    \
    X(REASSEMBLY_FAILED, "reassembly_failed")

enum drop_reason {
#define DROP_ENUM(name, label) DROP_##name,
    DROP_LIST(DROP_ENUM)
#undef DROP_ENUM
        DROP_REASON_COUNT
};

/* The label; static. */
const char *drop_reason_name(enum drop_reason reason);
