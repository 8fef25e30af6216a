#include "app/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#define STATUS_INTERVAL_MS 5000

struct manager {
    uv_timer_t timer;
    void (*describe)(void *ctx, char text[static MANAGER_STATUS_MAX]);
    void *describe_ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

bool manager_is_there(void)
{
    const char *socket = getenv("NOTIFY_SOCKET");

    return socket && *socket;
}

void manager_ready(void)
{
    (void)sd_notify(0, "READY=1"); /* whoever does not hear it cannot be told that either */
}

void manager_reloading(void)
{
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, uv_hrtime() / 1000);
}

void manager_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

int manager_keep(int fd, const char *name)
{
    char text[512];

    /* FDPOLL=0: else an error that waits in a socket would make the manager close it. */
    snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    const int sent = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
    return sent < 0 ? sent : sent == 0 ? -ENOTCONN : 0;
}

void manager_forget(const char *name)
{
    (void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

static void on_timer(uv_timer_t *timer)
{
    const struct manager *manager = timer->data;
    char text[MANAGER_STATUS_MAX] = "";

    manager->describe(manager->describe_ctx, text);
    (void)sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s", text);
}

/* Three times in the watchdog's time, so that one that is late does no harm. */
static uint64_t interval_ms(void)
{
    uint64_t watchdog_us = 0;

    if (sd_watchdog_enabled(0, &watchdog_us) <= 0 || watchdog_us / 3000 >= STATUS_INTERVAL_MS)
        return STATUS_INTERVAL_MS;
    return watchdog_us < 3000 ? 1 : watchdog_us / 3000;
}

int manager_create(uv_loop_t *loop, void (*describe)(void *ctx, char text[static MANAGER_STATUS_MAX]),
                   void *ctx, struct manager **out)
{
    struct manager *manager = calloc(1, sizeof *manager);

    if (!manager)
        return -ENOMEM;
    *manager = (struct manager){.describe = describe, .describe_ctx = ctx};
    uv_timer_init(loop, &manager->timer); /* neither call can fail: libuv timers need no system call */
    manager->timer.data = manager;
    if (manager_is_there())
        uv_timer_start(&manager->timer, on_timer, 0, interval_ms());
    *out = manager;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct manager *manager = handle->data;
    void (*closed)(void *) = manager->closed;
    void *ctx = manager->closed_ctx;

    free(manager);
    closed(ctx);
}

void manager_close(struct manager *manager, void (*closed)(void *ctx), void *ctx)
{
    manager->closed = closed;
    manager->closed_ctx = ctx;
    uv_close((uv_handle_t *)&manager->timer, on_closed);
}
