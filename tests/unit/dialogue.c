#include "tests/unit/dialogue.h"

#include "lb/handshake.h"
#include "tests/unit/unit.h"

void dialogue_begin(struct dialogue *d)
{
    static const struct support_service service = {
        .name = "vpn",
        .vips = {"203.0.113.10"},
        .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                     {"two", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
    };

    support_net_init(&d->net, &service, 1, 64);
    d->b = &d->net.dp.bindings;
    d->sessions = d->b->tracking.sessions;
}

void dialogue_end(struct dialogue *d)
{
    support_net_deinit(&d->net);
}

uint32_t dialogue_add_flow(struct dialogue *d, const char *address, uint16_t port, uint16_t backend)
{
    return support_add_flow(d->b, support_endpoint(address, port), IKE_PORT_4500, backend, d->net.now_ms);
}

uint32_t dialogue_pin_of(struct dialogue *d, uint32_t flow)
{
    return flows_get(d->b->flows, flow)->pin;
}

struct ike_datagram dialogue_message(enum support_kind kind, uint64_t number, uint32_t message_id,
                                     uint8_t data[static SUPPORT_MESSAGE_MAX])
{
    const struct support_sa sa = {.spi_i = number, .spi_r = ~number, .message_id = message_id};
    struct ike_datagram message = {0};
    const size_t len = support_message(kind, IKE_PORT_4500, sa, data);

    assert_int_not_equal(classify_datagram(data, len, true, &message), IKE_CLASS_GARBAGE);
    return message;
}

void dialogue_from_client(struct dialogue *d, uint32_t flow, enum support_kind kind, uint64_t number)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram message = dialogue_message(kind, number, 0, data);

    handshake_from_client(d->b, flow, &message, d->net.now_ms);
}

bool dialogue_from_backend(struct dialogue *d, uint32_t flow, enum support_kind kind, uint64_t number,
                           uint32_t message_id)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram message = dialogue_message(kind, number, message_id, data);

    return handshake_from_backend(d->b, flow, &message, d->net.now_ms);
}

void dialogue_complete(struct dialogue *d, uint32_t flow, uint64_t number)
{
    dialogue_from_client(d, flow, SUPPORT_INIT, number);
    assert_false(dialogue_from_backend(d, flow, SUPPORT_INIT_ANSWER, number, 0));
    dialogue_from_client(d, flow, SUPPORT_AUTH, number);
    assert_true(dialogue_from_backend(d, flow, SUPPORT_AUTH_ANSWER, number, 0));
    bindings_confirm(d->b, flow, d->net.now_ms);
}

uint32_t dialogue_session_of(struct dialogue *d, uint64_t number)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram message = dialogue_message(SUPPORT_AUTH, number, 0, data);

    return sessions_find(d->sessions, 0, &message.header.spi_i, &message.header.spi_r);
}

static struct story *story_at(struct dialogue *d, uint32_t session)
{
    assert_int_not_equal(session, SESSION_NONE);
    return &sessions_get(d->sessions, session)->story;
}

struct story *dialogue_story_of(struct dialogue *d, uint64_t number)
{
    return story_at(d, dialogue_session_of(d, number));
}

struct story *dialogue_latest(struct dialogue *d, uint32_t flow)
{
    return story_at(d, sessions_of_pin(d->sessions, dialogue_pin_of(d, flow)));
}
