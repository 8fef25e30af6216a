/* One descriptor watched by the loop, which owns it and cleans up after itself when it is closed. */
#pragma once

#include <uv.h>

struct watch;

/* Something has happened on the descriptor: read it, or ask it for its error. */
typedef void watch_fn(void *ctx, int fd);

/*
 * Watches `fd` for the events (UV_READABLE, UV_WRITABLE) and for errors; calls `event` each time. `fd`
 * belongs to the watch from this call on, even if it fails. 0 with a watch for watch_close() in *out, or
 * -errno.
 */
int watch_open(uv_loop_t *loop, int fd, int events, watch_fn *event, void *ctx, struct watch **out);

/*
 * Closes the descriptor at once; `event` is not called any more. The memory is freed by the loop, which must
 * therefore run on. May be called from within `event`. NULL is fine.
 */
void watch_close(struct watch *w);
