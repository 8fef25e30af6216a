#include "lb/handshake.h"

#include "ike/payload.h"
#include "lb/fastpath.h"
#include "lb/passive.h"
#include "lb/proof.h"
#include "lb/roam.h"

static struct pin *pin_of(struct bindings *b, const struct flow *flow)
{
    return pins_get(b->pins, flow->pin);
}

static bool has_payload(const struct ike_datagram *datagram, enum ike_payload_type type)
{
    struct payload_walk walk;
    struct ike_payload payload;

    if (payload_walk_init(&walk, datagram) != 0)
        return false;
    while (payload_walk_next(&walk, &payload))
        if (payload.type == type)
            return true;
    return false;
}

static bool has_sa(const struct ike_datagram *datagram)
{
    return has_payload(datagram, datagram->header.major == 1 ? IKE_PAYLOAD_V1_SA : IKE_PAYLOAD_SA);
}

/*
 * The backend is asked for the first time in this handshake. What many a server leaves unanswered says
 * nothing about it: a message without an SA payload, and IKEv1 where that has never been answered.
 */
static void ask(struct bindings *b, const struct flow *flow, const struct ike_datagram *datagram,
                uint64_t now_ms)
{
    struct backend *backend = &b->pool->backends[flow->backend];

    if (has_sa(datagram) && (datagram->header.major != 1 || backend->passive.answers_v1))
        passive_asked(backend, &flow->client, now_ms);
}

/* The backend whose handshake this is has answered, and it is not that one. */
static bool is_answered_elsewhere(const struct story *story, uint16_t backend)
{
    return story->flags & STORY_ANSWERED && story->backend != backend;
}

/*
 * The session that this message opens, and a new one if it has not been seen before, or if the message goes
 * to another backend than the one that has answered it: that may leave it without a word as well.
 */
static uint32_t opened_session(struct bindings *b, const struct flow *flow,
                               const struct ike_datagram *datagram, uint64_t now_ms)
{
    struct tracking *t = &b->tracking;
    const uint32_t begun = sessions_find_begun(t->sessions, flow->pin, &datagram->header.spi_i);
    struct story story;

    if (begun != SESSION_NONE &&
        !is_answered_elsewhere(&sessions_get(t->sessions, begun)->story, flow->backend))
        return begun;
    story =
        story_begin((uint16_t)(flow->listener / IKE_PORT_COUNT), flow->backend, flow->client_port, now_ms);
    story.spi_i = datagram->header.spi_i;
    if (flow->listener % IKE_PORT_COUNT == IKE_PORT_4500)
        story.flags |= STORY_NATT;
    const uint32_t made = tracking_begin(t, flow->pin, &story, false, now_ms);
    if (made == SESSION_NONE)
        return SESSION_NONE;
    tracking_reach(t, made, STAGE_INIT_SENT, now_ms);
    ask(b, flow, datagram, now_ms);
    return made;
}

static void note_init_request(struct bindings *b, struct flow *flow, const struct ike_datagram *datagram,
                              uint64_t now_ms)
{
    struct pin *pin = pin_of(b, flow);
    const uint32_t index = opened_session(b, flow, datagram, now_ms);

    pin->flags &= (uint8_t)~PIN_CLIENT_FRAGMENTATION;
    if (payload_find_notify(datagram, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL))
        pin->flags |= PIN_CLIENT_FRAGMENTATION;
    if (index == SESSION_NONE) {
        tracking_set_stage(&b->tracking, flow->pin, STAGE_INIT_SENT);
        return;
    }
    struct story *story = &sessions_get(b->tracking.sessions, index)->story;
    if (story->backend != flow->backend) {
        tracking_fail_over(&b->tracking, index, flow->backend);
        ask(b, flow, datagram, now_ms);
    }
    if (pin->flags & PIN_CLIENT_FRAGMENTATION)
        story->flags |= STORY_CLIENT_FRAGMENTATION;
    if (sessions_of_pin(b->tracking.sessions, flow->pin) == index)
        tracking_set_stage(&b->tracking, flow->pin, (enum stage)story->stage);
    story->flags &= (uint16_t)~STORY_ASKED_AGAIN;
    story->init_count = (uint8_t)(story->init_count + (story->init_count < UINT8_MAX));
    story->seen_ms = (uint32_t)now_ms;
}

