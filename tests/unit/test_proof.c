#include "tests/unit/unit.h"

#include "lb/handshake.h"
#include "lb/proof.h"
#include "tests/unit/dialogue.h"

static const bool proofs[SUPPORT_KIND_COUNT] = {
    [SUPPORT_AUTH] = true,          [SUPPORT_AUTH_ANSWER] = true,
    [SUPPORT_INFORMATIONAL] = true, [SUPPORT_INFORMATIONAL_ANSWER] = true,
    [SUPPORT_V1_ENCRYPTED] = true,  [SUPPORT_ESP] = true,
};

/* Answers in the clear also go to spoofed addresses and prove nothing. */
static void test_what_is_a_proof(void **state)
{
    const struct endpoint client = support_endpoint(DIALOGUE_HOME, 4500);
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    for (int kind = 0; kind < SUPPORT_KIND_COUNT; kind++) {
        uint8_t data[SUPPORT_MESSAGE_MAX];
        const struct ike_datagram m = dialogue_message((enum support_kind)kind, 7, 0, data);
        assert_int_equal(proof_of_client(d.b, 0, &client, &m), proofs[kind]);
        assert_int_equal(handshake_from_backend(d.b, flow, &m, d.net.now_ms), proofs[kind]);
    }
    dialogue_end(&d);
}

/* What a client says of an SA that nobody knows is not believed; what its backend says, is. */
static void test_rekeyed_sas_are_learnt_from_the_backend(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_complete(&d, flow, 7);
    dialogue_from_client(&d, flow, SUPPORT_INFORMATIONAL, 8);
    dialogue_from_client(&d, flow, SUPPORT_AUTH, 9);
    assert_int_equal(sessions_count(d.sessions), 1);
    assert_true(dialogue_from_backend(&d, flow, SUPPORT_INFORMATIONAL, 8, 0));
    assert_int_equal(sessions_count(d.sessions), 2);
    assert_int_equal(dialogue_story_of(&d, 8)->flags, STORY_REKEYED | STORY_ANSWERED | STORY_NATT);
    assert_int_equal(dialogue_story_of(&d, 8)->client_port, 4500);
    assert_int_equal(dialogue_story_of(&d, 8)->backend, DIALOGUE_ONE);
    assert_true(sessions_get(d.sessions, dialogue_session_of(&d, 8))->confirmed);
    assert_int_equal(sessions_get(d.sessions, dialogue_session_of(&d, 8))->pin, dialogue_pin_of(&d, flow));
    assert_int_equal(flows_get(d.b->flows, flow)->session, dialogue_session_of(&d, 8));
    assert_int_equal(dialogue_story_of(&d, 8)->reached, 1U << STAGE_NONE | 1U << STAGE_AUTH_ANSWERED);

    /* A first message with these SPIs from elsewhere, and its answer, add nothing to it. */
    const uint32_t thief = dialogue_add_flow(&d, DIALOGUE_ELSEWHERE, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, thief, SUPPORT_INIT, 8);
    assert_false(dialogue_from_backend(&d, thief, SUPPORT_INIT_ANSWER, 8, 0));
    assert_int_equal(dialogue_story_of(&d, 8)->reached, 1U << STAGE_NONE | 1U << STAGE_AUTH_ANSWERED);
    assert_int_equal(d.net.pool->backends[DIALOGUE_ONE].handshakes.reached[STAGE_AUTH_ANSWERED], 1);
    dialogue_end(&d);
}

/* They take no place from handshakes, nor have to fear for their own. */
static void test_learnt_beside_a_flood(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    for (uint64_t number = 100; number < 200; number++)
        dialogue_from_client(&d, flow, SUPPORT_INIT, number);
    const uint32_t held = sessions_unconfirmed_count(d.sessions);
    assert_false(sessions_has_room(d.sessions, false));
    assert_true(dialogue_from_backend(&d, flow, SUPPORT_INFORMATIONAL, 8, 0));
    assert_int_equal(sessions_unconfirmed_count(d.sessions), held);
    assert_int_equal(sessions_count(d.sessions), held + 1);
    dialogue_end(&d);
}

struct fresh_case {
    const char *label;
    enum support_kind kind;
    uint32_t message_id;
    const char *address;
    uint16_t port;
    bool proof;
};

/* The session is at home, port 4500; of its requests those up to message ID 4 have been answered. */
static const struct fresh_case fresh_cases[] = {
    {"a first answer, elsewhere", SUPPORT_INFORMATIONAL_ANSWER, 5, DIALOGUE_ELSEWHERE, 4500, true},
    {"a later one", SUPPORT_INFORMATIONAL_ANSWER, 6, DIALOGUE_ELSEWHERE, 4500, true},
    {"a repeated answer", SUPPORT_INFORMATIONAL_ANSWER, 4, DIALOGUE_ELSEWHERE, 4500, false},
    {"an old one", SUPPORT_AUTH_ANSWER, 1, DIALOGUE_ELSEWHERE, 4500, false},
    {"a request of the backend", SUPPORT_INFORMATIONAL, 1, DIALOGUE_ELSEWHERE, 4500, true},
    {"a first answer, at another port", SUPPORT_INFORMATIONAL_ANSWER, 5, DIALOGUE_HOME, 4600, true},
    {"a repeated answer there", SUPPORT_INFORMATIONAL_ANSWER, 4, DIALOGUE_HOME, 4600, false},
    {"a repeated answer at home", SUPPORT_INFORMATIONAL_ANSWER, 4, DIALOGUE_HOME, 4500, true},
    {"in clear", SUPPORT_INIT_ANSWER, 0, DIALOGUE_ELSEWHERE, 4500, false},
};

