#include "tests/unit/unit.h"

#include "ike/notify.h"
#include "lb/handshake.h"
#include "lb/passive.h"
#include "tests/unit/support.h"

/* What lb/handshake makes of messages in sessions: one for each IKE SA, and what its backend proves. */

enum { ONE, TWO }; /* backends */

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"two", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
};

#define HOME      "192.0.2.1"
#define ELSEWHERE "198.51.100.1"

/* The SPIs of SAs are their number and its complement. */
struct fixture {
    struct support_net net;
    struct bindings *b;
    struct sessions *sessions;
};

static void begin(struct fixture *f)
{
    support_net_init(&f->net, &service, 1, 64);
    f->b = &f->net.dp.bindings;
    f->sessions = f->b->tracking.sessions;
}

static void end(struct fixture *f)
{
    support_net_deinit(&f->net);
}

static uint32_t add_flow(struct fixture *f, const char *address, uint16_t port, uint16_t backend)
{
    struct binding_request request = {.session = SESSION_NONE,
                                      .client = support_endpoint(address, port),
                                      .port = IKE_PORT_4500,
                                      .backend = backend};
    const struct pin_key key = bindings_pin_key(f->b, 0, &request.client);
    enum drop_reason reason;
    uint32_t flow = FLOW_NONE;

    request.pin = pins_find(f->b->pins, &key);
    if (request.pin == PIN_NONE)
        assert_int_equal(bindings_add_pin(f->b, &request.client, backend, false, f->net.now_ms, &request.pin),
                         0);
    assert_int_equal(bindings_add_flow(f->b, &request, f->net.now_ms, &flow, &reason), 0);
    return flow;
}

static uint32_t pin_of(struct fixture *f, uint32_t flow)
{
    return flows_get(f->b->flows, flow)->pin;
}

/* A message of an SA, with a message ID of its own if that is not 0. */
static struct ike_datagram message(enum support_kind kind, uint64_t number, uint32_t message_id,
                                   uint8_t data[static SUPPORT_MESSAGE_MAX])
{
    const struct support_sa sa = {.spi_i = number, .spi_r = ~number, .message_id = message_id};
    struct ike_datagram d = {0};
    const size_t len = support_message(kind, IKE_PORT_4500, sa, data);

    assert_int_not_equal(classify_datagram(data, len, true, &d), IKE_CLASS_GARBAGE);
    return d;
}

static void from_client(struct fixture *f, uint32_t flow, enum support_kind kind, uint64_t number)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram d = message(kind, number, 0, data);

    handshake_from_client(f->b, flow, &d, f->net.now_ms);
}

/* True if it proves the client. */
static bool from_backend(struct fixture *f, uint32_t flow, enum support_kind kind, uint64_t number,
                         uint32_t message_id)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram d = message(kind, number, message_id, data);

    return handshake_from_backend(f->b, flow, &d, f->net.now_ms);
}

static uint32_t session_of(struct fixture *f, uint64_t number)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram d = message(SUPPORT_AUTH, number, 0, data);

    return sessions_find(f->sessions, 0, &d.header.spi_i, &d.header.spi_r);
}

static struct story *story_of(struct fixture *f, uint64_t number)
{
    const uint32_t index = session_of(f, number);

    assert_int_not_equal(index, SESSION_NONE);
    return &sessions_get(f->sessions, index)->story;
}

/* The youngest of the pin, for what has no full pair yet. */
static struct story *latest(struct fixture *f, uint32_t flow)
{
    const uint32_t index = sessions_of_pin(f->sessions, pin_of(f, flow));

    assert_int_not_equal(index, SESSION_NONE);
    return &sessions_get(f->sessions, index)->story;
}

static void complete(struct fixture *f, uint32_t flow, uint64_t number)
{
    from_client(f, flow, SUPPORT_INIT, number);
    assert_false(from_backend(f, flow, SUPPORT_INIT_ANSWER, number, 0));
    from_client(f, flow, SUPPORT_AUTH, number);
    assert_true(from_backend(f, flow, SUPPORT_AUTH_ANSWER, number, 0));
    bindings_confirm(f->b, flow, f->net.now_ms);
}

