/*
 * Saves what a restarted daemon must know, again and again and once more at the end. A cycle walks over the
 * tables in slices of the loop, while libuv's thread pool writes what has been walked over: the loop never
 * waits for the disk, but at the end.
 *
 * A cycle begins 5 s after the one before if anything confirmed, or an operator's state, has changed; else
 * after a while, so that the times in the file do not get old. What is confirmed just after the walk has
 * passed is in the next file: together that must not take more than 10 s.
 */
#pragma once

#include <uv.h>

#include "admin/metrics.h"
#include "base/log.h"
#include "lb/dataplane.h"

struct saver;

/*
 * Everything is borrowed and must outlive it; it keeps *figures up to date. 0 and *out, or a negative error.
 * Runs from then on; errors of the disk are logged and counted, and the old file stays.
 */
int saver_create(uv_loop_t *loop, const char *path, struct dataplane *dp, const struct log *log,
                 struct metrics_saving *figures, struct saver **out);

/* Saves everything in one go and frees it; `closed(ctx)` is called from the loop when that is done. */
void saver_close(struct saver *saver, void (*closed)(void *ctx), void *ctx);
