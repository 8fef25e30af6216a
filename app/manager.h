/* The one place that talks to the service manager (sd_notify(3)). Without one nothing here has an effect. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Is there a service manager that listens? */
bool manager_is_there(void);

/* "READY=1": the start, or a reload, is complete. */
void manager_ready(void);

/* "RELOADING=1": until manager_ready(), whatever becomes of it. */
void manager_reloading(void);

void manager_stopping(void);

/*
 * Gives the service manager a copy of a descriptor to keep: the next start gets it back, under that name,
 * which has no colon. A name may be given to several. 0 or -errno; whether the manager has room for it is not
 * known.
 */
int manager_keep(int fd, const char *name);

/* The service manager closes what it keeps under that name. */
void manager_forget(const char *name);

/* What is told regularly. */
struct manager;

#define MANAGER_STATUS_MAX 128

/*
 * From now on, while the loop turns, tells the service manager that the daemon lives (as often as its
 * watchdog needs) and what `describe` writes, for `systemctl status`. 0 and *out, or -ENOMEM.
 */
int manager_create(uv_loop_t *loop, void (*describe)(void *ctx, char text[static MANAGER_STATUS_MAX]),
                   void *ctx, struct manager **out);

/* Stops and frees it; `closed(ctx)` is called from the loop when that is done. */
void manager_close(struct manager *manager, void (*closed)(void *ctx), void *ctx);
