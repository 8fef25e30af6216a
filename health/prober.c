#include "health/prober.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "health/icmp_probe.h"
#include "health/ike_probe.h"
#include "health/pace.h"
#include "health/probe.h"
#include "health/tcp_probe.h"

/* What the timer is waiting for. */
enum phase {
    PHASE_STOPPED,
    PHASE_PAUSE,  /* the next probe */
    PHASE_FIRST,  /* the first half of a probe's time to pass */
    PHASE_SECOND, /* the second */
    PHASE_GRACE,  /* answers that came in time to be read */
};

struct prober {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct health_settings settings;
    const struct probe_ops *ops; /* NULL if there is nothing to send */
    struct judge judge;
    bool ignored; /* the handshake of the last probe that was answered */
    enum phase phase;
    void *probe; /* of ops; non-NULL from PHASE_FIRST on */
    uint64_t started_ns;
    prober_event_fn *event;
    void *ctx;
    prober_closed_fn *closed;
    void *closed_ctx;
};

static const struct probe_ops *ops_of(enum health_probe probe)
{
    switch (probe) {
    case HEALTH_PROBE_IKE:
        return ike_probe_ops();
    case HEALTH_PROBE_ICMP:
        return icmp_probe_ops();
    case HEALTH_PROBE_TCP:
        return tcp_probe_ops();
    case HEALTH_PROBE_NONE:
        break;
    }
    return NULL;
}

int prober_create(uv_loop_t *loop, const struct health_settings *settings, prober_event_fn *event, void *ctx,
                  struct prober **out)
{
    if (!settings->interval_ms || !settings->timeout_ms)
        return ERR_RANGE;
    if (settings->probe == HEALTH_PROBE_TCP && !settings->tcp_port)
        return ERR_RANGE;
    struct prober *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct prober){
        .loop = loop,
        .settings = *settings,
        .ops = ops_of(settings->probe),
        .event = event,
        .ctx = ctx,
    };
    judge_init(&p->judge, settings->initial, settings->rise, settings->fall);
    uv_timer_init(loop, &p->timer); /* cannot fail */
    p->timer.data = p;
    *out = p;
    return 0;
}

enum health_state prober_state(const struct prober *p)
{
    return p->judge.state;
}

/* Without entropy the jitter is lost, which is no reason to stop probing. */
static uint32_t draw(void)
{
    uint32_t random = 0;

    return uv_random(NULL, NULL, &random, sizeof random, 0, NULL) < 0 ? 0 : random;
}

static void on_timer(uv_timer_t *timer);

static void wait_for(struct prober *p, enum phase phase, uint64_t ms)
{
    p->phase = phase;
    uv_timer_start(&p->timer, on_timer, ms, 0); /* fails only for a closing timer */
}

static void end_probe(struct prober *p)
{
    if (p->probe)
        p->ops->destroy(p->probe);
    p->probe = NULL;
}

/*
 * Judges the probe that has just ended and plans the next. The event comes last: it may stop or close the
 * prober.
 */
static void conclude(struct prober *p, const struct probe_outcome *outcome)
{
    const uint64_t taken_us = (uv_hrtime() - p->started_ns) / 1000;
    const uint64_t period_ms = pace_next_ms(p->settings.interval_ms, draw());
    const char *failure = outcome->failure;
    const bool changed = judge_result(&p->judge, !failure);
    const bool refusing = outcome->refusing && p->ignored;

    if (!failure)
        p->ignored = outcome->refusing;
    end_probe(p);
    wait_for(p, PHASE_PAUSE, period_ms > taken_us / 1000 ? period_ms - taken_us / 1000 : 1);
    p->event(p->ctx, &(struct health_event){
                         .state = p->judge.state,
                         .changed = changed,
                         .success = !failure,
                         .refusing = refusing,
                         .cause = failure,
                         .round_trip_us = failure ? 0 : taken_us,
                     });
}

/* The cause may lie in the probe, which conclude() frees before it tells it. */
static void on_done(void *ctx, const struct probe_outcome *outcome)
{
    struct probe_outcome copy = *outcome;
    char cause[CAUSE_MAX];

    if (outcome->failure)
        copy.failure = cause_set(cause, "%s", outcome->failure);
    conclude(ctx, &copy);
}

static void begin(struct prober *p)
{
    const struct probe_request request = {
        .loop = p->loop,
        .target = p->settings.target,
        .tcp_port = p->settings.tcp_port,
        .done = on_done,
        .ctx = p,
    };
    char cause[CAUSE_MAX];

    p->started_ns = uv_hrtime();
    p->probe = p->ops->start(&request, cause);
    if (!p->probe)
        conclude(p, &(struct probe_outcome){.failure = cause});
    else
        wait_for(p, PHASE_FIRST, p->settings.timeout_ms / 2);
}

static void time_out(struct prober *p)
{
    char text[CAUSE_MAX], cause[CAUSE_MAX], duration[CAUSE_DURATION_MAX];

    p->ops->describe_silence(p->probe, text);
    cause_set(cause, "%s within %s", text, cause_duration(p->settings.timeout_ms, duration));
    conclude(p, &(struct probe_outcome){.failure = cause});
}

static void on_timer(uv_timer_t *timer)
{
    struct prober *p = timer->data;

    switch (p->phase) {
    case PHASE_PAUSE:
        begin(p);
        break;
    case PHASE_FIRST:
        /* Before the reminder, which may already end the probe. */
        wait_for(p, PHASE_SECOND, p->settings.timeout_ms - p->settings.timeout_ms / 2);
        if (p->ops->remind)
            p->ops->remind(p->probe);
        break;
    case PHASE_SECOND:
        /* Timers run before sockets are read: if the loop was late, the answers may be here already. */
        wait_for(p, PHASE_GRACE, 1);
        break;
    case PHASE_GRACE:
        time_out(p);
        break;
    case PHASE_STOPPED:
        break;
    }
}

void prober_start(struct prober *p)
{
    if (p->ops && p->phase == PHASE_STOPPED)
        wait_for(p, PHASE_PAUSE, pace_first_ms(p->settings.interval_ms, draw()));
}

void prober_stop(struct prober *p)
{
    uv_timer_stop(&p->timer);
    p->phase = PHASE_STOPPED;
    end_probe(p);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct prober *p = handle->data;
    prober_closed_fn *closed = p->closed;
    void *ctx = p->closed_ctx;

    free(p);
    if (closed)
        closed(ctx);
}

void prober_close(struct prober *p, prober_closed_fn *closed, void *ctx)
{
    prober_stop(p);
    p->closed = closed;
    p->closed_ctx = ctx;
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}
