/*
 * The fast path that lb/fastpath.h speaks of: flows go into the table of an XDP program, and what the program
 * has seen comes back into statistics, pins and expiry.
 *
 * If the process dies, the program goes on with what it knows: flows that are in use are forwarded, all else
 * passes up as without it. The next run takes the table over. Where that is not possible (xdp_load()), the
 * program goes with the process.
 */
#pragma once

#include <uv.h>

#include "base/log.h"
#include "config/config.h"
#include "lb/fastpath.h"

struct xdp;

/*
 * Loads the program, before privileges are given up (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN; with CAP_SYS_ADMIN
 * what is attached is left to the next run, and found again). Nothing is attached yet. If it cannot be loaded
 * that is logged, and packets take the slow path. -ENOMEM, or 0 and *out, to be destroyed.
 */
int xdp_load(const struct config *config, const struct log *log, struct xdp **out);

/*
 * Takes over what an earlier run has left for the flows in `b`, attaches, and gives `b` its fast path; with
 * the fast path off it only removes what was left. `b` and `log` are borrowed. Only one process in a network
 * namespace may do this (kernel_claim()).
 */
void xdp_start(struct xdp *xdp, struct bindings *b, const struct log *log, uint64_t now_ms);

/* To be called about ten times a second: devices, routes, counters. */
void xdp_tick(struct xdp *xdp, uint64_t now_ms);

/* Takes the fast path from the bindings; all is detached, or with `leave` left to the next run if that can
 * find it. NULL is allowed. */
void xdp_destroy(struct xdp *xdp, bool leave);
