#include "health/inquiry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "health/ike_lane.h"
#include "health/opening.h"
#include "ike/vendor.h"

#define TICKS 3 /* of a round: repeat the question, ask in another way, give up */

/* The question to one port. */
struct question {
    struct inquiry *inquiry;
    struct inquiry_port *report;
    struct ike_lane *lane; /* NULL once answered or failed */
    uint64_t asked_ns;
    bool full; /* an acceptable IKE_SA_INIT; else the health probe, which leaves no trace */
    bool version_asked;
    struct opening opening;
};

struct inquiry {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct inquiry_result result;
    struct question questions[INQUIRY_PORTS]; /* to ports 500 and 4500 */
    uint32_t timeout_ms;
    unsigned ticks; /* of this round */
    bool second_round;
    inquiry_done_fn *done;
    void *ctx;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void dispose(struct inquiry *q)
{
    for (int i = 0; i < INQUIRY_PORTS; i++)
        ike_lane_close(q->questions[i].lane);
    uv_close((uv_handle_t *)&q->timer, on_closed);
}

static void begin_second_round(struct inquiry *q);

/* Called when a question has ended; with the last one, the round ends too. */
static void check_end(struct inquiry *q)
{
    const struct inquiry_port *ports = q->result.ports;

    for (int i = 0; i < INQUIRY_PORTS; i++)
        if (q->questions[i].lane)
            return;
    /* The full question went to port 500 alone, to leave but one half-open SA. If nobody heard it there: */
    if (!q->second_round && !ports[0].alive && ports[1].alive) {
        begin_second_round(q);
        return;
    }
    q->done(q->ctx, &q->result);
    dispose(q);
}

static void end_question(struct question *t)
{
    ike_lane_close(t->lane);
    t->lane = NULL;
}

/* In the second round the port has shown already that it is alive. The error is 0 for silence. */
static void fail_question(struct question *t, int error, const char *cause)
{
    if (!t->report->alive) {
        snprintf(t->report->cause, sizeof t->report->cause, "%s", cause);
        t->report->error = error;
    }
    end_question(t);
}

static bool ask(struct question *t, char cause[static CAUSE_MAX])
{
    uint8_t message[IKE_MESSAGE_MAX];
    const bool natt = t->report->port == IKE_NATT_PORT;
    size_t len;

    if (t->full)
        len = opening_write(&t->opening, natt, message, sizeof message);
    else
        len = message_probe(ike_lane_spi(t->lane), &t->opening.random, natt, message, sizeof message);
    return ike_lane_send(t->lane, message, len, cause);
}

/* See ike_probe.c: even a server that ignores handshakes from our address answers this. */
static bool ask_for_version(struct question *t, char cause[static CAUSE_MAX])
{
    uint8_t message[IKE_MESSAGE_MAX];
    const bool natt = t->report->port == IKE_NATT_PORT;
    const size_t len = message_future_version(ike_lane_spi(t->lane), natt, message, sizeof message);

    t->version_asked = true;
    return ike_lane_send(t->lane, message, len, cause);
}

/* Whether the server has demanded something of the full question that it gets now. */
static bool demand_met(struct question *t, const struct ike_datagram *d)
{
    const bool met = opening_meet_demand(&t->opening, d);

    t->inquiry->result.cookie_demanded |= t->opening.cookie_demanded;
    return met && t->full;
}

static void add_vendor(struct inquiry_result *r, const struct ike_payload *p)
{
    if (r->vendor_count == INQUIRY_VENDORS_MAX)
        return;
    struct inquiry_vendor *v = &r->vendors[r->vendor_count];
    v->hex[0] = '\0';
    for (size_t i = 0; i < p->len && 2 * i + 2 < sizeof v->hex; i++)
        snprintf(v->hex + 2 * i, 3, "%02x", p->body[i]);
    v->name = vendor_name(p->body, p->len);
    for (size_t i = 0; i < r->vendor_count; i++)
        if (strcmp(r->vendors[i].hex, v->hex) == 0)
            return; /* told already by the other port */
    r->vendor_count++;
}

/* Takes note of vendors and returns the first notify of an error or of a demand, else 0. */
static uint16_t read_payloads(struct inquiry_result *r, const struct ike_datagram *d)
{
    struct payload_walk w;
    struct ike_payload p;
    struct ike_notify n;
    uint16_t verdict = 0;

    if (payload_walk_init(&w, d) < 0)
        return 0;
    while (payload_walk_next(&w, &p)) {
        if (payload_is_vendor(&p))
            add_vendor(r, &p);
        const bool notify = p.type == IKE_PAYLOAD_NOTIFY || p.type == IKE_PAYLOAD_V1_NOTIFY;
        if (!notify || payload_notify(&p, &n) < 0 || verdict)
            continue;
        if (n.type < IKE_NOTIFY_STATUS_MIN || n.type == IKE_NOTIFY_COOKIE || n.type == IKE_NOTIFY_REDIRECT)
            verdict = n.type;
    }
    return verdict;
}

static void report_answer(struct question *t, const struct ike_datagram *d)
{
    struct inquiry_result *r = &t->inquiry->result;
    char *answer = t->report->answer;
    const uint16_t verdict = read_payloads(r, d);
    const char *name = notify_name(verdict);

    t->report->major = d->header.major;
    t->report->notify = verdict;
    if (d->header.major == 1)
        snprintf(answer, INQUIRY_ANSWER_MAX, "IKEv1 only (notify %u)", verdict);
    else if (name)
        snprintf(answer, INQUIRY_ANSWER_MAX, "%s", name);
    else if (verdict)
        snprintf(answer, INQUIRY_ANSWER_MAX, "notify %u", verdict);
    else
        snprintf(answer, INQUIRY_ANSWER_MAX, "%s",
                 opening_is_accepted(d) ? "handshake accepted" : "IKE message");

    t->report->refusing = t->version_asked && verdict == IKE_NOTIFY_INVALID_MAJOR_VERSION;
    if (opening_is_accepted(d)) {
        const bool yes = payload_find_notify(d, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL);
        r->fragmentation = yes ? INQUIRY_FRAGMENTATION_YES : INQUIRY_FRAGMENTATION_NO;
    }
}

static void on_answer(void *ctx, const struct ike_datagram *d)
{
    struct question *t = ctx;
    char cause[CAUSE_MAX];

    if (!t->report->alive)
        t->report->round_trip_us = (uv_hrtime() - t->asked_ns) / 1000;
    t->report->alive = true;
    report_answer(t, d);
    if (demand_met(t, d) && ask(t, cause))
        return;
    end_question(t);
    check_end(t->inquiry);
}

static void on_failure(void *ctx, const char *cause)
{
    struct question *t = ctx;

    fail_question(t, ike_lane_error(t->lane), cause);
    check_end(t->inquiry);
}

static void begin_question(struct question *t, bool full)
{
    struct inquiry *q = t->inquiry;
    const struct ike_lane_settings settings = {
        .loop = q->loop,
        .target = q->result.target,
        .natt_port = t->report->port == IKE_NATT_PORT,
        .answer = on_answer,
        .failure = on_failure,
        .ctx = t,
    };
    char cause[CAUSE_MAX];

    t->full = full;
    t->version_asked = false;
    t->asked_ns = uv_hrtime();
    const int status = ike_lane_open(&settings, &t->lane, cause);
    if (status == 0) {
        opening_name(&t->opening, ike_lane_spi(t->lane));
        if (ask(t, cause))
            return;
    }
    fail_question(t, status ? status : ike_lane_error(t->lane), cause);
}

static void silence_question(struct question *t)
{
    char cause[CAUSE_MAX], duration[CAUSE_DURATION_MAX];
    const bool noise = ike_lane_heard_noise(t->lane);

    cause_set(cause, "%s on UDP %u within %s", noise ? "no IKE answer, but other datagrams," : "no answer",
              t->report->port, cause_duration(t->inquiry->timeout_ms, duration));
    fail_question(t, 0, cause);
}

static void tick_question(struct question *t, unsigned tick)
{
    char cause[CAUSE_MAX];

    if (!t->lane)
        return;
    if (tick == TICKS)
        silence_question(t);
    else if (!(tick == 1 ? ask(t, cause) : ask_for_version(t, cause)))
        fail_question(t, ike_lane_error(t->lane), cause);
}

static void on_timer(uv_timer_t *timer)
{
    struct inquiry *q = timer->data;

    if (q->ticks == 0 && !q->second_round)
        for (int i = 0; i < INQUIRY_PORTS; i++)
            begin_question(&q->questions[i], i == 0);
    else
        for (int i = 0; i < INQUIRY_PORTS; i++)
            tick_question(&q->questions[i], q->ticks);
    q->ticks++;
    check_end(q);
}

static void start_timer(struct inquiry *q, uint64_t first_ms)
{
    uv_timer_start(&q->timer, on_timer, first_ms, q->timeout_ms / TICKS + 1);
}

static void begin_second_round(struct inquiry *q)
{
    q->second_round = true;
    q->ticks = 1;
    start_timer(q, q->timeout_ms / TICKS + 1);
    begin_question(&q->questions[1], true);
    check_end(q);
}

int inquiry_start(uv_loop_t *loop, const struct addr *target, uint32_t timeout_ms, inquiry_done_fn *done,
                  void *ctx, struct inquiry **out)
{
    static const uint16_t ports[INQUIRY_PORTS] = {IKE_PORT, IKE_NATT_PORT};

    if (!timeout_ms)
        return ERR_RANGE;
    struct inquiry *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    q->loop = loop;
    q->timeout_ms = timeout_ms;
    q->done = done;
    q->ctx = ctx;
    q->result.target = *target;
    for (int i = 0; i < INQUIRY_PORTS; i++) {
        struct question *t = &q->questions[i];
        t->inquiry = q;
        t->report = &q->result.ports[i];
        t->report->port = ports[i];
        const int status = opening_init(&t->opening);
        if (status < 0) {
            free(q);
            return status;
        }
    }
    uv_timer_init(loop, &q->timer); /* cannot fail */
    q->timer.data = q;
    start_timer(q, 0);
    if (out)
        *out = q;
    return 0;
}

void inquiry_cancel(struct inquiry *q)
{
    dispose(q);
}
