/* The one place that wires all modules together: everything that `ikelb run` runs on its loop. */
#pragma once

#include "config/config.h"
#include "lb/xdp/xdp.h"

/*
 * Runs the daemon in the foreground until SIGTERM or SIGINT, after which nothing of it is left in the kernel;
 * or until SIGUSR2, after which, if a service manager keeps its sockets, all of it is. SIGHUP reads the
 * configuration from `path` again; the configuration, which was read from there, is taken over, and so is the
 * fast path of xdp_load(). 0, or a negative error, logged, if it could not start.
 */
int daemon_run(const char *path, struct config *config, struct xdp *xdp);
