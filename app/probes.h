/* Connects health to the pool: one prober a backend, its verdicts written into the pool and the log. */
#pragma once

#include <uv.h>

#include "base/log.h"
#include "config/config.h"
#include "lb/pool.h"

struct probes;

/*
 * A prober for each backend of the pool, which was made from this configuration; all start at once.
 * `changed(ctx)` is called after each change of a state. Everything but the configuration is borrowed. 0 and
 * *out, or a negative error.
 */
int probes_create(uv_loop_t *loop, const struct config *config, struct pool *pool, const struct log *log,
                  void (*changed)(void *ctx), void *ctx, struct probes **out);

/*
 * Takes over what a reload has changed, after pool_config_apply(): backends whose probes are as before are
 * probed on undisturbed, others begin anew with what is believed of them. 0 or a negative error, after which
 * some backends have no probes.
 */
int probes_update(struct probes *probes, const struct config *config);

/* Probes that backend no more. */
void probes_forget(struct probes *probes, uint16_t backend);

/* Stops them all and frees them; `closed(ctx)` is called from the loop when that is done. */
void probes_close(struct probes *probes, void (*closed)(void *ctx), void *ctx);