/* An IKE message of a session; forged ones, from elsewhere, are not believed. */
static void note_message(struct bindings *b, struct flow *flow, const struct ike_datagram *datagram,
                         uint64_t now_ms)
{
    const struct ike_header *h = &datagram->header;
    const uint32_t index = sessions_find(b->tracking.sessions, (uint16_t)(flow->listener / IKE_PORT_COUNT),
                                         &h->spi_i, &h->spi_r);

    if (!sessions_is_of(b->tracking.sessions, index, flow->pin) ||
        sessions_get(b->tracking.sessions, index)->story.backend != flow->backend) {
        if (header_is_auth(h) && index == SESSION_NONE && pin_of(b, flow)->stage < STAGE_AUTH_SENT)
            tracking_set_stage(&b->tracking, flow->pin, STAGE_AUTH_SENT);
        return;
    }
    struct story *story = &sessions_get(b->tracking.sessions, index)->story;
    story->seen_ms = (uint32_t)now_ms;
    flow->client_ms = (uint32_t)now_ms;
    flow->flags &= (uint8_t)~FLOW_LEFT;
    pin_of(b, flow)->flags |= PIN_RECEIVES; /* from a forged address nobody knows the backend's SPI */
    tracking_note_size(&b->tracking, index, flow->backend, STORY_LARGE_FROM_CLIENT, datagram->ike_len);
    if (header_is_auth(h) && story->stage < STAGE_AUTH_ANSWERED) {
        story->auth_count = (uint8_t)(story->auth_count + (story->auth_count < UINT8_MAX));
        tracking_chosen(&b->tracking, index);
        tracking_reach(&b->tracking, index, STAGE_AUTH_SENT, now_ms);
    }
}

/* Once ESP has passed both ways the flow's flags are full and nothing else is looked up again. */
static void note_esp(struct bindings *b, struct flow *flow, enum flow_flag direction, uint64_t now_ms)
{
    if (flow->flags & direction)
        return;
    flow->flags |= (uint8_t)direction;
    if ((flow->flags & FLOW_ESP_BOTH) != FLOW_ESP_BOTH)
        return;
    const uint32_t session = bindings_session_of_flow(b, flow);
    if (session != SESSION_NONE)
        tracking_reach(&b->tracking, session, STAGE_ESTABLISHED, now_ms);
    else
        tracking_set_stage(&b->tracking, flow->pin, STAGE_ESTABLISHED);
}

/*
 * The flow's tunnel is used, unless its latest ESP has an SPI that the backend has not answered yet: that may
 * be of another client, to whom a NAT has given the port.
 */
static bool note_use(struct flow *flow, uint64_t now_ms)
{
    if (flow->esp_spi != flow->proved_spi)
        return false;
    flow->client_ms = (uint32_t)now_ms;
    return true;
}

void handshake_from_client(struct bindings *b, uint32_t index, const struct ike_datagram *datagram,
                           uint64_t now_ms)
{
    struct flow *flow = flows_get(b->flows, index);

    if (datagram->class == IKE_CLASS_KEEPALIVE) {
        note_use(flow, now_ms);
    } else if (datagram->class == IKE_CLASS_ESP) {
        note_esp(b, flow, FLOW_ESP_IN, now_ms);
        if (datagram->esp_spi != flow->esp_spi) {
            bindings_note_esp(b, index, datagram->esp_spi);
            fastpath_unproved(b, index);
        }
        if (note_use(flow, now_ms))
            flow->flags &= (uint8_t)~FLOW_LEFT;
    } else if (header_is_init_request(&datagram->header)) {
        note_init_request(b, flow, datagram, now_ms);
    } else {
        note_message(b, flow, datagram, now_ms);
    }
}

/* The notify by which a server that gives no full answer says why, or what it wants first. */
static uint16_t find_reason(const struct ike_datagram *datagram)
{
    struct payload_walk walk;
    struct ike_payload payload;
    struct ike_notify notify;

    if (payload_walk_init(&walk, datagram) != 0)
        return 0;
    while (payload_walk_next(&walk, &payload)) {
        if ((payload.type != IKE_PAYLOAD_NOTIFY && payload.type != IKE_PAYLOAD_V1_NOTIFY) ||
            payload_notify(&payload, &notify) != 0)
            continue;
        if (notify.type < IKE_NOTIFY_STATUS_MIN || notify.type == IKE_NOTIFY_COOKIE)
            return notify.type;
    }
    return 0;
}

static bool is_full_answer(const struct ike_datagram *datagram)
{
    return !header_spi_is_zero(&datagram->header.spi_r) && has_sa(datagram);
}

/*
 * What the backend can do shows only in a full answer, which has its SA payload (RFC 7296 section 1.2), to a
 * client that had announced it too.
 */
