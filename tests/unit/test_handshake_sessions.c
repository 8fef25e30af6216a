#include "tests/unit/unit.h"

#include "ike/notify.h"
#include "lb/handshake.h"
#include "lb/passive.h"
#include "tests/unit/dialogue.h"

/* What lb/handshake makes of messages in sessions: one for each IKE SA. */

/* Cookies, another group, repetitions: one handshake, one session, counted once at each stage. */
static void test_rounds_are_one_handshake(void **state)
{
    static const enum support_kind answers[] = {SUPPORT_COOKIE, SUPPORT_INVALID_KE, SUPPORT_COOKIE};
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    for (size_t i = 0; i < 3; i++) {
        d.net.now_ms += 10;
        dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
        assert_false(dialogue_latest(&d, flow)->flags & STORY_ASKED_AGAIN);
        assert_int_equal(dialogue_latest(&d, flow)->seen_ms, d.net.now_ms);
        assert_false(dialogue_from_backend(&d, flow, answers[i], 7, 0));
        assert_true(dialogue_latest(&d, flow)->flags & STORY_ASKED_AGAIN);
        assert_int_equal(dialogue_latest(&d, flow)->stage, STAGE_INIT_SENT);
        assert_int_equal(dialogue_latest(&d, flow)->error, 0);
    }
    dialogue_complete(&d, flow, 7);
    assert_int_equal(sessions_count(d.sessions), 1);
    assert_int_equal(dialogue_story_of(&d, 7)->init_count, 4);
    assert_int_equal(dialogue_story_of(&d, 7)->stage_ms[STAGE_INIT_SENT], 1000010);
    const struct handshake_counts *c = &d.net.pool->backends[DIALOGUE_ONE].handshakes;
    assert_int_equal(c->answered_total, 1);
    for (int stage = STAGE_INIT_SENT; stage <= STAGE_AUTH_ANSWERED; stage++)
        assert_int_equal(c->reached[stage], 1);
    dialogue_end(&d);
}

static void test_a_refusal_has_its_reason(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
    dialogue_from_backend(&d, flow, SUPPORT_NO_PROPOSAL, 7, 0);
    assert_int_equal(dialogue_latest(&d, flow)->error, IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_true(dialogue_latest(&d, flow)->flags & STORY_ANSWERED);
    assert_false(dialogue_latest(&d, flow)->flags & STORY_ASKED_AGAIN);
    assert_int_equal(dialogue_latest(&d, flow)->stage, STAGE_INIT_SENT);
    dialogue_from_backend(&d, flow, SUPPORT_INIT_ANSWER, 7, 0); /* it was the last answer that counts */
    assert_int_equal(dialogue_latest(&d, flow)->error, 0);
    dialogue_end(&d);
}

/* A handshake that a cookie has answered does not fail over, although its client is sent elsewhere. */
static void test_sent_elsewhere_after_a_cookie(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
    dialogue_from_backend(&d, flow, SUPPORT_COOKIE, 7, 0);
    bindings_move_pin(d.b, dialogue_pin_of(&d, flow), DIALOGUE_TWO);
    bindings_remove_flow(d.b, flow);
    flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_TWO);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
    assert_int_equal(dialogue_latest(&d, flow)->failovers, 0);
    assert_int_equal(d.net.pool->services[0].failovers_total, 0);
    assert_false(dialogue_latest(&d, flow)->flags &
                 STORY_ANSWERED); /* by the second: it may be handed on again */
    dialogue_from_backend(&d, flow, SUPPORT_INIT_ANSWER, 7, 0);
    assert_int_equal(dialogue_story_of(&d, 7)->backend, DIALOGUE_TWO);
    assert_int_equal(sessions_count(d.sessions), 2);
    dialogue_end(&d);
}

/* IKEv1's cookies are in the same place; its first encrypted messages stand for IKE_AUTH. */
static void test_ikev1(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, flow, SUPPORT_V1_INIT, 7);
    assert_int_equal(dialogue_latest(&d, flow)->stage, STAGE_INIT_SENT);
    assert_false(dialogue_from_backend(&d, flow, SUPPORT_V1_ANSWER, 7, 0));
    assert_int_equal(dialogue_story_of(&d, 7)->stage, STAGE_INIT_ANSWERED);
    dialogue_from_client(&d, flow, SUPPORT_V1_ENCRYPTED, 7);
    assert_int_equal(dialogue_story_of(&d, 7)->stage, STAGE_AUTH_SENT);
    assert_int_equal(dialogue_story_of(&d, 7)->auth_count, 1);
    assert_true(dialogue_from_backend(&d, flow, SUPPORT_V1_ENCRYPTED, 7, 0));
    assert_int_equal(dialogue_story_of(&d, 7)->stage, STAGE_AUTH_ANSWERED);
    assert_int_equal(sessions_count(d.sessions), 1);
    dialogue_end(&d);
}

