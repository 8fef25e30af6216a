/* How often something took how long: counts in fixed buckets from 0.1 ms to 2.5 s, as Prometheus wants them.
 */
#pragma once

#include <stdint.h>

/* X(upper bound in microseconds, the same in seconds as text) */
#define HISTOGRAM_BOUNDS(X)                                                                                  \
    X(100, "0.0001")                                                                                         \
    X(250, "0.00025")                                                                                        \
    X(500, "0.0005")                                                                                         \
    X(1000, "0.001")                                                                                         \
    X(2500, "0.0025")                                                                                        \
    X(5000, "0.005")                                                                                         \
    X(10000, "0.01")                                                                                         \
    X(25000, "0.025")                                                                                        \
    X(50000, "0.05")                                                                                         \
    X(100000, "0.1")                                                                                         \
    X(250000, "0.25")                                                                                        \
    X(500000, "0.5")                                                                                         \
    X(1000000, "1")                                                                                          \
    X(2500000, "2.5")

enum {
#define HISTOGRAM_ENUM(us, text) HISTOGRAM_UP_TO_##us,
    HISTOGRAM_BOUNDS(HISTOGRAM_ENUM)
#undef HISTOGRAM_ENUM
        HISTOGRAM_LONGER,
    HISTOGRAM_BUCKETS
};

/* Empty when zeroed. A value on a bound belongs to the bucket below it. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t sum_us;
};

void histogram_note(struct histogram *h, uint64_t us);

uint64_t histogram_count(const struct histogram *h);

/* The bucket's upper bound in seconds, "+Inf" for the last; static. */
const char *histogram_bound_text(unsigned bucket);
