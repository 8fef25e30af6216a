/* All metrics, for Prometheus; see GET /metrics and docs/metrics.md. */
#pragma once

#include <stdint.h>

#include "admin/body.h"
#include "base/histogram.h"
#include "lb/dataplane.h"

/* How the state file does (app/saver.h); all zero without one. */
struct metrics_saving {
    uint64_t saved_wall_ms; /* of the latest that was saved, of clock_wall_ms(); 0: none yet */
    uint64_t save_us;       /* from the begin of that to its end */
    uint64_t bytes;         /* its size */
    uint64_t errors_total;  /* savings that failed */
};

/* Everything is borrowed and must outlive the body. */
struct metrics_source {
    const struct dataplane *dp;
    const struct histogram *loop_lag;
    const struct metrics_saving *saving;
    uint64_t now_ms;          /* of the clock of clock_now_ms() */
    uint64_t started_wall_ms; /* when the daemon started, of clock_wall_ms() */
};

/* Of backends, services or single metrics, so many are written in a slice: some tenths of a millisecond. */
#define METRICS_SLICE_ITEMS 16

/* The whole text, family by family. Each sample is as of the slice that it is in. 0 or -ENOMEM. */
int metrics_body(const struct metrics_source *source, struct body *out);