/* Somebody else's messages with a session's SPIs tell nothing of it. */
static void test_forged_messages(void **state)
{
    static const enum support_kind kinds[] = {SUPPORT_AUTH, SUPPORT_INFORMATIONAL, SUPPORT_INIT};
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t home = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE),
                   thief = dialogue_add_flow(&d, DIALOGUE_ELSEWHERE, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, home, SUPPORT_INIT, 7);
    dialogue_from_backend(&d, home, SUPPORT_INIT_ANSWER, 7, 0);
    const struct story before = *dialogue_story_of(&d, 7);
    d.net.now_ms += 1000;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        dialogue_from_client(&d, thief, kinds[i], 7);
        assert_memory_equal(dialogue_story_of(&d, 7), &before, sizeof before);
        assert_int_equal(pins_get(d.b->pins, dialogue_pin_of(&d, home))->stage, STAGE_INIT_ANSWERED);
        assert_int_equal(pins_get(d.b->pins, dialogue_pin_of(&d, thief))->stage,
                         kinds[i] == SUPPORT_INIT ? STAGE_INIT_SENT : STAGE_NONE);
    }
    assert_int_equal(sessions_get(d.sessions, dialogue_session_of(&d, 7))->pin, dialogue_pin_of(&d, home));

    /* The server answers his copy of the first message alike: the SPIs stay with who had them first. */
    assert_false(dialogue_from_backend(&d, thief, SUPPORT_INIT_ANSWER, 7, 0));
    assert_int_equal(sessions_get(d.sessions, dialogue_session_of(&d, 7))->pin, dialogue_pin_of(&d, home));
    assert_true(header_spi_is_zero(&dialogue_latest(&d, thief)->spi_r));
    dialogue_from_client(&d, home, SUPPORT_AUTH, 7);
    assert_int_equal(dialogue_story_of(&d, 7)->stage, STAGE_AUTH_SENT);
    dialogue_end(&d);
}

/* The first message goes to a second backend, and both answer at last: the client chooses. */
static void test_two_answers(void **state)
{
    (void)state;
    for (int choice = 0; choice < 2; choice++) {
        uint8_t first[SUPPORT_MESSAGE_MAX], second[SUPPORT_MESSAGE_MAX];
        struct dialogue d;
        dialogue_begin(&d);
        uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
        dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
        bindings_move_pin(d.b, dialogue_pin_of(&d, flow), DIALOGUE_TWO);
        bindings_remove_flow(d.b, flow);
        flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_TWO);
        dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
        assert_int_equal(dialogue_latest(&d, flow)->failovers, 1);
        assert_int_equal(dialogue_latest(&d, flow)->backend, DIALOGUE_TWO);
        assert_int_equal(dialogue_latest(&d, flow)->init_count, 2);
        assert_int_equal(d.net.pool->backends[DIALOGUE_TWO].passive.evidence, PASSIVE_ANOTHER_CLIENT);

        struct ike_datagram of_two = dialogue_message(SUPPORT_INIT_ANSWER, 7, 0, first);
        struct ike_datagram of_one = dialogue_message(SUPPORT_INIT_ANSWER, 7, 0, second);
        of_one.header.spi_r.bytes[0] ^= 0xff;
        assert_false(handshake_from_backend(d.b, flow, &of_two, d.net.now_ms));
        handshake_answered(d.b, dialogue_pin_of(&d, flow), DIALOGUE_ONE, &of_one, d.net.now_ms);
        assert_int_equal(sessions_count(d.sessions), 2);
        handshake_answered(d.b, dialogue_pin_of(&d, flow), DIALOGUE_ONE, &of_one, d.net.now_ms); /* again */
        assert_int_equal(sessions_count(d.sessions), 2);
        const struct ike_header *chosen = choice ? &of_one.header : &of_two.header;
        const uint32_t index = sessions_find(d.sessions, 0, &chosen->spi_i, &chosen->spi_r);
        assert_int_equal(sessions_get(d.sessions, index)->story.backend,
                         choice ? DIALOGUE_ONE : DIALOGUE_TWO);

        if (choice) { /* the IKE_AUTH goes to the first, on a flow of its own */
            bindings_remove_flow(d.b, flow);
            flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
        }
        uint8_t data[SUPPORT_MESSAGE_MAX];
        struct ike_datagram auth = dialogue_message(SUPPORT_AUTH, 7, 0, data);
        auth.header.spi_r = chosen->spi_r;
        handshake_from_client(d.b, flow, &auth, d.net.now_ms);
        assert_int_equal(sessions_count(d.sessions), 1);
        assert_int_equal(sessions_get(d.sessions, index)->story.stage, STAGE_AUTH_SENT);
        assert_int_equal(d.net.pool->backends[DIALOGUE_ONE].handshakes.unanswered_total, 1);
        assert_int_equal(d.net.pool->backends[DIALOGUE_TWO].handshakes.answered_total, 1);
        dialogue_end(&d);
    }
}

