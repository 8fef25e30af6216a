#include "health/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct watch {
    uv_poll_t poll;
    int fd;
    watch_fn *event;
    void *ctx;
};

/*
 * The status is not looked at: libuv gives EBADF for each pending socket error, and the descriptor knows
 * better.
 */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;

    (void)status;
    (void)events;
    w->event(w->ctx, w->fd);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

int watch_open(uv_loop_t *loop, int fd, int events, watch_fn *event, void *ctx, struct watch **out)
{
    struct watch *w = malloc(sizeof *w);
    int status;

    if (!w) {
        status = -ENOMEM;
        goto close_fd;
    }
    *w = (struct watch){.fd = fd, .event = event, .ctx = ctx};
    status = uv_poll_init(loop, &w->poll, fd);
    if (status < 0)
        goto free_watch;
    w->poll.data = w;
    status = uv_poll_start(&w->poll, events, on_poll);
    if (status < 0) {
        watch_close(w);
        return status;
    }
    *out = w;
    return 0;

free_watch:
    free(w);
close_fd:
    close(fd);
    return status;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    uv_close((uv_handle_t *)&w->poll, on_closed);
    close(w->fd);
}