/* Replaying what a client has sent makes its backend repeat the answer, and moves nothing. */
static void test_freshness(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fresh_cases / sizeof fresh_cases[0]; i++) {
        const struct fresh_case *t = &fresh_cases[i];
        struct dialogue d;
        dialogue_begin(&d);
        const uint32_t home = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
        dialogue_complete(&d, home, 7);
        assert_true(dialogue_from_backend(&d, home, SUPPORT_INFORMATIONAL_ANSWER, 7, 4));
        assert_true(
            dialogue_from_backend(&d, home, SUPPORT_INFORMATIONAL_ANSWER, 7, 2)); /* takes nothing back */
        assert_int_equal(sessions_get(d.sessions, dialogue_session_of(&d, 7))->next_id, 5);

        const struct endpoint to = support_endpoint(t->address, t->port);
        const struct endpoint at_home = support_endpoint(DIALOGUE_HOME, 4500);
        const bool is_home = endpoint_equal(&to, &at_home);
        const uint32_t flow = is_home ? home : dialogue_add_flow(&d, t->address, t->port, DIALOGUE_ONE);
        uint8_t data[SUPPORT_MESSAGE_MAX];
        const struct ike_datagram m = dialogue_message(t->kind, 7, t->message_id, data);
        if (proof_of_client(d.b, 0, &to, &m) != t->proof ||
            dialogue_from_backend(&d, flow, t->kind, 7, t->message_id) != t->proof)
            fail_msg("%s", t->label);
        const struct session *session = sessions_get(d.sessions, dialogue_session_of(&d, 7));
        assert_int_equal(session->pin, dialogue_pin_of(&d, t->proof ? flow : home));
        assert_int_equal(session->story.client_port, t->proof ? to.port : 4500);
        dialogue_end(&d);
    }
}

/*
 * Of a session that was learnt from a request of its server it is not known what was answered before: the
 * first response may be a repeated one, and is only the beginning of the count.
 */
static void test_the_first_response_of_a_learnt_session(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t home = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    assert_true(dialogue_from_backend(&d, home, SUPPORT_INFORMATIONAL, 8, 0));
    const struct session *session = sessions_get(d.sessions, dialogue_session_of(&d, 8));
    const uint32_t elsewhere = dialogue_add_flow(&d, DIALOGUE_ELSEWHERE, 4500, DIALOGUE_ONE);
    assert_false(dialogue_from_backend(&d, elsewhere, SUPPORT_INFORMATIONAL_ANSWER, 8, 5));
    assert_false(dialogue_from_backend(&d, elsewhere, SUPPORT_INFORMATIONAL_ANSWER, 8, 5));
    assert_int_equal(session->pin, dialogue_pin_of(&d, home));
    assert_true(dialogue_from_backend(&d, elsewhere, SUPPORT_INFORMATIONAL_ANSWER, 8, 6));
    assert_int_equal(session->pin, dialogue_pin_of(&d, elsewhere));
    dialogue_end(&d);
}

/* The response may go to a client that has no flow: whoever asks the same again, from elsewhere, is late. */
static void test_noted_responses(void **state)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram answer = dialogue_message(SUPPORT_INFORMATIONAL_ANSWER, 7, 5, data);
    const struct endpoint elsewhere = support_endpoint(DIALOGUE_ELSEWHERE, 4500);
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    dialogue_complete(&d, dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE), 7);
    assert_true(proof_of_client(d.b, 0, &elsewhere, &answer));
    proof_note_response(d.b, 0, &answer);
    assert_false(proof_of_client(d.b, 0, &elsewhere, &answer));
    dialogue_end(&d);
}

/* It knows no roaming: the address must be the same, the port may be another. */
static void test_ikev1_does_not_roam(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t flow = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE);
    dialogue_from_client(&d, flow, SUPPORT_V1_INIT, 7);
    assert_false(dialogue_from_backend(&d, flow, SUPPORT_V1_ANSWER, 7, 0));
    const uint32_t other_port = dialogue_add_flow(&d, DIALOGUE_HOME, 4600, DIALOGUE_ONE);
    assert_true(dialogue_from_backend(&d, other_port, SUPPORT_V1_ENCRYPTED, 7, 0));
    const uint32_t elsewhere = dialogue_add_flow(&d, DIALOGUE_ELSEWHERE, 4500, DIALOGUE_ONE);
    assert_false(dialogue_from_backend(&d, elsewhere, SUPPORT_V1_ENCRYPTED, 7, 0));
    dialogue_end(&d);
}

/* What one backend sends with the SPIs of another's session does not touch it, whatever it proves. */
static void test_another_backends_session(void **state)
{
    struct dialogue d;

    (void)state;
    dialogue_begin(&d);
    const uint32_t home = dialogue_add_flow(&d, DIALOGUE_HOME, 4500, DIALOGUE_ONE),
                   other = dialogue_add_flow(&d, DIALOGUE_ELSEWHERE, 4500, DIALOGUE_TWO);
    dialogue_complete(&d, home, 7);
    const struct story before = *dialogue_story_of(&d, 7);
    d.net.now_ms += 1000;
    (void)dialogue_from_backend(&d, other, SUPPORT_INFORMATIONAL, 7, 0);
    assert_memory_equal(dialogue_story_of(&d, 7), &before, sizeof before);
    assert_int_equal(sessions_get(d.sessions, dialogue_session_of(&d, 7))->pin, dialogue_pin_of(&d, home));
    dialogue_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_proof),
        cmocka_unit_test(test_rekeyed_sas_are_learnt_from_the_backend),
        cmocka_unit_test(test_learnt_beside_a_flood),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_the_first_response_of_a_learnt_session),
        cmocka_unit_test(test_noted_responses),
        cmocka_unit_test(test_ikev1_does_not_roam),
        cmocka_unit_test(test_another_backends_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
