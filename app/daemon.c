#include "app/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

#include "admin/admin.h"
#include "admin/backend_change.h"
#include "app/handover.h"
#include "app/manager.h"
#include "app/privileges.h"
#include "app/probes.h"
#include "app/recall.h"
#include "app/renewal.h"
#include "app/saver.h"
#include "app/upkeep.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/plural.h"
#include "lb/dataplane.h"
#include "lb/io_socket.h"
#include "lb/kernel.h"
#include "lb/pool_config.h"
#include "lb/xdp/xdp.h"

enum { SIGNAL_TERM, SIGNAL_INT, SIGNAL_HUP, SIGNAL_RESTART, SIGNAL_COUNT };
static const int SIGNAL_NUMBERS[SIGNAL_COUNT] = {
    [SIGNAL_TERM] = SIGTERM, [SIGNAL_INT] = SIGINT, [SIGNAL_HUP] = SIGHUP, [SIGNAL_RESTART] = SIGUSR2};

#define XDP_TICK_MS 100

enum { CHANGE_BACKEND, CHANGE_RELOAD, CHANGE_COUNT }; /* what can be changed over the API */

/* What has been started is not NULL; daemon_stop() closes just that. */
struct daemon {
    uv_loop_t loop;
    const struct config *config; /* what it was started with; what holds now is in `renewal` */
    struct log log;
    struct renewal renewal;
    struct pool *pool;
    struct dataplane dp;
    bool dp_ready;
    int claim; /* of kernel_claim(), or negative */
    struct kernel *kernel;
    bool kernel_ready;
    bool leaves_kernel; /* set up, for the next run that follows at once */
    struct handover *handover;
    struct io_socket *io;
    struct xdp *xdp;
    uv_timer_t xdp_timer;
    bool xdp_ticks; /* the timer runs */
    struct upkeep *upkeep;
    struct probes *probes;
    struct admin *admin;
    struct manager *manager;
    struct backend_change backend_change;
    struct api_change changes[CHANGE_COUNT];
    struct saver *saver;
    struct metrics_saving saving;
    uv_signal_t signals[SIGNAL_COUNT];
    int signal_count;
    bool stopping;
};

static void on_part_closed(void *ctx)
{
    (void)ctx; /* the loop ends by itself when the last handle has gone */
}

/* Closes what runs on the loop. New packets first: what is under way has been answered within the same turn.
 */
static void stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    manager_stopping();
    if (d->io)
        io_socket_close(d->io, on_part_closed, NULL);
    if (d->probes)
        probes_close(d->probes, on_part_closed, NULL);
    if (d->admin)
        admin_close(d->admin, on_part_closed, NULL);
    if (d->upkeep)
        upkeep_close(d->upkeep, on_part_closed, NULL);
    if (d->manager)
        manager_close(d->manager, on_part_closed, NULL);
    if (d->saver)
        saver_close(d->saver, on_part_closed, NULL);
    if (d->xdp_ticks)
        uv_close((uv_handle_t *)&d->xdp_timer, NULL);
    for (int i = 0; i < d->signal_count; i++)
        uv_close((uv_handle_t *)&d->signals[i], NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    if (number == SIGHUP) {
        struct renewal_result result;
        (void)renewal_run(&d->renewal, &result); /* which has logged what came of it */
        renewal_result_deinit(&result);
        return;
    }
    d->leaves_kernel = number == SIGUSR2 && handover_is_kept(d->handover);
    log_info(&d->log, "ending on SIG%s%s", sigabbrev_np(number),
             d->leaves_kernel ? " for a restart: the sockets and the kernel set-up stay" : "");
    stop(d);
}

static int watch_signals(struct daemon *d)
{
    for (; d->signal_count < SIGNAL_COUNT; d->signal_count++) {
        uv_signal_t *handle = &d->signals[d->signal_count];
        int err = uv_signal_init(&d->loop, handle);
        if (err)
            return err;
        handle->data = d;
        err = uv_signal_start(handle, on_signal, SIGNAL_NUMBERS[d->signal_count]);
        if (err) {
            uv_close((uv_handle_t *)handle, NULL);
            return err;
        }
    }
    return 0;
}

