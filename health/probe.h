/* What the prober and the kinds of probe agree on: one probe is one attempt, done within a bounded time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/cause.h"

/* The end of a probe. */
struct probe_outcome {
    const char *failure; /* its cause, borrowed for the call; NULL for success */
    bool refusing;       /* alive, but ignores handshakes from our address */
};

typedef void probe_done_fn(void *ctx, const struct probe_outcome *outcome);

struct probe_request {
    uv_loop_t *loop;
    struct addr target;
    uint16_t tcp_port; /* TCP only */
    probe_done_fn *done;
    void *ctx;
};

/* One kind of probe. The prober has the clock: it says when half the time or all of it has passed. */
struct probe_ops {
    /*
     * Begins a probe, which destroy() ends; NULL if it failed at once, its cause written. done() is called at
     * most once, never from within start(), and destroy() may be called from within done().
     */
    void *(*start)(const struct probe_request *request, char cause[static CAUSE_MAX]);
    /*
     * Half the time has passed without an end; may call done() with a failure. NULL if the kind does not
     * care.
     */
    void (*remind)(void *probe);
    /* Says what it is still waiting for, e.g. "no answer on UDP 4500"; the prober adds the time. */
    void (*describe_silence)(const void *probe, char text[static CAUSE_MAX]);
    void (*destroy)(void *probe);
};
