#include "lb/handshake.h"

#include "ike/payload.h"

static struct pin *pin_of(struct bindings *b, const struct flow *flow)
{
    return pins_get(b->pins, flow->pin);
}

/* IKEv2: an IKE_AUTH message. IKEv1 has none; there its place is the first encrypted messages. */
static bool is_auth(const struct ike_header *h)
{
    return h->major == 1 ? header_is_encrypted(h) : h->exchange == IKE_EXCHANGE_AUTH;
}

static void note_init_request(struct bindings *b, struct flow *flow, const struct ike_datagram *datagram)
{
    struct pin *pin = pin_of(b, flow);

    flow->flags = (uint8_t)((flow->flags | FLOW_INIT_SENT) & ~(FLOW_ANSWERED | FLOW_CLIENT_FRAGMENTATION));
    pin->flags &= (uint8_t)~PIN_CLIENT_FRAGMENTATION;
    if (payload_find_notify(datagram, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL)) {
        flow->flags |= FLOW_CLIENT_FRAGMENTATION;
        pin->flags |= PIN_CLIENT_FRAGMENTATION;
    }
    pin->stage = PIN_STAGE_INIT_SENT;
}

/* Once ESP has passed both ways the flow's flags are full and the pin is not looked up again. */
static void note_esp(struct bindings *b, struct flow *flow, enum flow_flag direction)
{
    if (flow->flags & direction)
        return;
    flow->flags |= (uint8_t)direction;
    if ((flow->flags & FLOW_ESP_BOTH) == FLOW_ESP_BOTH)
        pin_of(b, flow)->stage = PIN_STAGE_ESTABLISHED;
}

void handshake_from_client(struct bindings *b, uint32_t index, const struct ike_datagram *datagram)
{
    struct flow *flow = flows_get(b->flows, index);

    if (datagram->class == IKE_CLASS_ESP) {
        note_esp(b, flow, FLOW_ESP_IN);
    } else if (datagram->class == IKE_CLASS_IKE) {
        if (header_is_init_request(&datagram->header))
            note_init_request(b, flow, datagram);
        else if (is_auth(&datagram->header) && pin_of(b, flow)->stage < PIN_STAGE_AUTH_SENT)
            pin_of(b, flow)->stage = PIN_STAGE_AUTH_SENT;
    }
}

/*
 * What the backend can do shows only in a full answer, which begins with its SA payload (RFC 7296
 * section 1.2), to a client that had announced it too.
 */
static void note_fragmentation(struct bindings *b, const struct flow *flow,
                               const struct ike_datagram *datagram)
{
    if (datagram->header.major != 2 || datagram->header.next_payload != IKE_PAYLOAD_SA ||
        !(flow->flags & FLOW_CLIENT_FRAGMENTATION))
        return;
    b->pool->backends[flow->backend].fragmentation =
        payload_find_notify(datagram, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL) ? FRAGMENTATION_YES
                                                                                      : FRAGMENTATION_NO;
}

bool handshake_is_proof(const struct ike_datagram *datagram)
{
    return datagram->class == IKE_CLASS_ESP ||
           (datagram->class == IKE_CLASS_IKE && header_is_encrypted(&datagram->header));
}

bool handshake_from_backend(struct bindings *b, uint32_t index, const struct ike_datagram *datagram)
{
    struct flow *flow = flows_get(b->flows, index);

    if (datagram->class == IKE_CLASS_ESP) {
        note_esp(b, flow, FLOW_ESP_OUT);
    } else if (datagram->class == IKE_CLASS_IKE) {
        struct pin *pin = pin_of(b, flow);
        flow->flags |= FLOW_ANSWERED;
        if (header_is_init_response(&datagram->header)) {
            if (pin->stage == PIN_STAGE_INIT_SENT)
                pin->stage = PIN_STAGE_INIT_ANSWERED;
            note_fragmentation(b, flow, datagram);
        } else if (is_auth(&datagram->header) && pin->stage <= PIN_STAGE_AUTH_SENT) {
            pin->stage = PIN_STAGE_AUTH_ANSWERED;
            flow->flags &=
                (uint8_t)~FLOW_ESP_BOTH; /* a new tunnel: it is established when its own ESP has passed */
        }
    }
    return handshake_is_proof(datagram);
}
