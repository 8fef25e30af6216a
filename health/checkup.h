/*
 * Everything that `ikelb doctor` finds out about one address, from where it runs. It only asks; what the
 * answers mean is health/findings.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/inquiry.h"
#include "health/knock.h"
#include "health/pairing.h"
#include "health/path.h"

#define CHECKUP_TCP_PORT 443 /* SSTP, to which Windows falls back */

struct checkup_tcp {
    bool open;
    int error;             /* -errno; 0 for silence */
    char cause[CAUSE_MAX]; /* empty if open */
};

struct checkup_result {
    struct addr target;
    uint32_t timeout_ms;
    struct inquiry_result first;
    struct inquiry_result again; /* at the end, if asked_again: the third handshake in a row */
    bool asked_again;
    struct checkup_tcp tcp;
    bool knocked[2]; /* the ports 500 and 4500 from the same source port, as clients without NAT do */
    struct knock_outcome knocks[2];
    bool measured; /* the path; false if nothing answers */
    struct path_result path;
    bool paired;
    enum pairing_verdict pairing;
};

struct checkup_request {
    uv_loop_t *loop;
    struct addr target;
    uint32_t link_mtu; /* of this machine's route to the target */
    uint32_t timeout_ms;
    void (*done)(void *ctx, const struct checkup_result *result);
    void *ctx;
};

/*
 * Asks; `done` is called once, from the loop, with a result that is borrowed for the call, and the checkup
 * then frees itself. It takes up to a few timeouts, and leaves three half-open SAs on a server that accepts
 * handshakes, which is below what the usual limits per source address allow. 0, or -errno.
 */
int checkup_start(const struct checkup_request *request);