static void on_second(void *ctx)
{
    struct daemon *d = ctx;

    renewal_collect(&d->renewal);
}

/* The health or the operator state of a backend: alarms may come or go. */
static void on_backend_changed(void *ctx)
{
    struct daemon *d = ctx;

    upkeep_check_alarms(d->upkeep);
    fastpath_refresh(&d->dp.bindings);
}

static void on_xdp_tick(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    xdp_tick(d->xdp, uv_now(&d->loop));
}

/* After the state file has been read: an earlier run's table is gone through for its flows. */
static int start_xdp(struct daemon *d)
{
    uv_update_time(&d->loop);
    xdp_start(d->xdp, &d->dp.bindings, &d->log, uv_now(&d->loop));
    const int err = uv_timer_init(&d->loop, &d->xdp_timer);
    if (err)
        return err;
    d->xdp_timer.data = d;
    d->xdp_ticks = true;
    return uv_timer_start(&d->xdp_timer, on_xdp_tick, XDP_TICK_MS, XDP_TICK_MS);
}

static int start_dataplane(struct daemon *d)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return -errno;
    d->pool = pool_create();
    if (!d->pool)
        return -ENOMEM;
    const int pool_err = pool_config_apply(d->pool, d->config, NULL);
    if (pool_err)
        return pool_err;
    const struct dataplane_settings settings = {
        .max_clients = d->config->max_clients,
        .source_rate = d->config->source_rate,
        .source_burst = d->config->source_burst,
        .seed = seed,
    };
    const int err = dataplane_init(&d->dp, d->pool, &settings);
    d->dp_ready = !err;
    return err;
}

static void describe(void *ctx, char text[static MANAGER_STATUS_MAX])
{
    const struct daemon *d = ctx;
    size_t services = 0, backends = 0, down = 0;
    uint32_t clients = 0;

    for (uint16_t s = d->pool->first_service; s != POOL_NONE; s = d->pool->services[s].next) {
        services++;
        for (uint16_t b = d->pool->services[s].first_backend; b != POOL_NONE; b = d->pool->backends[b].next) {
            backends++;
            down += d->pool->backends[b].health == HEALTH_DOWN;
            clients += d->pool->backends[b].clients;
        }
    }
    snprintf(text, MANAGER_STATUS_MAX, "%zu service%s, %zu backend%s (%zu down), %" PRIu32 " client%s",
             services, plural(services), backends, plural(backends), down, clients, plural(clients));
}

/* A second ikelb fails at the first step: it disturbs nothing, and says that it is one. */
static int start_io(struct daemon *d)
{
    d->claim = kernel_claim(&d->log);
    if (d->claim < 0)
        return d->claim;
    int err = handover_create(&d->log, &d->handover);
    if (err)
        return err;
    d->kernel = kernel_create(); /* before the sockets take the low descriptors */
    if (!d->kernel)
        return -ENOMEM;
    err = io_socket_create(&d->loop, &d->dp, handover_inherited(d->handover), &d->log, &d->io);
    if (err)
        return err;
    err = kernel_start(d->kernel, d->pool, io_socket_return_ports(d->io), &d->log);
    d->kernel_ready = !err;
    if (!err)
        err = io_socket_start(d->io);
    if (!err)
        handover_update(d->handover, d->io);
    return err;
}

static int start_admin(struct daemon *d)
{
    d->backend_change =
        (struct backend_change){.pool = d->pool, .log = &d->log, .changed = on_backend_changed, .ctx = d};
    d->changes[CHANGE_BACKEND] = (struct api_change){
        .path = BACKEND_CHANGE_PATH, .handle = backend_change_handle, .ctx = &d->backend_change};
    d->changes[CHANGE_RELOAD] =
        (struct api_change){.path = "/api/v1/reload", .handle = renewal_post, .ctx = &d->renewal};
    const struct admin_settings settings = {
        .socket_path = d->config->admin_socket,
        .listen = d->config->admin_listen,
        .token_path = d->config->admin_token_file,
        .changes = d->changes,
        .change_count = CHANGE_COUNT,
        .dp = &d->dp,
        .saving = &d->saving,
        .log = &d->log,
        .started_ms = clock_now_ms(),
    };
    int err = 0;

    d->admin = admin_create(&d->loop, &settings, &err);
    return d->admin ? 0 : err;
}