/* The first backend answers when the client has gone on with the second already: that makes no session. */
static void test_an_answer_too_late(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
    bindings_move_pin(d.b, dialogue_pin_of(&d, flow), DIALOGUE_TWO);
    bindings_remove_flow(d.b, flow);
    flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_TWO);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
    dialogue_from_backend(&d, flow, SUPPORT_INIT_ANSWER, 7, 0);
    dialogue_from_client(&d, flow, SUPPORT_AUTH, 7);
    const struct story before = *dialogue_story_of(&d, 7);
    struct ike_datagram late = dialogue_message(SUPPORT_INIT_ANSWER, 7, 0, data);
    late.header.spi_r.bytes[0] ^= 0xff;
    d.net.now_ms += 1000;
    handshake_answered(d.b, dialogue_pin_of(&d, flow), DIALOGUE_ONE, &late, d.net.now_ms);
    assert_int_equal(sessions_find(d.sessions, 0, &late.header.spi_i, &late.header.spi_r), SESSION_NONE);
    assert_int_equal(sessions_count(d.sessions), 1);
    assert_memory_equal(dialogue_story_of(&d, 7), &before, sizeof before);
    assert_int_equal(d.net.pool->backends[DIALOGUE_ONE].handshakes.answered_total, 0);
    dialogue_end(&d);
}

/* A late answer whose client nobody knows any more still shows that its backend answers. */
static void test_an_answer_to_nobody(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram m = dialogue_message(SUPPORT_INIT_ANSWER, 7, 0, data);
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    d.net.pool->backends[DIALOGUE_ONE].passive.evidence = 5;
    handshake_answered(d.b, PIN_NONE, DIALOGUE_ONE, &m, d.net.now_ms);
    assert_int_equal(d.net.pool->backends[DIALOGUE_ONE].passive.evidence, 0);
    assert_int_equal(sessions_count(d.sessions), 0);
    dialogue_end(&d);
}

/* A client counts against a silent backend once a handshake, and only with what deserves an answer. */
static void test_who_waits(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const struct passive *p = &d.net.pool->backends[DIALOGUE_ONE].passive;
    struct ike_datagram broken = dialogue_message(SUPPORT_INIT, 1, 0, data);
    broken.header.next_payload = IKE_PAYLOAD_NOTIFY; /* no SA payload: any server may keep silent */
    handshake_from_client(d.b, dialogue_add_flow(&d, "192.0.2.7", 4500, DIALOGUE_ONE), &broken, d.net.now_ms);
    assert_int_equal(p->evidence, 0);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7);
    assert_int_equal(p->evidence, PASSIVE_ANOTHER_CLIENT);
    dialogue_from_client(&d, dialogue_add_flow(&d, DIALOGUE_ELSEWHERE, 4500, DIALOGUE_ONE), SUPPORT_INIT, 8);
    assert_int_equal(p->evidence, 2 * PASSIVE_ANOTHER_CLIENT);
    dialogue_from_backend(&d, flow, SUPPORT_COOKIE, 7, 0);
    assert_int_equal(p->evidence, 0);
    dialogue_from_client(&d, flow, SUPPORT_INIT, 7); /* the next round of the same */
    assert_int_equal(p->evidence, 0);
    dialogue_end(&d);
}

