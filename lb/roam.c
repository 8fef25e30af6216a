#include "lb/roam.h"

#include "lb/fastpath.h"

/* So many sessions of a pin are looked at: an address with more is a carrier's NAT, whose flows end by
 * themselves. */
#define LOOKS_MAX 32

/* Does another session of the same pin use that port? */
static bool is_shared(const struct bindings *b, const struct session *session)
{
    const struct sessions *sessions = b->tracking.sessions;
    uint32_t index = sessions_of_pin(sessions, session->pin);

    for (int looks = 0; looks < LOOKS_MAX && index != SESSION_NONE; looks++) {
        const struct session *other = sessions_get(b->tracking.sessions, index);
        if (other != session && other->confirmed && other->story.client_port == session->story.client_port)
            return true;
        index = other->pin_next;
    }
    return index != SESSION_NONE;
}

/* Where the session was: its flow there is not needed any more, if it is still there and nobody else's. */
static void leave_flow(struct bindings *b, const struct session *session, uint16_t listener)
{
    const struct flow_in_key key = {
        .client = pins_get(b->pins, session->pin)->client,
        .client_port = session->story.client_port,
        .listener = listener,
    };
    const uint32_t left = flows_find_in(b->flows, &key);

    if (left != FLOW_NONE && !is_shared(b, session)) {
        fastpath_leave(b, left); /* what comes there yet is looked at */
        flows_get(b->flows, left)->flags |= FLOW_LEFT;
    }
}

static void note(struct bindings *b, enum journal_event event, const struct session *session,
                 const struct endpoint *client, const struct endpoint *other, uint64_t now_ms)
{
    const struct journal_entry entry = {
        .event = event,
        .client = *client,
        .service = session->story.service,
        .at_ms = now_ms,
        .other = *other,
        .story = session->story,
    };

    journal_note(b->tracking.journal, &entry);
}

/* The session goes to another address: its pin there keeps later handshakes at the same backend. */
static void change_pin(struct bindings *b, uint32_t index, uint32_t pin)
{
    struct session *session = sessions_get(b->tracking.sessions, index);
    const uint32_t old = session->pin;

    sessions_move(b->tracking.sessions, index, pin);
    if (sessions_of_pin(b->tracking.sessions, old) == SESSION_NONE)
        pins_get(b->pins, old)->flags |= PIN_LEFT;
    tracking_set_stage(&b->tracking, pin, (enum stage)session->story.stage);
    struct pin *to = pins_get(b->pins, pin);
    to->flags =
        (uint8_t)((to->flags & ~PIN_LEFT) | (pins_get(b->pins, old)->flags & PIN_CLIENT_FRAGMENTATION));
}

static void count(struct bindings *b, uint16_t service, uint32_t pin, enum roam kind)
{
    struct pin *p = pins_get(b->pins, pin);

    b->pool->services[service].roams_total[kind]++;
    p->roams = (uint16_t)(p->roams + (p->roams < UINT16_MAX));
}

void roam_confirmed(struct bindings *b, uint32_t index, uint32_t flow_index, uint64_t now_ms)
{
    struct flow *flow = flows_get(b->flows, flow_index);
    struct session *session = sessions_get(b->tracking.sessions, index);
    const struct endpoint here = {.addr = flow->client, .port = flow->client_port};
    const struct endpoint there = {.addr = pins_get(b->pins, session->pin)->client,
                                   .port = session->story.client_port};
    const bool is_natt = flow->listener % IKE_PORT_COUNT == IKE_PORT_4500;
    const bool was_natt = session->story.flags & STORY_NATT;

    bindings_see_session(b, flow, index);
    flow->flags &= (uint8_t)~FLOW_LEFT;
    session->story.flags = (uint16_t)((session->story.flags & ~STORY_NATT) | (is_natt ? STORY_NATT : 0));
    const bool same_address = addr_equal(&here.addr, &there.addr);
    if (same_address && (here.port == there.port || was_natt != is_natt)) {
        session->story.client_port = here.port; /* from 500 to 4500 is the way of each handshake, no move */
        return;
    }
    b->changes++;
    note(b, JOURNAL_LEFT, session, &there, &here, now_ms);
    leave_flow(b, session, flow->listener);
    session->story.roams = (uint8_t)(session->story.roams + (session->story.roams < UINT8_MAX));
    session->story.client_port = here.port;
    if (session->pin != flow->pin)
        change_pin(b, index, flow->pin);
    note(b, JOURNAL_CAME, session, &here, &there, now_ms);
    count(b, session->story.service, flow->pin, same_address ? ROAM_REBIND : ROAM_MOBIKE);
}

void roam_confirmed_esp(struct bindings *b, uint32_t index, uint64_t now_ms)
{
    const struct flow *flow = flows_get(b->flows, index);
    const uint32_t session = bindings_session_of_flow(b, flow);

    if (session != SESSION_NONE)
        roam_confirmed(b, session, index, now_ms);
    else
        count(b, (uint16_t)(flow->listener / IKE_PORT_COUNT), flow->pin, ROAM_REBIND);
}
