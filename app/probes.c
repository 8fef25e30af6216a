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
    struct health_settings settings;
    struct prober *prober;
    bool refusing; /* it has refused our IKE_SA_INIT, which was logged */
};

struct probes {
    uv_loop_t *loop;
    struct pool *pool;
    const struct log *log;
    void (*changed)(void *ctx);
    void *changed_ctx;
    struct probe_link *links[POOL_BACKENDS_MAX]; /* by backend; NULL: none */
    size_t open;                                 /* probers that the loop has not let go of */
    bool closing;
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

static struct health_settings settings_of(const struct config_health *health, const struct backend *backend)
{
    return (struct health_settings){
        .probe = probe_kind(health->probe),
        .target = backend->addr,
        .tcp_port = health->tcp_port,
        .interval_ms = health->interval_ms,
        .timeout_ms = health->timeout_ms,
        .rise = health->rise,
        .fall = health->fall,
        .initial = backend->health,
    };
}

/* A backend's address never changes. */
static bool probes_alike(const struct health_settings *a, const struct health_settings *b)
{
    return a->probe == b->probe && a->tcp_port == b->tcp_port && a->interval_ms == b->interval_ms &&
           a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

static void finish_close(struct probes *probes)
{
    void (*closed)(void *) = probes->closed;
    void *ctx = probes->closed_ctx;

    free(probes);
    if (closed)
        closed(ctx);
}

static void on_prober_closed(void *ctx)
{
    struct probe_link *link = ctx;
    struct probes *probes = link->probes;

    free(link);
    if (--probes->open == 0 && probes->closing)
        finish_close(probes);
}

void probes_forget(struct probes *probes, uint16_t backend)
{
    struct probe_link *link = probes->links[backend];

    if (!link)
        return;
    probes->links[backend] = NULL;
    prober_close(link->prober, on_prober_closed, link);
}

static int add_prober(struct probes *probes, uint16_t index, const struct health_settings *settings)
{
    struct probe_link *link = calloc(1, sizeof *link);

    if (!link)
        return -ENOMEM;
    *link = (struct probe_link){
        .probes = probes, .backend = &probes->pool->backends[index], .settings = *settings};
    const int err = prober_create(probes->loop, settings, on_event, link, &link->prober);
    if (err) {
        free(link);
        return err;
    }
    probes->links[index] = link;
    probes->open++;
    prober_start(link->prober);
    return 0;
}

static int update_backend(struct probes *probes, uint16_t index, const struct config_health *health)
{
    struct backend *backend = &probes->pool->backends[index];
    const struct probe_link *link = probes->links[index];

    /* What was once believed of it cannot change any more. */
    if (health->probe == CONFIG_PROBE_NONE)
        backend->health = HEALTH_UNKNOWN;
    const struct health_settings settings = settings_of(health, backend);
    if (link && probes_alike(&link->settings, &settings))
        return 0;
    probes_forget(probes, index);
    return add_prober(probes, index, &settings);
}

int probes_update(struct probes *probes, const struct config *config)
{
    const struct pool *pool = probes->pool;
    uint16_t s = pool->first_service;
    int err = 0;

    /* Both have services and backends in the same order; the removed ones, which come last, stay as they are.
     */
    for (size_t i = 0; i < config->service_count && !err; i++, s = pool->services[s].next) {
        uint16_t index = pool->services[s].first_backend;
        for (size_t k = 0; k < config->services[i].backend_count && !err; k++) {
            err = update_backend(probes, index, &config->services[i].health);
            index = pool->backends[index].next;
        }
    }
    return err;
}

void probes_close(struct probes *probes, void (*closed)(void *ctx), void *ctx)
{
    probes->closed = closed;
    probes->closed_ctx = ctx;
    for (size_t i = 0; i < POOL_BACKENDS_MAX; i++)
        probes_forget(probes, (uint16_t)i);
    probes->closing = true;
    if (probes->open == 0)
        finish_close(probes);
}

int probes_create(uv_loop_t *loop, const struct config *config, struct pool *pool, const struct log *log,
                  void (*changed)(void *ctx), void *ctx, struct probes **out)
{
    struct probes *probes = calloc(1, sizeof *probes);

    if (!probes)
        return -ENOMEM;
    probes->loop = loop;
    probes->pool = pool;
    probes->log = log;
    probes->changed = changed;
    probes->changed_ctx = ctx;
    const int err = probes_update(probes, config);
    if (err) {
        probes_close(probes, NULL, NULL);
        return err;
    }
    *out = probes;
    return 0;
}