static void note_fragmentation(struct bindings *b, uint16_t backend, struct story *story,
                               const struct ike_datagram *datagram)
{
    if (datagram->header.major != 2 || !(story->flags & STORY_CLIENT_FRAGMENTATION))
        return;
    const bool announced = payload_find_notify(datagram, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL);
    b->pool->backends[backend].fragmentation = announced ? FRAGMENTATION_YES : FRAGMENTATION_NO;
    if (announced)
        story->flags |= STORY_SERVER_FRAGMENTATION;
}

/*
 * The session that this full answer makes. After a failover two backends may answer one first message, and
 * the client goes on with either: then there are two sessions. A server answers a message that somebody has
 * copied from the path, and repeats from another address, with the same SPIs: they stay with who had them
 * first.
 */
static uint32_t answered_session(struct bindings *b, uint32_t index, uint16_t backend,
                                 const struct ike_header *h, uint64_t now_ms)
{
    struct sessions *sessions = b->tracking.sessions;
    struct session *session = sessions_get(sessions, index);
    struct story story = session->story;
    const uint32_t known = sessions_find(sessions, story.service, &h->spi_i, &h->spi_r);

    if (known != SESSION_NONE)
        return sessions_is_of(sessions, known, session->pin) ? known : SESSION_NONE;
    if (story.stage >= STAGE_AUTH_SENT) /* too late: the client has gone on with another's */
        return SESSION_NONE;
    if (header_spi_is_zero(&story.spi_r)) {
        session->story.spi_r = h->spi_r;
        tracking_set_backend(&b->tracking, index, backend);
        return index;
    }
    story.spi_r = h->spi_r;
    story.backend = backend;
    story.flags &= (uint16_t)~STORY_ANSWERED;
    return tracking_begin(&b->tracking, session->pin, &story, false, now_ms);
}

static void note_answered(struct bindings *b, uint32_t index, uint16_t backend, uint64_t now_ms)
{
    struct story *story = &sessions_get(b->tracking.sessions, index)->story;

    tracking_answered(&b->tracking, index, backend);
    story->seen_ms = (uint32_t)now_ms;
    story->error = 0; /* after a failover another server may have refused before */
}

static void note_reason(struct story *story, uint16_t reason)
{
    if (reason == IKE_NOTIFY_COOKIE || reason == IKE_NOTIFY_INVALID_KE_PAYLOAD)
        story->flags |= STORY_ASKED_AGAIN;
    else
        story->error = reason;
}

void handshake_answered(struct bindings *b, uint32_t pin, uint16_t backend,
                        const struct ike_datagram *datagram, uint64_t now_ms)
{
    const struct ike_header *h = &datagram->header;
    const uint32_t index =
        pin == PIN_NONE ? SESSION_NONE : sessions_find_begun(b->tracking.sessions, pin, &h->spi_i);

    passive_answered(&b->pool->backends[backend], h->major == 1);
    if (index == SESSION_NONE)
        return;
    uint32_t session = SESSION_NONE;
    if (is_full_answer(datagram)) {
        note_fragmentation(b, backend, &sessions_get(b->tracking.sessions, index)->story, datagram);
        session = answered_session(b, index, backend, h, now_ms);
    }
    if (session != SESSION_NONE) {
        note_answered(b, session, backend, now_ms);
        tracking_reach(&b->tracking, session, STAGE_INIT_ANSWERED, now_ms);
    } else if (sessions_get(b->tracking.sessions, index)->story.backend == backend) {
        note_answered(b, index, backend, now_ms);
        note_reason(&sessions_get(b->tracking.sessions, index)->story, find_reason(datagram));
    } /* else it is the late word of a backend that the handshake has left */
}

bool handshake_from_backend(struct bindings *b, uint32_t index, const struct ike_datagram *datagram,
                            uint64_t now_ms)
{
    struct flow *flow = flows_get(b->flows, index);
    const struct endpoint client = {.addr = flow->client, .port = flow->client_port};
    const bool is_proof = proof_of_client(b, (uint16_t)(flow->listener / IKE_PORT_COUNT), &client, datagram);

    if (datagram->class == IKE_CLASS_ESP) {
        if (flow->flags & FLOW_MOVED)
            roam_confirmed_esp(b, index, now_ms);
        note_esp(b, flow, FLOW_ESP_OUT, now_ms);
        flow->proved_spi = flow->esp_spi;
    } else if (datagram->class == IKE_CLASS_IKE) {
        if (is_proof)
            proof_accept(b, index, datagram, now_ms);
        else if (header_is_init_response(&datagram->header))
            handshake_answered(b, flow->pin, flow->backend, datagram, now_ms);
        else
            proof_note_response(b, (uint16_t)(flow->listener / IKE_PORT_COUNT), datagram);
    }
    if (is_proof)
        flow->flags &= (uint8_t)~FLOW_MOVED;
    return is_proof;
}