/* IKEv1 that a backend leaves unanswered says nothing about it, until it has answered IKEv1 once. */
static void test_who_waits_with_ikev1(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const struct passive *one = &d.net.pool->backends[DIALOGUE_ONE].passive;
    const struct passive *two = &d.net.pool->backends[DIALOGUE_TWO].passive;
    uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, flow, SUPPORT_V1_INIT, 7);
    assert_int_equal(one->evidence, 0);
    dialogue_from_backend(&d, flow, SUPPORT_INIT_ANSWER, 9, 0); /* it knows IKEv2: nothing new */
    dialogue_from_client(&d, flow, SUPPORT_V1_INIT, 8);
    assert_int_equal(one->evidence, 0);
    dialogue_from_backend(&d, flow, SUPPORT_V1_ANSWER, 8, 0);
    dialogue_from_client(&d, flow, SUPPORT_V1_INIT, 9);
    assert_int_equal(one->evidence, PASSIVE_ANOTHER_CLIENT);

    bindings_move_pin(d.b, dialogue_pin_of(&d, flow), DIALOGUE_TWO); /* nor has the next, if asked instead */
    bindings_remove_flow(d.b, flow);
    flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_TWO);
    dialogue_from_client(&d, flow, SUPPORT_V1_INIT, 9);
    assert_int_equal(dialogue_latest(&d, flow)->failovers, 1);
    assert_int_equal(two->evidence, 0);
    dialogue_end(&d);
}

#define ESP_SPI 0xc0ffee01 /* of SUPPORT_ESP */

struct use_case {
    const char *label;
    uint64_t number; /* of the SA: OWN is at the flow's backend */
    enum support_kind kind;
    bool is_used;        /* the flow's tunnel lives, as far as its client is concerned */
    bool has_returned;   /* to a flow that it had left */
    uint32_t esp_spi;    /* seen before on the flow ... */
    uint32_t proved_spi; /* ... and answered */
};

enum { OWN = 7, OTHER_BACKEND, OTHER_CLIENT, UNKNOWN };

static const struct use_case use_cases[] = {
    {"ESP", OWN, SUPPORT_ESP, true, true, ESP_SPI, ESP_SPI},
    {"ESP that the backend has not answered: another client's, perhaps", OWN, SUPPORT_ESP, false, false,
     ESP_SPI - 1, ESP_SPI - 1},
    {"the same again", OWN, SUPPORT_ESP, false, false, ESP_SPI, ESP_SPI - 1},
    {"and a keepalive beside it", OWN, SUPPORT_KEEPALIVE, false, false, ESP_SPI, ESP_SPI - 1},
    {"a keepalive; a last one may come when the client has gone", OWN, SUPPORT_KEEPALIVE, true, false,
     ESP_SPI, ESP_SPI},
    {"one before all ESP", OWN, SUPPORT_KEEPALIVE, true, false, 0, 0},
    {"IKE of its session", OWN, SUPPORT_INFORMATIONAL, true, true, 0, 0},
    {"its answer", OWN, SUPPORT_INFORMATIONAL_ANSWER, true, true, 0, 0},
    {"its IKE_AUTH again", OWN, SUPPORT_AUTH, true, true, 0, 0},
    {"a new handshake", UNKNOWN, SUPPORT_INIT, false, false, 0, 0},
    {"its first message again", OWN, SUPPORT_INIT, false, false, 0, 0},
    {"of IKEv1", UNKNOWN, SUPPORT_V1_INIT, false, false, 0, 0},
    {"IKE of no known session", UNKNOWN, SUPPORT_INFORMATIONAL, false, false, 0, 0},
    {"IKE_AUTH of none", UNKNOWN, SUPPORT_AUTH, false, false, 0, 0},
    {"IKE of its session at another backend", OTHER_BACKEND, SUPPORT_INFORMATIONAL, false, false, 0, 0},
    {"IKE of another's session", OTHER_CLIENT, SUPPORT_INFORMATIONAL, false, false, 0, 0},
};

/* What a client sends that has a tunnel on the flow, or has come back to it. */
static void test_what_uses_a_flow(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof use_cases / sizeof use_cases[0]; i++) {
        const struct use_case *t = &use_cases[i];
        struct dialogue d;
        dialogue_begin(&d);
        const uint32_t index = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
        dialogue_complete(&d, index, OWN);
        dialogue_complete(&d, dialogue_add_flow(&d, DIALOGUE_HOME, 4501, DIALOGUE_TWO), OTHER_BACKEND);
        dialogue_complete(&d, dialogue_add_flow(&d, DIALOGUE_ELSEWHERE, 4500, DIALOGUE_ONE), OTHER_CLIENT);
        struct flow *flow = flows_get(d.b->flows, index);
        const uint32_t before_ms = flow->client_ms;
        flow->flags |= FLOW_LEFT;
        flow->esp_spi = t->esp_spi;
        flow->proved_spi = t->proved_spi;
        d.net.now_ms += 1000;
        dialogue_from_client(&d, index, t->kind, t->number);
        if (flow->client_ms != (t->is_used ? before_ms + 1000 : before_ms) ||
            !(flow->flags & FLOW_LEFT) != t->has_returned)
            fail_msg("%s: %u ms, flags %#x", t->label, flow->client_ms - before_ms, flow->flags);
        assert_int_equal(dialogue_story_of(&d, OTHER_BACKEND)->seen_ms, before_ms); /* it did not get there */
        dialogue_end(&d);
    }
}