/* Cookies, another group, repetitions: one handshake, one session, counted once at each stage. */
static void test_rounds_are_one_handshake(void **state)
{
    static const enum support_kind answers[] = {SUPPORT_COOKIE, SUPPORT_INVALID_KE, SUPPORT_COOKIE};
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    for (size_t i = 0; i < 3; i++) {
        f.net.now_ms += 10;
        from_client(&f, flow, SUPPORT_INIT, 7);
        assert_false(latest(&f, flow)->flags & STORY_ASKED_AGAIN);
        assert_int_equal(latest(&f, flow)->seen_ms, f.net.now_ms);
        assert_false(from_backend(&f, flow, answers[i], 7, 0));
        assert_true(latest(&f, flow)->flags & STORY_ASKED_AGAIN);
        assert_int_equal(latest(&f, flow)->stage, STAGE_INIT_SENT);
        assert_int_equal(latest(&f, flow)->error, 0);
    }
    complete(&f, flow, 7);
    assert_int_equal(sessions_count(f.sessions), 1);
    assert_int_equal(story_of(&f, 7)->init_count, 4);
    assert_int_equal(story_of(&f, 7)->stage_ms[STAGE_INIT_SENT], 1000010);
    const struct handshake_counts *c = &f.net.pool->backends[ONE].handshakes;
    assert_int_equal(c->answered_total, 1);
    for (int stage = STAGE_INIT_SENT; stage <= STAGE_AUTH_ANSWERED; stage++)
        assert_int_equal(c->reached[stage], 1);
    end(&f);
}

