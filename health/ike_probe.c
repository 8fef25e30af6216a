#include "health/ike_probe.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "health/ike_lane.h"
#include "ike/message.h"
#include "ike/payload.h"

#define LANES 2 /* UDP 500 and UDP 4500 */

struct ike_probe;

/* One of the two questions; closed, hence NULL, as soon as it has its answer. */
struct half {
    struct ike_probe *probe;
    struct ike_lane *lane;
};

struct ike_probe {
    struct probe_request request;
    struct half halves[LANES];
    bool reminded;
    bool refusing;
};

static void on_answer(void *ctx, const struct ike_datagram *answer)
{
    struct half *half = ctx;
    struct ike_probe *p = half->probe;

    /* Whatever it says, somebody said it; but who talks of versions only has not answered the handshake. */
    if (p->reminded && payload_find_notify(answer, IKE_NOTIFY_INVALID_MAJOR_VERSION, NULL))
        p->refusing = true;
    ike_lane_close(half->lane);
    half->lane = NULL;
    for (int i = 0; i < LANES; i++)
        if (p->halves[i].lane)
            return;
    p->request.done(p->request.ctx, &(struct probe_outcome){.refusing = p->refusing});
}

static void on_failure(void *ctx, const char *cause)
{
    const struct half *half = ctx;
    const struct probe_request *request = &half->probe->request;

    request->done(request->ctx, &(struct probe_outcome){.failure = cause});
}

static bool ask(struct ike_lane *lane, const struct message_random *random, char cause[static CAUSE_MAX])
{
    uint8_t message[IKE_MESSAGE_MAX];
    const bool natt = ike_lane_port(lane) == IKE_NATT_PORT;
    const size_t len = message_probe(ike_lane_spi(lane), random, natt, message, sizeof message);

    return ike_lane_send(lane, message, len, cause);
}

static void destroy(void *probe)
{
    struct ike_probe *p = probe;

    for (int i = 0; i < LANES; i++)
        ike_lane_close(p->halves[i].lane);
    free(p);
}

static void *start(const struct probe_request *request, char cause[static CAUSE_MAX])
{
    struct message_random random;
    struct ike_probe *p = calloc(1, sizeof *p);
    const int status = p ? uv_random(NULL, NULL, &random, sizeof random, 0, NULL) : -ENOMEM;

    if (status < 0) {
        cause_set(cause, "%s", err_text(status));
        free(p);
        return NULL;
    }
    p->request = *request;
    for (int i = 0; i < LANES; i++) {
        struct half *half = &p->halves[i];
        const struct ike_lane_settings settings = {
            .loop = request->loop,
            .target = request->target,
            .natt_port = i == 1,
            .answer = on_answer,
            .failure = on_failure,
            .ctx = half,
        };
        half->probe = p;
        if (ike_lane_open(&settings, &half->lane, cause) < 0 || !ask(half->lane, &random, cause)) {
            destroy(p);
            return NULL;
        }
    }
    return p;
}

/*
 * The server is silent: it is dead, or it ignores handshakes from our address because, with full NAT, that
 * address has too many half-open ones. A version that it cannot know makes even such a server speak.
 */
static void remind(void *probe)
{
    struct ike_probe *p = probe;

    p->reminded = true;
    for (int i = 0; i < LANES; i++) {
        struct ike_lane *lane = p->halves[i].lane;
        uint8_t message[IKE_MESSAGE_MAX];
        char cause[CAUSE_MAX];

        if (!lane)
            continue;
        const bool natt = ike_lane_port(lane) == IKE_NATT_PORT;
        const size_t len = message_future_version(ike_lane_spi(lane), natt, message, sizeof message);
        if (!ike_lane_send(lane, message, len, cause)) {
            p->request.done(p->request.ctx, &(struct probe_outcome){.failure = cause});
            return;
        }
    }
}

static void describe_silence(const void *probe, char text[static CAUSE_MAX])
{
    const struct ike_probe *p = probe;
    const struct ike_lane *plain = p->halves[0].lane;
    const struct ike_lane *natt = p->halves[1].lane;
    const struct ike_lane *lane = plain ? plain : natt;

    if (plain && natt)
        cause_set(text, "no answer on UDP %u and UDP %u", IKE_PORT, IKE_NATT_PORT);
    else if (lane && ike_lane_heard_noise(lane))
        cause_set(text, "no IKE answer, but other datagrams, on UDP %u", ike_lane_port(lane));
    else
        cause_set(text, "no answer on UDP %u", lane ? ike_lane_port(lane) : 0);
}

const struct probe_ops *ike_probe_ops(void)
{
    static const struct probe_ops ops = {
        .start = start,
        .remind = remind,
        .describe_silence = describe_silence,
        .destroy = destroy,
    };

    return &ops;
}