/* What the backend sends does not show that the client still knows its tunnel. */
static void test_a_backend_does_not_use_a_flow(void **state)
{
    static const enum support_kind kinds[] = {SUPPORT_ESP, SUPPORT_INFORMATIONAL, SUPPORT_INIT_ANSWER};
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t index = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_complete(&d, index, 7);
    const uint32_t before_ms = flows_get(d.b->flows, index)->client_ms;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        d.net.now_ms += 1000;
        flows_get(d.b->flows, index)->esp_spi = ESP_SPI;
        dialogue_from_backend(&d, index, kinds[i], 7, 0);
        assert_int_equal(flows_get(d.b->flows, index)->proved_spi, ESP_SPI); /* that ESP has answered */
        assert_int_equal(flows_get(d.b->flows, index)->client_ms, before_ms);
    }
    dialogue_end(&d);
}

static void test_large_messages(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    const struct handshake_counts *c = &d.net.pool->backends[DIALOGUE_ONE].handshakes;
    dialogue_complete(&d, flow, 7);
    for (size_t len = 1472; len <= 1473; len++) {
        struct ike_datagram m = dialogue_message(SUPPORT_AUTH, 7, 0, data);
        m.ike_len = len;
        handshake_from_client(d.b, flow, &m, d.net.now_ms);
        assert_int_equal(c->large_in_total, len - 1472);
        assert_int_equal(!!(dialogue_story_of(&d, 7)->flags & STORY_LARGE_FROM_CLIENT), len - 1472);
        m = dialogue_message(SUPPORT_AUTH_ANSWER, 7, 0, data);
        m.ike_len = len;
        (void)handshake_from_backend(d.b, flow, &m, d.net.now_ms);
        assert_int_equal(c->large_out_total, len - 1472);
        assert_int_equal(!!(dialogue_story_of(&d, 7)->flags & STORY_LARGE_FROM_SERVER), len - 1472);
    }
    dialogue_end(&d);
}

/* A flow is found by its ESP SPI once it is proved; the latest counts. */
static void test_esp_spis(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const struct addr home = support_addr(DIALOGUE_HOME);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    struct ike_datagram esp = dialogue_message(SUPPORT_ESP, 7, 0, data);
    handshake_from_client(d.b, flow, &esp, d.net.now_ms);
    assert_int_equal(bindings_find_esp(d.b, 0, &home, esp.esp_spi), FLOW_NONE);
    bindings_confirm(d.b, flow, d.net.now_ms);
    assert_int_equal(bindings_find_esp(d.b, 0, &home, esp.esp_spi), flow);
    for (uint32_t spi = 0xc0ffee01; spi < 0xc0ffee04; spi++) {
        esp.esp_spi = spi;
        handshake_from_client(d.b, flow, &esp, d.net.now_ms);
        assert_int_equal(bindings_find_esp(d.b, 0, &home, spi), flow);
        assert_int_equal(bindings_find_esp(d.b, 0, &home, spi - 1), FLOW_NONE);
    }
    dialogue_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds_are_one_handshake),
        cmocka_unit_test(test_a_refusal_has_its_reason),
        cmocka_unit_test(test_sent_elsewhere_after_a_cookie),
        cmocka_unit_test(test_ikev1),
        cmocka_unit_test(test_forged_messages),
        cmocka_unit_test(test_two_answers),
        cmocka_unit_test(test_an_answer_too_late),
        cmocka_unit_test(test_an_answer_to_nobody),
        cmocka_unit_test(test_who_waits),
        cmocka_unit_test(test_who_waits_with_ikev1),
        cmocka_unit_test(test_what_uses_a_flow),
        cmocka_unit_test(test_a_backend_does_not_use_a_flow),
        cmocka_unit_test(test_large_messages),
        cmocka_unit_test(test_esp_spis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
