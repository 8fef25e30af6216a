#include "health/tcp_probe.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "health/socket.h"
#include "health/watch.h"

struct tcp_probe {
    struct probe_request request;
    struct watch *watch;
};

static void on_connected(void *ctx, int fd)
{
    const struct tcp_probe *p = ctx;
    char cause[CAUSE_MAX];
    const int error = socket_error(fd);

    if (error)
        cause_set(cause, "TCP %u: %s", p->request.tcp_port, err_text(-error));
    p->request.done(p->request.ctx, &(struct probe_outcome){.failure = error ? cause : NULL});
}

static void *start(const struct probe_request *request, char cause[static CAUSE_MAX])
{
    const struct endpoint target = {.addr = request->target, .port = request->tcp_port};
    struct tcp_probe *p = malloc(sizeof *p);
    int status = -ENOMEM;

    if (!p)
        goto fail;
    *p = (struct tcp_probe){.request = *request};
    status = socket_tcp(&target);
    if (status < 0)
        goto fail;
    status = watch_open(request->loop, status, UV_WRITABLE, on_connected, p, &p->watch);
    if (status < 0)
        goto fail;
    return p;

fail:
    cause_set(cause, "TCP %u: %s", request->tcp_port, err_text(status));
    free(p);
    return NULL;
}

static void describe_silence(const void *probe, char text[static CAUSE_MAX])
{
    const struct tcp_probe *p = probe;

    cause_set(text, "no answer on TCP %u", p->request.tcp_port);
}

static void destroy(void *probe)
{
    struct tcp_probe *p = probe;

    watch_close(p->watch);
    free(p);
}

const struct probe_ops *tcp_probe_ops(void)
{
    static const struct probe_ops ops = {
        .start = start,
        .describe_silence = describe_silence,
        .destroy = destroy,
    };

    return &ops;
}