static void test_a_refusal_has_its_reason(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    from_client(&f, flow, SUPPORT_INIT, 7);
    from_backend(&f, flow, SUPPORT_NO_PROPOSAL, 7, 0);
    assert_int_equal(latest(&f, flow)->error, IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_true(latest(&f, flow)->flags & STORY_ANSWERED);
    assert_false(latest(&f, flow)->flags & STORY_ASKED_AGAIN);
    assert_int_equal(latest(&f, flow)->stage, STAGE_INIT_SENT);
    from_backend(&f, flow, SUPPORT_INIT_ANSWER, 7, 0); /* it was the last answer that counts */
    assert_int_equal(latest(&f, flow)->error, 0);
    end(&f);
}

/* What a client says of an SA that nobody knows is not believed; what its backend says, is. */
static void test_rekeyed_sas_are_learnt_from_the_backend(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    complete(&f, flow, 7);
    from_client(&f, flow, SUPPORT_INFORMATIONAL, 8);
    from_client(&f, flow, SUPPORT_AUTH, 9);
    assert_int_equal(sessions_count(f.sessions), 1);
    assert_true(from_backend(&f, flow, SUPPORT_INFORMATIONAL, 8, 0));
    assert_int_equal(sessions_count(f.sessions), 2);
    assert_int_equal(story_of(&f, 8)->flags, STORY_REKEYED | STORY_ANSWERED | STORY_NATT);
    assert_int_equal(story_of(&f, 8)->client_port, 4500);
    assert_int_equal(story_of(&f, 8)->backend, ONE);
    assert_true(sessions_get(f.sessions, session_of(&f, 8))->confirmed);
    assert_int_equal(sessions_get(f.sessions, session_of(&f, 8))->pin, pin_of(&f, flow));
    assert_int_equal(flows_get(f.b->flows, flow)->session, session_of(&f, 8));
    assert_int_equal(story_of(&f, 8)->reached, 1U << STAGE_NONE | 1U << STAGE_AUTH_ANSWERED);

    /* A first message with these SPIs from elsewhere, and its answer, add nothing to it. */
    const uint32_t thief = add_flow(&f, ELSEWHERE, 4500, ONE);
    from_client(&f, thief, SUPPORT_INIT, 8);
    assert_false(from_backend(&f, thief, SUPPORT_INIT_ANSWER, 8, 0));
    assert_int_equal(story_of(&f, 8)->reached, 1U << STAGE_NONE | 1U << STAGE_AUTH_ANSWERED);
    assert_int_equal(f.net.pool->backends[ONE].handshakes.reached[STAGE_AUTH_ANSWERED], 1);
    end(&f);
}

/* They take no place from handshakes, nor have to fear for their own. */
static void test_learnt_beside_a_flood(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    for (uint64_t number = 100; number < 200; number++)
        from_client(&f, flow, SUPPORT_INIT, number);
    const uint32_t held = sessions_unconfirmed_count(f.sessions);
    assert_false(sessions_has_room(f.sessions, false));
    assert_true(from_backend(&f, flow, SUPPORT_INFORMATIONAL, 8, 0));
    assert_int_equal(sessions_unconfirmed_count(f.sessions), held);
    assert_int_equal(sessions_count(f.sessions), held + 1);
    end(&f);
}

/* A handshake that a cookie has answered does not fail over, although its client is sent elsewhere. */
static void test_sent_elsewhere_after_a_cookie(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    from_client(&f, flow, SUPPORT_INIT, 7);
    from_backend(&f, flow, SUPPORT_COOKIE, 7, 0);
    bindings_move_pin(f.b, pin_of(&f, flow), TWO);
    bindings_remove_flow(f.b, flow);
    flow = add_flow(&f, HOME, 4500, TWO);
    from_client(&f, flow, SUPPORT_INIT, 7);
    assert_int_equal(latest(&f, flow)->failovers, 0);
    assert_int_equal(f.net.pool->services[0].failovers_total, 0);
    assert_false(latest(&f, flow)->flags & STORY_ANSWERED); /* by the second: it may be handed on again */
    from_backend(&f, flow, SUPPORT_INIT_ANSWER, 7, 0);
    assert_int_equal(story_of(&f, 7)->backend, TWO);
    assert_int_equal(sessions_count(f.sessions), 2);
    end(&f);
}

/* IKEv1's cookies are in the same place; its first encrypted messages stand for IKE_AUTH. */
static void test_ikev1(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    from_client(&f, flow, SUPPORT_V1_INIT, 7);
    assert_int_equal(latest(&f, flow)->stage, STAGE_INIT_SENT);
    assert_false(from_backend(&f, flow, SUPPORT_V1_ANSWER, 7, 0));
    assert_int_equal(story_of(&f, 7)->stage, STAGE_INIT_ANSWERED);
    from_client(&f, flow, SUPPORT_V1_ENCRYPTED, 7);
    assert_int_equal(story_of(&f, 7)->stage, STAGE_AUTH_SENT);
    assert_int_equal(story_of(&f, 7)->auth_count, 1);
    assert_true(from_backend(&f, flow, SUPPORT_V1_ENCRYPTED, 7, 0));
    assert_int_equal(story_of(&f, 7)->stage, STAGE_AUTH_ANSWERED);
    assert_int_equal(sessions_count(f.sessions), 1);

    /* It knows no roaming: the address must be the same, the port may be another. */
    const uint32_t other_port = add_flow(&f, HOME, 4600, ONE);
    assert_true(from_backend(&f, other_port, SUPPORT_V1_ENCRYPTED, 7, 0));
    const uint32_t elsewhere = add_flow(&f, ELSEWHERE, 4500, ONE);
    assert_false(from_backend(&f, elsewhere, SUPPORT_V1_ENCRYPTED, 7, 0));
    end(&f);
}

struct fresh_case {
    const char *label;
    enum support_kind kind;
    uint32_t message_id;
    const char *address;
    uint16_t port;
    bool proof;
};

/* The session is at HOME, port 4500; of its requests those up to message ID 4 have been answered. */
static const struct fresh_case fresh_cases[] = {
    {"a first answer, elsewhere", SUPPORT_INFORMATIONAL_ANSWER, 5, ELSEWHERE, 4500, true},
    {"a later one", SUPPORT_INFORMATIONAL_ANSWER, 6, ELSEWHERE, 4500, true},
    {"a repeated answer", SUPPORT_INFORMATIONAL_ANSWER, 4, ELSEWHERE, 4500, false},
    {"an old one", SUPPORT_AUTH_ANSWER, 1, ELSEWHERE, 4500, false},
    {"a request of the backend", SUPPORT_INFORMATIONAL, 1, ELSEWHERE, 4500, true},
    {"a first answer, at another port", SUPPORT_INFORMATIONAL_ANSWER, 5, HOME, 4600, true},
    {"a repeated answer there", SUPPORT_INFORMATIONAL_ANSWER, 4, HOME, 4600, false},
    {"a repeated answer at home", SUPPORT_INFORMATIONAL_ANSWER, 4, HOME, 4500, true},
    {"in clear", SUPPORT_INIT_ANSWER, 0, ELSEWHERE, 4500, false},
};

/* Replaying what a client has sent makes its backend repeat the answer, and moves nothing. */
static void test_freshness(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fresh_cases / sizeof fresh_cases[0]; i++) {
        const struct fresh_case *t = &fresh_cases[i];
        struct fixture f;
        begin(&f);
        const uint32_t home = add_flow(&f, HOME, 4500, ONE);
        complete(&f, home, 7);
        assert_true(from_backend(&f, home, SUPPORT_INFORMATIONAL_ANSWER, 7, 4));
        assert_true(from_backend(&f, home, SUPPORT_INFORMATIONAL_ANSWER, 7, 2)); /* takes nothing back */
        assert_int_equal(sessions_get(f.sessions, session_of(&f, 7))->next_id, 5);

        const struct endpoint to = support_endpoint(t->address, t->port);
        const struct endpoint at_home = support_endpoint(HOME, 4500);
        const bool is_home = endpoint_equal(&to, &at_home);
        const uint32_t flow = is_home ? home : add_flow(&f, t->address, t->port, ONE);
        uint8_t data[SUPPORT_MESSAGE_MAX];
        const struct ike_datagram d = message(t->kind, 7, t->message_id, data);
        if (handshake_is_proof(f.b, 0, &to, &d) != t->proof ||
            from_backend(&f, flow, t->kind, 7, t->message_id) != t->proof)
            fail_msg("%s", t->label);
        const struct session *session = sessions_get(f.sessions, session_of(&f, 7));
        assert_int_equal(session->pin, pin_of(&f, t->proof ? flow : home));
        assert_int_equal(session->story.client_port, t->proof ? to.port : 4500);
        end(&f);
    }
}

