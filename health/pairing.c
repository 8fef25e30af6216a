#include "health/pairing.h"

#include <errno.h>
#include <stdlib.h>

#include "health/ike_lane.h"
#include "health/opening.h"

/* The steps, each with a lane of its own; a step ends when it has its answer, or in silence. */
enum {
    STEP_BEGIN,                                   /* at port 500 */
    STEP_REPEAT,                                  /* at port 4500 */
    STEP_CONTROL = STEP_REPEAT + PAIRING_REPEATS, /* at port 500 from another port */
    STEPS,
};

/* What a step has heard of the server. */
enum heard { HEARD_NOTHING, HEARD_FIRST, HEARD_OTHER, HEARD_DEMAND };

/* The lanes stay open: some servers repeat an answer to where they have sent it before. */
struct leg {
    struct pairing *pairing;
    struct ike_lane *lane;
    enum heard heard;
    unsigned sent;
    unsigned answers;
};

struct pairing {
    struct pairing_request request;
    uv_timer_t timer;
    struct leg legs[STEPS];
    int step;
    struct opening opening;
    struct ike_spi spi_r; /* of the first answer */
    bool repeated;        /* the message of this step */
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void pairing_cancel(struct pairing *p)
{
    for (int i = 0; i < STEPS; i++)
        ike_lane_close(p->legs[i].lane);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void end(struct pairing *p, enum pairing_verdict verdict)
{
    p->request.done(p->request.ctx, verdict);
    pairing_cancel(p);
}

static bool heard_at_4500(const struct pairing *p, enum heard what)
{
    for (int i = STEP_REPEAT; i < STEP_CONTROL; i++)
        if (p->legs[i].heard == what)
            return true;
    return false;
}

static enum pairing_verdict judge(const struct pairing *p)
{
    if (heard_at_4500(p, HEARD_OTHER)) {
        if (p->legs[STEP_CONTROL].heard == HEARD_FIRST)
            return PAIRING_DIFFERENT;
        return p->legs[STEP_CONTROL].heard == HEARD_OTHER ? PAIRING_BY_PORT : PAIRING_UNCLEAR;
    }
    return heard_at_4500(p, HEARD_FIRST) ? PAIRING_SAME : PAIRING_UNCLEAR;
}

static bool ask(struct pairing *p)
{
    uint8_t message[IKE_MESSAGE_MAX];
    char cause[CAUSE_MAX];
    struct leg *leg = &p->legs[p->step];
    const bool natt = ike_lane_port(leg->lane) == IKE_NATT_PORT;
    const size_t len = opening_write(&p->opening, natt, message, sizeof message);

    leg->sent++;
    return ike_lane_send(leg->lane, message, len, cause);
}

static void on_answer(void *ctx, const struct ike_datagram *answer);
static void on_failure(void *ctx, const char *cause);
static void on_timer(uv_timer_t *timer);

static int begin_step(struct pairing *p)
{
    struct leg *leg = &p->legs[p->step];
    const struct ike_lane_settings settings = {
        .loop = p->request.loop,
        .target = p->request.target,
        .spi = p->step == STEP_BEGIN ? NULL : &p->opening.init.spi_i,
        .natt_port = p->step >= STEP_REPEAT && p->step < STEP_CONTROL,
        .answer = on_answer,
        .failure = on_failure,
        .ctx = leg,
    };
    char cause[CAUSE_MAX];
    const int status = ike_lane_open(&settings, &leg->lane, cause);

    if (status < 0)
        return status;
    leg->pairing = p;
    if (p->step == STEP_BEGIN)
        opening_name(&p->opening, ike_lane_spi(leg->lane));
    p->repeated = false;
    uv_timer_start(&p->timer, on_timer, p->request.timeout_ms / 2 + 1, 0);
    return ask(p) ? 0 : ike_lane_error(leg->lane);
}

static bool is_over(const struct pairing *p)
{
    if (p->step == STEPS)
        return true;
    return p->step == STEP_CONTROL && !heard_at_4500(p, HEARD_OTHER);
}

/* The step has ended with what was heard; a step that cannot be begun has heard nothing. */
static void go_on(struct pairing *p, enum heard heard)
{
    do {
        p->legs[p->step++].heard = heard;
        heard = HEARD_NOTHING;
        if (is_over(p)) {
            end(p, judge(p));
            return;
        }
    } while (begin_step(p) < 0);
}

static void after_beginning(struct pairing *p, const struct ike_datagram *answer)
{
    if (opening_meet_demand(&p->opening, answer)) {
        p->repeated = false;
        uv_timer_start(&p->timer, on_timer, p->request.timeout_ms / 2 + 1, 0);
        if (ask(p))
            return;
    }
    if (!opening_is_accepted(answer)) {
        end(p, PAIRING_NOT_BEGUN);
        return;
    }
    p->spi_r = answer->header.spi_r;
    go_on(p, HEARD_FIRST);
}

/* What comes on an earlier lane answers this step's message only if that lane has had all of its own answers.
 */
static void on_answer(void *ctx, const struct ike_datagram *answer)
{
    struct leg *leg = ctx;
    struct pairing *p = leg->pairing;

    if (++leg->answers <= leg->sent && leg != &p->legs[p->step])
        return;
    if (p->step == STEP_BEGIN)
        after_beginning(p, answer);
    else if (!opening_is_accepted(answer))
        go_on(p, HEARD_DEMAND);
    else if (header_spi_equal(&answer->header.spi_r, &p->spi_r))
        go_on(p, HEARD_FIRST);
    else
        go_on(p, HEARD_OTHER);
}

static void on_failure(void *ctx, const char *cause)
{
    struct leg *leg = ctx;
    struct pairing *p = leg->pairing;

    (void)cause;
    ike_lane_close(leg->lane);
    leg->lane = NULL;
    if (leg != &p->legs[p->step])
        return;
    if (p->step == STEP_BEGIN)
        end(p, PAIRING_NOT_BEGUN);
    else
        go_on(p, HEARD_NOTHING);
}

static void on_timer(uv_timer_t *timer)
{
    struct pairing *p = timer->data;

    if (!p->repeated) {
        p->repeated = true;
        uv_timer_start(timer, on_timer, p->request.timeout_ms / 2 + 1, 0);
        if (ask(p))
            return;
    }
    if (p->step == STEP_BEGIN)
        end(p, PAIRING_NOT_BEGUN);
    else
        go_on(p, HEARD_NOTHING);
}

int pairing_start(const struct pairing_request *request, struct pairing **out)
{
    struct pairing *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    p->request = *request;
    uv_timer_init(request->loop, &p->timer); /* cannot fail */
    p->timer.data = p;
    int status = opening_init(&p->opening);
    if (status == 0)
        status = begin_step(p);
    if (status < 0) {
        pairing_cancel(p);
        return status;
    }
    if (out)
        *out = p;
    return 0;
}
