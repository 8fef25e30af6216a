/* Probes one backend at intervals and says whether it is up. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/judge.h"

enum health_probe { HEALTH_PROBE_IKE, HEALTH_PROBE_ICMP, HEALTH_PROBE_TCP, HEALTH_PROBE_NONE };

struct health_settings {
    enum health_probe probe;
    struct addr target;
    uint16_t tcp_port;    /* HEALTH_PROBE_TCP only */
    uint32_t interval_ms; /* from the start of a probe to that of the next, less up to a tenth; at least
                             timeout_ms */
    uint32_t timeout_ms;
    uint32_t rise;
    uint32_t fall;
    enum health_state initial; /* what is believed before the first probe, e.g. from before a reload */
};

/* The outcome of one probe. */
struct health_event {
    enum health_state state; /* after it */
    bool changed;            /* by it */
    bool success;
    const char *cause; /* of a failure, e.g. "no answer on UDP 4500 within 1 s"; NULL for success; borrowed */
    /*
     * Alive, but only the version that it cannot know made it speak: it ignores handshakes from our address,
     * as a server does that holds too many half-open ones of it. With full NAT that is every client's
     * address. So it must have been with two answered probes in a row: one handshake alone may be lost, on
     * the way or since the server has just begun to listen.
     */
    bool refusing;
    uint64_t round_trip_us; /* until the last answer that was needed; 0 for a failure */
};

typedef void prober_event_fn(void *ctx, const struct health_event *event);
typedef void prober_closed_fn(void *ctx);

struct prober;

/*
 * A prober that does nothing yet. `event` is called after every probe, from the loop, and may call any
 * function of this file. 0; -ENOMEM; ERR_RANGE if interval_ms or timeout_ms is 0, or a TCP probe has no port.
 */
int prober_create(uv_loop_t *loop, const struct health_settings *settings, prober_event_fn *event, void *ctx,
                  struct prober **out);

/* Sends the first probe within 100 ms and goes on until stopped. HEALTH_PROBE_NONE sends none. Idempotent. */
void prober_start(struct prober *p);

/* Breaks off a probe under way; no event comes any more. The state stays as it is. Idempotent. */
void prober_stop(struct prober *p);

/* What is believed now. */
enum health_state prober_state(const struct prober *p);

/* Stops; then, from the loop, frees the prober and calls `closed` (may be NULL). */
void prober_close(struct prober *p, prober_closed_fn *closed, void *ctx);