/* Somebody else's messages with a session's SPIs tell nothing of it. */
static void test_forged_messages(void **state)
{
    static const enum support_kind kinds[] = {SUPPORT_AUTH, SUPPORT_INFORMATIONAL, SUPPORT_INIT};
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t home = add_flow(&f, HOME, 4500, ONE), thief = add_flow(&f, ELSEWHERE, 4500, ONE);
    from_client(&f, home, SUPPORT_INIT, 7);
    from_backend(&f, home, SUPPORT_INIT_ANSWER, 7, 0);
    const struct story before = *story_of(&f, 7);
    f.net.now_ms += 1000;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        from_client(&f, thief, kinds[i], 7);
        assert_memory_equal(story_of(&f, 7), &before, sizeof before);
        assert_int_equal(pins_get(f.b->pins, pin_of(&f, home))->stage, STAGE_INIT_ANSWERED);
        assert_int_equal(pins_get(f.b->pins, pin_of(&f, thief))->stage,
                         kinds[i] == SUPPORT_INIT ? STAGE_INIT_SENT : STAGE_NONE);
    }
    assert_int_equal(sessions_get(f.sessions, session_of(&f, 7))->pin, pin_of(&f, home));

    /* The server answers his copy of the first message alike: the SPIs stay with who had them first. */
    assert_false(from_backend(&f, thief, SUPPORT_INIT_ANSWER, 7, 0));
    assert_int_equal(sessions_get(f.sessions, session_of(&f, 7))->pin, pin_of(&f, home));
    assert_true(header_spi_is_zero(&latest(&f, thief)->spi_r));
    from_client(&f, home, SUPPORT_AUTH, 7);
    assert_int_equal(story_of(&f, 7)->stage, STAGE_AUTH_SENT);
    end(&f);
}

