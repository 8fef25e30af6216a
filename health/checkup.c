#include "health/checkup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "health/socket.h"
#include "health/watch.h"
#include "ike/classify.h"

/* How long a lost packet is waited for while sizes are tried: the answer's usual time, many times over. */
#define PATIENCE_ROUND_TRIPS 20
#define PATIENCE_MIN_MS      600

/*
 * The order: the first handshake, which tells whether all else makes sense, beside TCP; then what leaves
 * nothing on the server; then the other two handshakes, since a server that has come to refuse us would
 * answer nothing more.
 */
struct checkup {
    struct checkup_request request;
    struct checkup_result result;
    struct watch *tcp; /* NULL once its outcome is known */
    uv_timer_t timer;  /* for TCP */
    unsigned pending;  /* questions of this step under way; TCP has until the end */
    enum { STEP_FIRST, STEP_SHAPES, STEP_PAIRING, STEP_AGAIN, STEP_END } step;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void advance(struct checkup *c);

static void end_question(struct checkup *c)
{
    c->pending--;
    advance(c);
}

static void end_tcp(struct checkup *c, bool open, int error, const char *cause)
{
    struct checkup_tcp *tcp = &c->result.tcp;

    tcp->open = open;
    tcp->error = error;
    snprintf(tcp->cause, sizeof tcp->cause, "%s", cause);
    watch_close(c->tcp);
    c->tcp = NULL;
    uv_timer_stop(&c->timer);
}

static void on_tcp(void *ctx, int fd)
{
    struct checkup *c = ctx;
    const int error = socket_error(fd);

    end_tcp(c, error == 0, -error, error ? err_text(-error) : "");
    advance(c);
}

static void on_tcp_timeout(uv_timer_t *timer)
{
    struct checkup *c = timer->data;
    char cause[CAUSE_MAX], duration[CAUSE_DURATION_MAX];

    cause_set(cause, "no answer within %s", cause_duration(c->request.timeout_ms, duration));
    end_tcp(c, false, 0, cause);
    advance(c);
}

static void begin_tcp(struct checkup *c)
{
    const struct endpoint target = {.addr = c->request.target, .port = CHECKUP_TCP_PORT};
    int status = socket_tcp(&target);

    if (status >= 0)
        status = watch_open(c->request.loop, status, UV_WRITABLE, on_tcp, c, &c->tcp);
    if (status < 0) {
        end_tcp(c, false, status, err_text(status));
        return;
    }
    uv_timer_start(&c->timer, on_tcp_timeout, c->request.timeout_ms, 0);
}

static void on_first(void *ctx, const struct inquiry_result *result)
{
    struct checkup *c = ctx;

    c->result.first = *result;
    end_question(c);
}

static void on_again(void *ctx, const struct inquiry_result *result)
{
    struct checkup *c = ctx;

    c->result.again = *result;
    c->result.asked_again = true;
    end_question(c);
}

static void on_path(void *ctx, const struct path_result *result)
{
    struct checkup *c = ctx;

    c->result.path = *result;
    c->result.measured = true;
    end_question(c);
}

static void on_pairing(void *ctx, enum pairing_verdict verdict)
{
    struct checkup *c = ctx;

    c->result.pairing = verdict;
    c->result.paired = true;
    end_question(c);
}

static void on_knock(struct checkup *c, int port, const struct knock_outcome *outcome)
{
    c->result.knocks[port] = *outcome;
    c->result.knocked[port] = true;
    end_question(c);
}

static void on_knock_500(void *ctx, const struct knock_outcome *outcome)
{
    on_knock(ctx, 0, outcome);
}

static void on_knock_4500(void *ctx, const struct knock_outcome *outcome)
{
    on_knock(ctx, 1, outcome);
}

/* A question that could not be begun, for want of memory, is left out. */
static void count(struct checkup *c, int status)
{
    c->pending += status == 0;
}

static uint32_t patience_ms(const struct checkup *c)
{
    uint64_t longest_us = 0;

    for (int i = 0; i < INQUIRY_PORTS; i++)
        if (c->result.first.ports[i].round_trip_us > longest_us)
            longest_us = c->result.first.ports[i].round_trip_us;
    const uint64_t ms = PATIENCE_ROUND_TRIPS * longest_us / 1000;
    return ms < PATIENCE_MIN_MS         ? PATIENCE_MIN_MS
           : ms > c->request.timeout_ms ? c->request.timeout_ms
                                        : (uint32_t)ms;
}

static void ask_first(struct checkup *c)
{
    begin_tcp(c);
    count(c, inquiry_start(c->request.loop, &c->request.target, c->request.timeout_ms, on_first, c, NULL));
}

/* A port that is known to be dead is not waited for that long again. */
static void ask_again(struct checkup *c)
{
    const struct inquiry_port *ports = c->result.first.ports;
    const uint32_t timeout_ms = ports[1].alive ? c->request.timeout_ms : patience_ms(c);

    if (ports[0].alive)
        count(c, inquiry_start(c->request.loop, &c->request.target, timeout_ms, on_again, c, NULL));
}

/* From source ports of their own, in all sizes. */
static void ask_shapes(struct checkup *c)
{
    const struct inquiry_port *ports = c->result.first.ports;
    const struct path_request path = {.loop = c->request.loop,
                                      .target = c->request.target,
                                      .alive = {ports[0].alive, ports[1].alive},
                                      .link_mtu = c->request.link_mtu,
                                      .patience_ms = patience_ms(c),
                                      .done = on_path,
                                      .ctx = c};

    for (int i = 0; i < 2; i++) {
        const struct knock_request knock = {.loop = c->request.loop,
                                            .target = c->request.target,
                                            .natt_port = i == 1,
                                            .source_port = i == 1 ? IKE_NATT_PORT : IKE_PORT,
                                            .delay_ms = PATH_BEGINNING_MS + (uint32_t)i * KNOCK_SPACING_MS,
                                            .timeout_ms = patience_ms(c),
                                            .done = i == 1 ? on_knock_4500 : on_knock_500,
                                            .ctx = c};
        count(c, knock_start(&knock, NULL));
    }
    if ((ports[0].alive && !ports[0].refusing) || (ports[1].alive && !ports[1].refusing))
        count(c, path_start(&path, NULL));
}

static void ask_pairing(struct checkup *c)
{
    const struct inquiry_port *ports = c->result.first.ports;
    const struct pairing_request request = {.loop = c->request.loop,
                                            .target = c->request.target,
                                            .timeout_ms = c->request.timeout_ms,
                                            .done = on_pairing,
                                            .ctx = c};

    if (ports[0].alive && ports[1].alive && !ports[0].refusing)
        count(c, pairing_start(&request, NULL));
}

static void advance(struct checkup *c)
{
    static void (*const steps[])(struct checkup * c) = {
        [STEP_FIRST] = ask_first,
        [STEP_SHAPES] = ask_shapes,
        [STEP_PAIRING] = ask_pairing,
        [STEP_AGAIN] = ask_again,
    };

    while (c->pending == 0 && c->step != STEP_END)
        steps[c->step++](c);
    if (c->pending || c->tcp)
        return;
    c->request.done(c->request.ctx, &c->result);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void on_begin(uv_timer_t *timer)
{
    advance(timer->data);
}

int checkup_start(const struct checkup_request *request)
{
    struct checkup *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->request = *request;
    c->result.target = request->target;
    c->result.timeout_ms = request->timeout_ms;
    uv_timer_init(request->loop, &c->timer); /* cannot fail */
    c->timer.data = c;
    uv_timer_start(&c->timer, on_begin, 0, 0);
    return 0;
}
