#include "admin/loop_lag.h"

#include <errno.h>
#include <stdlib.h>

#define NS_PER_US 1000

struct loop_lag {
    uv_prepare_t prepare; /* called when a turn is over, just before the loop waits */
    uint64_t last_ns;     /* when it was called last; 0: not yet */
    uint64_t waited_ns;   /* how long the loop had waited in all by then */
    struct histogram histogram;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* libuv counts the time that it waits, so what is left of a turn is work. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct loop_lag *lag = prepare->data;
    const uint64_t now_ns = uv_hrtime();
    const uint64_t waited_ns = uv_metrics_idle_time(prepare->loop);
    const uint64_t turn_ns = now_ns - lag->last_ns;
    const uint64_t wait_ns = waited_ns - lag->waited_ns;

    if (lag->last_ns)
        histogram_note(&lag->histogram, turn_ns > wait_ns ? (turn_ns - wait_ns) / NS_PER_US : 0);
    lag->last_ns = now_ns;
    lag->waited_ns = waited_ns;
}

struct loop_lag *loop_lag_create(uv_loop_t *loop, int *err)
{
    struct loop_lag *lag = calloc(1, sizeof *lag);

    *err = -ENOMEM;
    if (!lag)
        return NULL;
    *err = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    if (*err) {
        free(lag);
        return NULL;
    }
    uv_prepare_init(loop, &lag->prepare); /* as uv_prepare_start(), it cannot fail */
    lag->prepare.data = lag;
    uv_prepare_start(&lag->prepare, on_prepare);
    uv_unref((uv_handle_t *)&lag->prepare);
    return lag;
}

static void on_closed(uv_handle_t *handle)
{
    struct loop_lag *lag = handle->data;

    if (lag->closed)
        lag->closed(lag->closed_ctx);
    free(lag);
}

void loop_lag_close(struct loop_lag *lag, void (*closed)(void *ctx), void *ctx)
{
    lag->closed = closed;
    lag->closed_ctx = ctx;
    uv_close((uv_handle_t *)&lag->prepare, on_closed);
}

const struct histogram *loop_lag_histogram(const struct loop_lag *lag)
{
    return &lag->histogram;
}