/* What one backend sends with the SPIs of another's session does not touch it, whatever it proves. */
static void test_another_backends_session(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t home = add_flow(&f, HOME, 4500, ONE), other = add_flow(&f, ELSEWHERE, 4500, TWO);
    complete(&f, home, 7);
    const struct story before = *story_of(&f, 7);
    f.net.now_ms += 1000;
    (void)from_backend(&f, other, SUPPORT_INFORMATIONAL, 7, 0);
    assert_memory_equal(story_of(&f, 7), &before, sizeof before);
    assert_int_equal(sessions_get(f.sessions, session_of(&f, 7))->pin, pin_of(&f, home));
    end(&f);
}

/* The first message goes to a second backend, and both answer at last: the client chooses. */
static void test_two_answers(void **state)
{
    (void)state;
    for (int choice = 0; choice < 2; choice++) {
        uint8_t first[SUPPORT_MESSAGE_MAX], second[SUPPORT_MESSAGE_MAX];
        struct fixture f;
        begin(&f);
        uint32_t flow = add_flow(&f, HOME, 4500, ONE);
        from_client(&f, flow, SUPPORT_INIT, 7);
        bindings_move_pin(f.b, pin_of(&f, flow), TWO);
        bindings_remove_flow(f.b, flow);
        flow = add_flow(&f, HOME, 4500, TWO);
        from_client(&f, flow, SUPPORT_INIT, 7);
        assert_int_equal(latest(&f, flow)->failovers, 1);
        assert_int_equal(latest(&f, flow)->backend, TWO);
        assert_int_equal(latest(&f, flow)->init_count, 2);
        assert_int_equal(f.net.pool->backends[TWO].passive.evidence, PASSIVE_ANOTHER_CLIENT);

        struct ike_datagram of_two = message(SUPPORT_INIT_ANSWER, 7, 0, first);
        struct ike_datagram of_one = message(SUPPORT_INIT_ANSWER, 7, 0, second);
        of_one.header.spi_r.bytes[0] ^= 0xff;
        assert_false(handshake_from_backend(f.b, flow, &of_two, f.net.now_ms));
        handshake_answered(f.b, pin_of(&f, flow), ONE, &of_one, f.net.now_ms);
        assert_int_equal(sessions_count(f.sessions), 2);
        handshake_answered(f.b, pin_of(&f, flow), ONE, &of_one, f.net.now_ms); /* again */
        assert_int_equal(sessions_count(f.sessions), 2);
        const struct ike_header *chosen = choice ? &of_one.header : &of_two.header;
        const uint32_t index = sessions_find(f.sessions, 0, &chosen->spi_i, &chosen->spi_r);
        assert_int_equal(sessions_get(f.sessions, index)->story.backend, choice ? ONE : TWO);

        uint8_t data[SUPPORT_MESSAGE_MAX];
        struct ike_datagram auth = message(SUPPORT_AUTH, 7, 0, data);
        auth.header.spi_r = chosen->spi_r;
        handshake_from_client(f.b, flow, &auth, f.net.now_ms);
        assert_int_equal(sessions_count(f.sessions), 1);
        assert_int_equal(sessions_get(f.sessions, index)->story.stage, STAGE_AUTH_SENT);
        assert_int_equal(f.net.pool->backends[ONE].handshakes.unanswered_total, 1);
        assert_int_equal(f.net.pool->backends[TWO].handshakes.answered_total, 1);
        end(&f);
    }
}

/* A late answer whose client nobody knows any more still shows that its backend answers. */
static void test_an_answer_to_nobody(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram d = message(SUPPORT_INIT_ANSWER, 7, 0, data);
    struct fixture f;

    (void)state;
    begin(&f);
    f.net.pool->backends[ONE].passive.evidence = 5;
    handshake_answered(f.b, PIN_NONE, ONE, &d, f.net.now_ms);
    assert_int_equal(f.net.pool->backends[ONE].passive.evidence, 0);
    assert_int_equal(sessions_count(f.sessions), 0);
    end(&f);
}