/* What a reload works on, once all of it has been started. */
static void prepare_renewal(struct daemon *d, const char *path, struct config *config)
{
    d->renewal = (struct renewal){
        .path = path,
        .started = d->config,
        .config = config,
        .log = &d->log,
        .dp = &d->dp,
        .io = d->io,
        .kernel = d->kernel,
        .probes = d->probes,
        .admin = d->admin,
        .handover = d->handover,
    };
}

/*
 * What the daemon before has left. By now no other one can run here that still writes the file, the addresses
 * of full NAT are known, and no packet has been looked at.
 */
static int start_saver(struct daemon *d)
{
    const char *path = d->config->state_file;

    if (path[0] == '\0')
        return 0;
    recall_state(path, &d->dp.bindings, &d->log);
    return saver_create(&d->loop, path, &d->dp, &d->log, &d->saving, &d->saver);
}

static int start(struct daemon *d)
{
    int err = privileges_check(&d->log);

    if (!err)
        err = watch_signals(d); /* first: one that comes while we start must not leave behind what is there */
    if (!err)
        err = start_dataplane(d);
    if (!err)
        err = start_io(d);
    if (!err)
        err = start_admin(d);
    if (!err)
        err = upkeep_create(&d->loop, &d->dp, &d->log, on_second, d, &d->upkeep);
    if (!err)
        err = start_saver(d);
    if (!err)
        err = start_xdp(d);
    if (!err)
        err = probes_create(&d->loop, d->config, d->pool, &d->log, on_backend_changed, d, &d->probes);
    if (!err)
        err = manager_create(&d->loop, describe, d, &d->manager);
    return err;
}

static void deinit(struct daemon *d)
{
    xdp_destroy(d->xdp, d->leaves_kernel);
    if (d->kernel_ready && !d->leaves_kernel)
        kernel_stop(d->kernel, &d->log);
    kernel_destroy(d->kernel);
    if (d->claim >= 0)
        close(d->claim);
    handover_destroy(d->handover);
    if (d->dp_ready)
        dataplane_deinit(&d->dp);
    pool_destroy(d->pool);
    (void)uv_loop_close(&d->loop);
}

static void announce(struct daemon *d)
{
    size_t backends = 0;

    for (size_t s = 0; s < d->config->service_count; s++)
        backends += d->config->services[s].backend_count;
    log_info(&d->log,
             "ikelb " IKELB_VERSION " serves %zu service%s with %zu backend%s, for at most %" PRIu32
             " clients",
             d->config->service_count, plural(d->config->service_count), backends, plural(backends),
             d->config->max_clients);
    manager_ready();
}

static void report_failure(const struct daemon *d, int err)
{
    if (err == -ENOMEM)
        log_error(&d->log,
                  "cannot start: %s (dataplane.max_clients, which is %" PRIu32
                  ", decides how much is needed: "
                  "lower it, or let ikelb have more)",
                  err_text(err), d->config->max_clients);
    else
        log_error(&d->log, "cannot start: %s", err_text(err));
}

int daemon_run(const char *path, struct config *config, struct xdp *xdp)
{
    struct daemon d = {
        .config = config,
        .xdp = xdp,
        .log = {.level = config->log_level, .format = config->log_format, .out = stderr},
        .claim = -1,
    };
    int err = uv_loop_init(&d.loop);

    if (err) {
        log_error(&d.log, "cannot start: %s", uv_strerror(err));
        xdp_destroy(xdp, false);
        config_destroy(config);
        return err;
    }
    err = start(&d);
    prepare_renewal(&d, path, config);
    if (err) {
        report_failure(&d, err);
        stop(&d);
    } else {
        announce(&d);
    }
    uv_run(&d.loop, UV_RUN_DEFAULT);
    deinit(&d);
    if (d.renewal.config != config)
        config_destroy(d.renewal.config);
    config_destroy(config);
    return err;
}
