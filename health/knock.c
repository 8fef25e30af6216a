#include "health/knock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "health/ike_lane.h"
#include "ike/message.h"

#define UDP_HEADER  8
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define TICKS       2 /* repeat, give up */

struct knock {
    struct knock_request request;
    struct message_random random;
    struct ike_lane *lane;
    uv_timer_t timer;
    unsigned ticks;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void knock_cancel(struct knock *k)
{
    ike_lane_close(k->lane);
    uv_close((uv_handle_t *)&k->timer, on_closed);
}

static void end(struct knock *k, const struct knock_outcome *outcome)
{
    k->request.done(k->request.ctx, outcome);
    knock_cancel(k);
}

static void fail(struct knock *k, int error)
{
    const struct socket_limit limit = k->lane ? ike_lane_limit(k->lane) : (struct socket_limit){0};

    end(k, &(struct knock_outcome){.end = KNOCK_ERROR, .error = error, .limit = limit});
}

static void on_answer(void *ctx, const struct ike_datagram *answer)
{
    (void)answer; /* whatever it says: the datagram has arrived */
    end(ctx, &(struct knock_outcome){.end = KNOCK_ANSWERED});
}

static void on_failure(void *ctx, const char *cause)
{
    struct knock *k = ctx;

    (void)cause;
    fail(k, ike_lane_error(k->lane));
}

uint16_t knock_packet_floor(const struct addr *target)
{
    return addr_family(target) == AF_INET ? KNOCK_PACKET_MIN : 1280;
}

static size_t headers_len(const struct knock_request *request)
{
    return UDP_HEADER + (addr_family(&request->target) == AF_INET ? IPV4_HEADER : IPV6_HEADER);
}

static bool ask(struct knock *k)
{
    const struct knock_request *r = &k->request;
    const struct ike_spi *spi = ike_lane_spi(k->lane);
    uint8_t message[KNOCK_PACKET_MAX];
    char cause[CAUSE_MAX];
    size_t len;

    if (r->packet_len)
        len = message_large_probe(spi, &k->random, r->natt_port, r->packet_len - headers_len(r), message,
                                  sizeof message);
    else
        len = message_probe(spi, &k->random, r->natt_port, message, sizeof message);
    return ike_lane_send(k->lane, message, len, cause);
}

static int begin(struct knock *k)
{
    const struct ike_lane_settings settings = {
        .loop = k->request.loop,
        .target = k->request.target,
        .fragments = k->request.fragments,
        .source_port = k->request.source_port,
        .natt_port = k->request.natt_port,
        .answer = on_answer,
        .failure = on_failure,
        .ctx = k,
    };
    char cause[CAUSE_MAX];
    int status = uv_random(NULL, NULL, &k->random, sizeof k->random, 0, NULL);

    if (status == 0)
        status = ike_lane_open(&settings, &k->lane, cause);
    if (status < 0)
        return status;
    return ask(k) ? 0 : ike_lane_error(k->lane);
}

static void on_timer(uv_timer_t *timer)
{
    struct knock *k = timer->data;
    int status = 0;

    if (k->ticks > TICKS - 1) {
        end(k, &(struct knock_outcome){.end = KNOCK_SILENT});
        return;
    }
    if (k->ticks == 0)
        status = begin(k);
    else if (!ask(k))
        status = ike_lane_error(k->lane);
    k->ticks++;
    if (status < 0)
        fail(k, status);
}

int knock_start(const struct knock_request *request, struct knock **out)
{
    struct knock *k = malloc(sizeof *k);

    if (!k)
        return -ENOMEM;
    *k = (struct knock){.request = *request};
    uv_timer_init(request->loop, &k->timer); /* cannot fail */
    k->timer.data = k;
    uv_timer_start(&k->timer, on_timer, request->delay_ms, request->timeout_ms / TICKS + 1);
    if (out)
        *out = k;
    return 0;
}
