#include "app/probes.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "health/prober.h"
#include "lb/passive.h"

/* One backend's prober and what its events are about. */
struct probe_link {
    struct probes *probes;
    struct backend *backend;
    struct prober *prober;
    bool refusing; /* it has refused our IKE_SA_INIT, which was logged */
};

struct probes {
    struct pool *pool;
    const struct log *log;
    void (*changed)(void *ctx);
    void *changed_ctx;
    struct probe_link *links;
    size_t count;
    size_t open;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* A server that lives but takes no handshake from our address will not take full NAT's clients either. */
static void note_refusal(struct probe_link *link, const struct health_event *event)
{
    const struct backend *backend = link->backend;
    const char *service = link->probes->pool->services[backend->service].name;

    if (!event->success || event->refusing == link->refusing)
        return;
    link->refusing = event->refusing;
    if (event->refusing)
        log_warn(link->probes->log,
                 "service %s, backend %s: alive, but it ignores IKE_SA_INIT from our address: its limit per "
                 "source "
                 "address is reached, as full NAT makes it happen",
                 service, backend->name);
    else
        log_info(link->probes->log, "service %s, backend %s: answers IKE_SA_INIT from our address again",
                 service, backend->name);
}

static void note_result(struct backend *backend, const struct health_event *event)
{
    backend->health = event->state;
    if (!event->success) {
        backend->probes_failed_total++;
        return;
    }
    backend->probe_us = (uint32_t)event->round_trip_us;
    histogram_note(&backend->probe_times, event->round_trip_us);
    passive_probed(backend, clock_now_ms());
    if (event->changed && event->state == HEALTH_UP)
        passive_forget(backend);
}

static void on_event(void *ctx, const struct health_event *event)
{
    struct probe_link *link = ctx;
    struct probes *probes = link->probes;
    struct backend *backend = link->backend;
    const char *service = probes->pool->services[backend->service].name;

    note_result(backend, event);
    note_refusal(link, event);
    if (!event->changed) {
        log_debug(probes->log, "service %s, backend %s: probe: %s", service, backend->name,
                  event->success ? "answered" : event->cause);
        return;
    }
    if (event->state == HEALTH_DOWN)
        log_warn(probes->log, "service %s, backend %s: down: %s", service, backend->name, event->cause);
    else
        log_info(probes->log, "service %s, backend %s: up, answered within %.1f ms", service, backend->name,
                 (double)event->round_trip_us / 1000);
    probes->changed(probes->changed_ctx);
}

static enum health_probe probe_kind(enum config_probe probe)
{
    static const enum health_probe kinds[] = {
        [CONFIG_PROBE_IKE] = HEALTH_PROBE_IKE,
        [CONFIG_PROBE_ICMP] = HEALTH_PROBE_ICMP,
        [CONFIG_PROBE_TCP] = HEALTH_PROBE_TCP,
        [CONFIG_PROBE_NONE] = HEALTH_PROBE_NONE,
    };

    return kinds[probe];
}

static int add_prober(struct probes *probes, uv_loop_t *loop, const struct config_health *health,
                      struct backend *backend)
{
    struct probe_link *link = &probes->links[probes->count];
    const struct health_settings settings = {
        .probe = probe_kind(health->probe),
        .target = backend->addr,
        .tcp_port = health->tcp_port,
        .interval_ms = health->interval_ms,
        .timeout_ms = health->timeout_ms,
        .rise = health->rise,
        .fall = health->fall,
        .initial = HEALTH_UNKNOWN,
    };

    *link = (struct probe_link){.probes = probes, .backend = backend};
    const int err = prober_create(loop, &settings, on_event, link, &link->prober);
    if (!err)
        probes->count++;
    return err;
}

static void free_probes(struct probes *probes)
{
    free(probes->links);
    free(probes);
}

static void on_closed(void *ctx)
{
    struct probes *probes = ctx;

    if (--probes->open)
        return;
    void (*closed)(void *) = probes->closed;
    void *closed_ctx = probes->closed_ctx;
    free_probes(probes);
    if (closed)
        closed(closed_ctx);
}

void probes_close(struct probes *probes, void (*closed)(void *ctx), void *ctx)
{
    probes->closed = closed;
    probes->closed_ctx = ctx;
    probes->open =
        probes->count + 1; /* one for this call, so that it ends the same way with no prober at all */
    for (size_t i = 0; i < probes->count; i++)
        prober_close(probes->links[i].prober, on_closed, probes);
    on_closed(probes);
}

int probes_create(uv_loop_t *loop, const struct config *config, struct pool *pool, const struct log *log,
                  void (*changed)(void *ctx), void *ctx, struct probes **out)
{
    struct probes *probes = calloc(1, sizeof *probes);
    int err = 0;

    if (!probes)
        return -ENOMEM;
    *probes = (struct probes){.pool = pool, .log = log, .changed = changed, .changed_ctx = ctx};
    probes->links = calloc(pool->backend_count, sizeof *probes->links);
    if (!probes->links) {
        free_probes(probes);
        return -ENOMEM;
    }
    /* pool_create() has the backends in the configuration's order. */
    for (size_t i = 0; i < pool->backend_count && !err; i++) {
        const uint16_t service = pool->backends[i].service;
        err = add_prober(probes, loop, &config->services[service].health, &pool->backends[i]);
    }
    if (err) {
        probes_close(probes, NULL, NULL);
        return err;
    }
    for (size_t i = 0; i < probes->count; i++)
        prober_start(probes->links[i].prober);
    *out = probes;
    return 0;
}
