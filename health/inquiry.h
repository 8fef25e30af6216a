/*
 * A detailed question to one IKE server, for a human: are both ports alive, what do they answer, is IKE
 * fragmentation supported, whose server is it.
 *
 * Only a server that accepts a handshake tells all of this, so the inquiry begins one and leaves it: one
 * half-open SA stays on the server until that gives up (strongSwan: 30 s), and several inquiries in a row
 * make it demand cookies or fall silent. It is therefore nothing to monitor with; that is what
 * health/prober.h is for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/cause.h"

#define INQUIRY_PORTS          2
#define INQUIRY_ANSWER_MAX     64
#define INQUIRY_VENDORS_MAX    16 /* of those that a server sends; more are not reported */
#define INQUIRY_VENDOR_HEX_MAX 81 /* 40 bytes in hex, NUL included; longer ones are cut */

struct inquiry_port {
    uint16_t port; /* 500 or 4500 */
    bool alive;
    bool refusing; /* alive, but ignores new handshakes from our address */
    uint64_t round_trip_us;
    uint8_t major;   /* version of the answer */
    uint16_t notify; /* the error or demand in the answer (ike/notify.h); 0 if there is none */
    char answer[INQUIRY_ANSWER_MAX]; /* e.g. "handshake accepted", "NO_PROPOSAL_CHOSEN"; empty if not alive */
    char cause[CAUSE_MAX];           /* why it is not alive; empty if it is */
    int error; /* -errno behind the cause, an ICMP message's for instance; 0 for silence */
};

enum inquiry_fragmentation {
    INQUIRY_FRAGMENTATION_UNKNOWN,
    INQUIRY_FRAGMENTATION_NO,
    INQUIRY_FRAGMENTATION_YES
};

struct inquiry_vendor {
    const char *name; /* NULL if not known; static */
    char hex[INQUIRY_VENDOR_HEX_MAX];
};

struct inquiry_result {
    struct addr target;
    struct inquiry_port ports[INQUIRY_PORTS];
    enum inquiry_fragmentation fragmentation; /* unknown unless a handshake was accepted */
    bool cookie_demanded;
    struct inquiry_vendor vendors[INQUIRY_VENDORS_MAX];
    size_t vendor_count;
};

struct inquiry;
typedef void inquiry_done_fn(void *ctx, const struct inquiry_result *result);

/*
 * Asks, waiting at most `timeout_ms` for the ports, which are asked at once, and as long again if only 4500
 * is alive. `done` is called once, from the loop, with a result that is borrowed for the call; the inquiry
 * then frees itself. 0, -ENOMEM, or ERR_RANGE if timeout_ms is 0. `out` (may be NULL) is for
 * inquiry_cancel().
 */
int inquiry_start(uv_loop_t *loop, const struct addr *target, uint32_t timeout_ms, inquiry_done_fn *done,
                  void *ctx, struct inquiry **out);

/* Breaks it off and frees it; `done` is not called. Not allowed from `done` on. */
void inquiry_cancel(struct inquiry *q);
