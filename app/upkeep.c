#include "app/upkeep.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "lb/alarms.h"
#include "lb/passive.h"
#include "lb/reassembly.h"
#include "lb/routes.h"

/*
 * 2,048 steps read 128 KiB of flows in sequence, or end some hundred entries: some tenths of a millisecond at
 * most. A full table for a million clients is gone round in 5 s.
 */
#define SWEEP_INTERVAL_MS 5
#define SWEEP_STEPS       2048

#define SECOND_MS       1000
#define ROUTES_A_SECOND 16 /* three system calls each */

enum { TIMER_SWEEP, TIMER_SECOND, TIMER_COUNT };

struct upkeep {
    uv_timer_t timers[TIMER_COUNT];
    uv_loop_t *loop;
    struct dataplane *dp;
    const struct log *log;
    struct reassembly reassembly;
    uint32_t alarms[POOL_SERVICES_MAX];           /* by service: those that were on when last looked at */
    enum suspicion suspicions[POOL_BACKENDS_MAX]; /* by backend: the same */
    bool drained[POOL_BACKENDS_MAX];              /* by backend: that it has no client left was logged */
    size_t next_route;
    void (*second)(void *ctx);
    void *second_ctx;
    int open_handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void log_suspicion(const struct log *log, const char *service, const struct backend *backend)
{
    switch (backend->passive.suspicion) {
    case SUSPICION_REFUSING:
        log_warn(
            log,
            "service %s: backend %s refuses new clients: it leaves their first messages unanswered although "
            "something else is heard from it",
            service, backend->name);
        break;
    case SUSPICION_SILENT:
        log_warn(
            log,
            "service %s: backend %s is silent: it leaves the first messages of new clients unanswered, and "
            "nothing else is heard from it",
            service, backend->name);
        break;
    case SUSPICION_NONE:
    case SUSPICION_COUNT:
        log_info(log, "service %s: backend %s answers new clients again", service, backend->name);
        break;
    }
}

static void check_suspicions(struct upkeep *upkeep)
{
    const struct pool *pool = upkeep->dp->bindings.pool;

    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        const enum suspicion now = backend->used ? backend->passive.suspicion : SUSPICION_NONE;
        if (backend->used && now != upkeep->suspicions[i])
            log_suspicion(upkeep->log, pool->services[backend->service].name, backend);
        upkeep->suspicions[i] = now;
    }
}

/* An administrator who drains a backend waits for this. */
static void check_drains(struct upkeep *upkeep)
{
    const struct pool *pool = upkeep->dp->bindings.pool;

    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        const bool drained = backend->used && pool_is_draining(backend) && backend->clients == 0;
        if (drained && !upkeep->drained[i])
            log_info(upkeep->log, "service %s, backend %s: drained: no client is left",
                     pool->services[backend->service].name, backend->name);
        upkeep->drained[i] = drained;
    }
}

void upkeep_check_alarms(struct upkeep *upkeep)
{
    const struct pool *pool = upkeep->dp->bindings.pool;

    check_suspicions(upkeep); /* the alarm does not name the backend */
    check_drains(upkeep);
    for (size_t i = 0; i < pool->service_count; i++) {
        const struct service *service = &pool->services[i];
        if (!service->used || service->removed) {
            upkeep->alarms[i] = 0; /* it takes no new clients, and what comes to this index begins anew */
            continue;
        }
        const uint32_t on = alarms_of(pool, service, uv_now(upkeep->loop));
        const uint32_t changed = on ^ upkeep->alarms[i];
        for (int alarm = 0; alarm < ALARM_COUNT; alarm++) {
            if (!(changed & 1U << alarm))
                continue;
            if (on & 1U << alarm)
                log_error(upkeep->log, "service %s: ALARM: %s", service->name, alarm_text((enum alarm)alarm));
            else
                log_info(upkeep->log, "service %s: alarm over: %s", service->name,
                         alarm_text((enum alarm)alarm));
        }
        upkeep->alarms[i] = on;
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct upkeep *upkeep = timer->data;

    dataplane_sweep(upkeep->dp, uv_now(upkeep->loop), SWEEP_STEPS);
}

/* What the kernel lost never reached a socket, but it is a drop as any other. */
static void count_lost_fragments(struct upkeep *upkeep)
{
    struct dataplane *dp = upkeep->dp;
    const uint64_t lost = reassembly_grown(&upkeep->reassembly);

    dp->drops[DROP_REASSEMBLY_FAILED] += lost;
    alarms_note_fragments(dp->bindings.pool, lost, uv_now(upkeep->loop));
}

static void on_second(uv_timer_t *timer)
{
    struct upkeep *upkeep = timer->data;

    pool_sample(upkeep->dp->bindings.pool, uv_now(upkeep->loop));
    passive_review(upkeep->dp->bindings.pool, uv_now(upkeep->loop));
    upkeep->next_route =
        routes_refresh(&upkeep->dp->bindings, upkeep->next_route, ROUTES_A_SECOND, upkeep->log);
    count_lost_fragments(upkeep);
    upkeep_check_alarms(upkeep);
    upkeep->second(upkeep->second_ctx);
}

static void start_timer(struct upkeep *upkeep, int which, uv_timer_cb callback, uint64_t interval_ms)
{
    uv_timer_t *timer = &upkeep->timers[which];

    uv_timer_init(upkeep->loop, timer); /* neither call can fail: libuv timers need no system call */
    timer->data = upkeep;
    uv_timer_start(timer, callback, interval_ms, interval_ms);
    upkeep->open_handles++;
}

int upkeep_create(uv_loop_t *loop, struct dataplane *dp, const struct log *log, void (*second)(void *ctx),
                  void *ctx, struct upkeep **out)
{
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);

    if (!upkeep)
        return -ENOMEM;
    upkeep->loop = loop;
    upkeep->dp = dp;
    upkeep->log = log;
    upkeep->second = second;
    upkeep->second_ctx = ctx;
    const int err = reassembly_init(&upkeep->reassembly);
    if (err) /* the packets pass all the same */
        log_warn(log, "lost IP fragments are not counted: no reading /proc/self/net/snmp and snmp6: %s",
                 err_text(err));
    for (size_t next = routes_refresh(&dp->bindings, 0, ROUTES_A_SECOND, log); next;)
        next = routes_refresh(&dp->bindings, next, ROUTES_A_SECOND, log);
    start_timer(upkeep, TIMER_SWEEP, on_sweep, SWEEP_INTERVAL_MS);
    start_timer(upkeep, TIMER_SECOND, on_second, SECOND_MS);
    *out = upkeep;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct upkeep *upkeep = handle->data;

    if (--upkeep->open_handles)
        return;
    void (*closed)(void *) = upkeep->closed;
    void *ctx = upkeep->closed_ctx;
    reassembly_deinit(&upkeep->reassembly);
    free(upkeep);
    closed(ctx);
}

void upkeep_close(struct upkeep *upkeep, void (*closed)(void *ctx), void *ctx)
{
    upkeep->closed = closed;
    upkeep->closed_ctx = ctx;
    for (int i = 0; i < TIMER_COUNT; i++)
        uv_close((uv_handle_t *)&upkeep->timers[i], on_closed);
}
