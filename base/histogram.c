#include "base/histogram.h"

void histogram_note(struct histogram *h, uint64_t us)
{
    static const uint32_t bounds_us[HISTOGRAM_LONGER] = {
#define BOUND_US(us, text) us,
        HISTOGRAM_BOUNDS(BOUND_US)
#undef BOUND_US
    };
    unsigned bucket = 0;

    while (bucket < HISTOGRAM_LONGER && us > bounds_us[bucket])
        bucket++;
    h->counts[bucket]++;
    h->sum_us += us;
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += h->counts[i];
    return count;
}

const char *histogram_bound_text(unsigned bucket)
{
    static const char *const texts[HISTOGRAM_BUCKETS] = {
#define BOUND_TEXT(us, text) text,
        HISTOGRAM_BOUNDS(BOUND_TEXT)
#undef BOUND_TEXT
            [HISTOGRAM_LONGER] = "+Inf",
    };

    return texts[bucket];
}