/* A client counts against a silent backend once a handshake, and only with what deserves an answer. */
static void test_who_waits(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct fixture f;

    (void)state;
    begin(&f);
    const struct passive *p = &f.net.pool->backends[ONE].passive;
    struct ike_datagram broken = message(SUPPORT_INIT, 1, 0, data);
    broken.header.next_payload = IKE_PAYLOAD_NOTIFY; /* no SA payload: any server may keep silent */
    handshake_from_client(f.b, add_flow(&f, "192.0.2.7", 4500, ONE), &broken, f.net.now_ms);
    assert_int_equal(p->evidence, 0);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    from_client(&f, flow, SUPPORT_INIT, 7);
    from_client(&f, flow, SUPPORT_INIT, 7);
    assert_int_equal(p->evidence, PASSIVE_ANOTHER_CLIENT);
    from_client(&f, add_flow(&f, ELSEWHERE, 4500, ONE), SUPPORT_V1_INIT, 8);
    assert_int_equal(p->evidence, 2 * PASSIVE_ANOTHER_CLIENT);
    from_backend(&f, flow, SUPPORT_COOKIE, 7, 0);
    assert_int_equal(p->evidence, 0);
    from_client(&f, flow, SUPPORT_INIT, 7); /* the next round of the same */
    assert_int_equal(p->evidence, 0);
    end(&f);
}

static void test_large_messages(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct fixture f;

    (void)state;
    begin(&f);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    const struct handshake_counts *c = &f.net.pool->backends[ONE].handshakes;
    complete(&f, flow, 7);
    for (size_t len = 1472; len <= 1473; len++) {
        struct ike_datagram d = message(SUPPORT_AUTH, 7, 0, data);
        d.ike_len = len;
        handshake_from_client(f.b, flow, &d, f.net.now_ms);
        assert_int_equal(c->large_in_total, len - 1472);
        assert_int_equal(!!(story_of(&f, 7)->flags & STORY_LARGE_FROM_CLIENT), len - 1472);
        d = message(SUPPORT_AUTH_ANSWER, 7, 0, data);
        d.ike_len = len;
        (void)handshake_from_backend(f.b, flow, &d, f.net.now_ms);
        assert_int_equal(c->large_out_total, len - 1472);
        assert_int_equal(!!(story_of(&f, 7)->flags & STORY_LARGE_FROM_SERVER), len - 1472);
    }
    end(&f);
}

/* ESP SPIs are kept of what is proved only, and the latest counts. */
static void test_esp_spis(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct fixture f;

    (void)state;
    begin(&f);
    const struct addr home = support_addr(HOME);
    const uint32_t flow = add_flow(&f, HOME, 4500, ONE);
    struct ike_datagram esp = message(SUPPORT_ESP, 7, 0, data);
    handshake_from_client(f.b, flow, &esp, f.net.now_ms);
    assert_int_equal(flows_get(f.b->flows, flow)->esp_spi, 0);
    bindings_confirm(f.b, flow, f.net.now_ms);
    for (uint32_t spi = 0xc0ffee01; spi < 0xc0ffee04; spi++) {
        esp.esp_spi = spi;
        handshake_from_client(f.b, flow, &esp, f.net.now_ms);
        assert_int_equal(bindings_find_esp(f.b, 0, &home, spi), flow);
        assert_int_equal(bindings_find_esp(f.b, 0, &home, spi - 1), FLOW_NONE);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds_are_one_handshake),
        cmocka_unit_test(test_a_refusal_has_its_reason),
        cmocka_unit_test(test_rekeyed_sas_are_learnt_from_the_backend),
        cmocka_unit_test(test_learnt_beside_a_flood),
        cmocka_unit_test(test_sent_elsewhere_after_a_cookie),
        cmocka_unit_test(test_ikev1),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_forged_messages),
        cmocka_unit_test(test_another_backends_session),
        cmocka_unit_test(test_two_answers),
        cmocka_unit_test(test_an_answer_to_nobody),
        cmocka_unit_test(test_who_waits),
        cmocka_unit_test(test_large_messages),
        cmocka_unit_test(test_esp_spis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
