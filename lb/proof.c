#include "lb/proof.h"

#include "lb/fastpath.h"
#include "lb/roam.h"

/* An SA that was made by rekeying, inside encryption, or before our time: it is learnt from its backend. */
static uint32_t learn_session(struct bindings *b, const struct flow *flow, const struct ike_header *h,
                              uint64_t now_ms)
{
    struct story story =
        story_begin((uint16_t)(flow->listener / IKE_PORT_COUNT), flow->backend, flow->client_port, now_ms);

    story.spi_i = h->spi_i;
    story.spi_r = h->spi_r;
    story.flags = STORY_REKEYED | STORY_ANSWERED;
    if (flow->listener % IKE_PORT_COUNT == IKE_PORT_4500)
        story.flags |= STORY_NATT;
    const uint32_t index = tracking_begin(&b->tracking, flow->pin, &story, true, now_ms);
    if (index != SESSION_NONE) {
        sessions_get(b->tracking.sessions, index)->next_id = SESSION_ID_UNKNOWN;
        b->changes++;
    }
    return index;
}

/* The backend has answered this message ID. */
static void note_response(struct session *session, const struct ike_header *h)
{
    if (h->flags & IKE_FLAG_RESPONSE &&
        (session->next_id == SESSION_ID_UNKNOWN || h->message_id >= session->next_id))
        session->next_id = h->message_id + 1;
}

void proof_note_response(struct bindings *b, uint16_t service, const struct ike_datagram *datagram)
{
    if (datagram->class != IKE_CLASS_IKE || !header_is_encrypted(&datagram->header))
        return;
    const struct ike_header *h = &datagram->header;
    const uint32_t index = sessions_find(b->tracking.sessions, service, &h->spi_i, &h->spi_r);
    if (index != SESSION_NONE)
        note_response(sessions_get(b->tracking.sessions, index), h);
}

/*
 * Does this message of the backend show that it knows the client to be where the flow leads, and not only
 * that somebody there has repeated an old request? A server answers a repeated request once more, to wherever
 * it came from (RFC 7296 section 2.1); but only the client can make a request with a message ID that was not
 * answered before, and a server sends requests of its own to where it believes the client. Where it is not
 * known what was answered before a response shows nothing. IKEv1 has no roaming, and its message IDs have no
 * order (RFC 2408 section 3.1): there the address must be the same.
 */
static bool is_fresh(const struct bindings *b, const struct session *session, const struct endpoint *client,
                     const struct ike_header *h)
{
    const bool same_address = addr_equal(&pins_get(b->pins, session->pin)->client, &client->addr);

    if (h->major == 1 || (same_address && session->story.client_port == client->port))
        return same_address;
    return !(h->flags & IKE_FLAG_RESPONSE) || h->message_id >= session->next_id;
}

bool proof_of_client(const struct bindings *b, uint16_t service, const struct endpoint *client,
                     const struct ike_datagram *datagram)
{
    if (datagram->class != IKE_CLASS_IKE)
        return datagram->class == IKE_CLASS_ESP;
    if (!header_is_encrypted(&datagram->header))
        return false;
    const uint32_t session =
        sessions_find(b->tracking.sessions, service, &datagram->header.spi_i, &datagram->header.spi_r);
    return session == SESSION_NONE ||
           is_fresh(b, sessions_get(b->tracking.sessions, session), client, &datagram->header);
}

void proof_accept(struct bindings *b, uint32_t flow_index, const struct ike_datagram *datagram,
                  uint64_t now_ms)
{
    struct flow *flow = flows_get(b->flows, flow_index);
    const struct ike_header *h = &datagram->header;
    struct tracking *t = &b->tracking;
    uint32_t index =
        sessions_find(t->sessions, (uint16_t)(flow->listener / IKE_PORT_COUNT), &h->spi_i, &h->spi_r);

    if (index == SESSION_NONE)
        index = learn_session(b, flow, h, now_ms);
    if (index == SESSION_NONE) {
        if (header_is_auth(h) && pins_get(b->pins, flow->pin)->stage < STAGE_AUTH_ANSWERED)
            tracking_set_stage(t, flow->pin, STAGE_AUTH_ANSWERED);
        return;
    }
    struct session *session = sessions_get(t->sessions, index);
    if (session->story.backend != flow->backend)
        return;
    b->changes += !session->confirmed;
    sessions_confirm(t->sessions, index);
    note_response(session, h);
    session->story.seen_ms = (uint32_t)now_ms;
    tracking_note_size(t, index, flow->backend, STORY_LARGE_FROM_SERVER, datagram->ike_len);
    roam_confirmed(b, index, flow_index, now_ms);
    if (session->story.stage < STAGE_AUTH_ANSWERED) {
        tracking_reach(t, index, STAGE_AUTH_ANSWERED, now_ms);
        if (header_is_auth(h)) { /* a new tunnel: it is established when its own ESP has passed */
            fastpath_leave(b, flow_index);
            flow->flags &= (uint8_t)~FLOW_ESP_BOTH;
        } else if ((flow->flags & FLOW_ESP_BOTH) == FLOW_ESP_BOTH)
            tracking_reach(t, index, STAGE_ESTABLISHED, now_ms);
    }
}
