#include "tests/unit/unit.h"

#include "lb/handshake.h"
#include "tests/unit/support.h"

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED}},
};

#define NOW_MS 1000

/* One message, and what is known after it. */
struct step {
    bool from_backend;
    enum support_kind kind;
    enum stage stage;
};
#define STEPS_MAX 12

struct script {
    const char *label;
    struct step steps[STEPS_MAX];
    size_t count;
};

#define C(kind, stage)                                                                                       \
    {                                                                                                        \
        false, SUPPORT_##kind, STAGE_##stage                                                                 \
    }
#define B(kind, stage)                                                                                       \
    {                                                                                                        \
        true, SUPPORT_##kind, STAGE_##stage                                                                  \
    }

static const struct script scripts[] = {
    {"a whole handshake",
     {C(INIT, INIT_SENT), B(INIT_ANSWER, INIT_ANSWERED), C(AUTH, AUTH_SENT), B(AUTH_ANSWER, AUTH_ANSWERED),
      C(ESP, AUTH_ANSWERED), B(ESP, ESTABLISHED), C(INFORMATIONAL, ESTABLISHED), C(KEEPALIVE, ESTABLISHED)},
     8},
    {"with a cookie round",
     {C(INIT, INIT_SENT), B(COOKIE, INIT_SENT), C(INIT, INIT_SENT), B(INIT_ANSWER, INIT_ANSWERED),
      C(AUTH, AUTH_SENT)},
     5},
    {"EAP has many rounds of IKE_AUTH",
     {C(INIT, INIT_SENT), B(INIT_ANSWER, INIT_ANSWERED), C(AUTH, AUTH_SENT), B(AUTH_ANSWER, AUTH_ANSWERED),
      C(AUTH, AUTH_ANSWERED), B(AUTH_ANSWER, AUTH_ANSWERED), B(ESP, AUTH_ANSWERED), C(ESP, ESTABLISHED)},
     8},
    {"IKEv1",
     {C(V1_INIT, INIT_SENT), B(V1_ANSWER, INIT_ANSWERED), C(V1_ENCRYPTED, AUTH_SENT),
      B(V1_ENCRYPTED, AUTH_ANSWERED), C(ESP, AUTH_ANSWERED), B(ESP, ESTABLISHED)},
     6},
    {"a tunnel from before our time", {C(ESP, NONE), C(ESP, NONE), B(ESP, ESTABLISHED)}, 3},
    {"a new handshake beside a living tunnel",
     {C(ESP, NONE), B(ESP, ESTABLISHED), C(INIT, INIT_SENT), C(ESP, INIT_SENT), B(ESP, INIT_SENT),
      B(INIT_ANSWER, INIT_ANSWERED), C(AUTH, AUTH_SENT), B(AUTH_ANSWER, AUTH_ANSWERED), B(ESP, AUTH_ANSWERED),
      C(ESP, ESTABLISHED)},
     10},
    {"a late answer takes nothing back",
     {C(INIT, INIT_SENT), B(INIT_ANSWER, INIT_ANSWERED), C(AUTH, AUTH_SENT), B(INIT_ANSWER, AUTH_SENT),
      B(AUTH_ANSWER, AUTH_ANSWERED), B(INIT_ANSWER, AUTH_ANSWERED), C(ESP, AUTH_ANSWERED),
      B(ESP, ESTABLISHED), B(AUTH_ANSWER, ESTABLISHED), C(AUTH, ESTABLISHED)},
     10},
};

static bool tell(struct bindings *b, uint32_t flow, const struct step *step)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram d = support_datagram(step->kind, IKE_PORT_4500, data);

    if (step->from_backend)
        return handshake_from_backend(b, flow, &d, NOW_MS);
    handshake_from_client(b, flow, &d, NOW_MS);
    return false;
}

static uint32_t add_flow(struct support_net *net)
{
    return support_add_flow(&net->dp.bindings, support_endpoint("192.0.2.1", 4500), IKE_PORT_4500, 0, 1);
}

static void test_stages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct support_net net;
        support_net_init(&net, &service, 1, 16);
        const uint32_t flow = add_flow(&net);
        for (size_t k = 0; k < scripts[i].count; k++) {
            const struct step *step = &scripts[i].steps[k];
            (void)tell(&net.dp.bindings, flow, step);
            const struct pin *pin = support_pin(&net, 0, support_addr("192.0.2.1"));
            if (pin->stage != step->stage)
                fail_msg("%s, step %zu: %s", scripts[i].label, k, stage_name((enum stage)pin->stage));
        }
        support_net_deinit(&net);
    }
}

struct fragmentation_case {
    enum support_kind request;
    enum support_kind answer;
    enum fragmentation backend;
    bool client;
};

static const struct fragmentation_case fragmentation_cases[] = {
    {SUPPORT_INIT_FRAGMENTATION, SUPPORT_INIT_ANSWER_FRAGMENTATION, FRAGMENTATION_YES, true},
    {SUPPORT_INIT_FRAGMENTATION, SUPPORT_INIT_ANSWER, FRAGMENTATION_NO, true},
    {SUPPORT_INIT_FRAGMENTATION, SUPPORT_COOKIE, FRAGMENTATION_UNKNOWN, true}, /* not a full answer */
    {SUPPORT_INIT, SUPPORT_INIT_ANSWER, FRAGMENTATION_UNKNOWN, false},         /* was not asked */
    {SUPPORT_V1_INIT, SUPPORT_V1_ANSWER, FRAGMENTATION_UNKNOWN, false},
};

static void test_fragmentation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fragmentation_cases / sizeof fragmentation_cases[0]; i++) {
        const struct fragmentation_case *t = &fragmentation_cases[i];
        struct support_net net;
        support_net_init(&net, &service, 1, 16);
        const uint32_t flow = add_flow(&net);
        const struct pin *pin = support_pin(&net, 0, support_addr("192.0.2.1"));
        const struct step steps[] = {
            {.kind = t->request}, {.from_backend = true, .kind = t->answer}, {.kind = SUPPORT_INIT}};
        tell(&net.dp.bindings, flow, &steps[0]);
        tell(&net.dp.bindings, flow, &steps[1]);
        assert_int_equal(net.pool->backends[0].fragmentation, t->backend);
        assert_int_equal(!!(pin->flags & PIN_CLIENT_FRAGMENTATION), t->client);
        tell(&net.dp.bindings, flow, &steps[2]); /* the latest request counts */
        assert_false(pin->flags & PIN_CLIENT_FRAGMENTATION);
        support_net_deinit(&net);
    }
}

/* One handshake is one session, whatever its rounds; what was said last, and by whom, stands in its story. */
static void test_answered(void **state)
{
    static const struct step steps[] = {
        C(INIT, NONE), B(KEEPALIVE, NONE), B(COOKIE, NONE), C(INIT, NONE), B(INIT_ANSWER, NONE),
    };
    static const uint16_t flags[] = {0, 0, STORY_ANSWERED | STORY_ASKED_AGAIN, STORY_ANSWERED,
                                     STORY_ANSWERED};
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 16);
    const uint32_t flow = add_flow(&net);
    struct tracking *t = &net.dp.bindings.tracking;
    for (size_t i = 0; i < 5; i++) {
        tell(&net.dp.bindings, flow, &steps[i]);
        assert_int_equal(sessions_count(t->sessions), 1);
        const uint32_t index = sessions_of_pin(t->sessions, flows_get(net.dp.bindings.flows, flow)->pin);
        const struct story *story = &sessions_get(t->sessions, index)->story;
        assert_int_equal(story->flags & (STORY_ANSWERED | STORY_ASKED_AGAIN), flags[i]);
    }
    assert_int_equal(net.pool->backends[0].handshakes.answered_total, 1);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_fragmentation),
        cmocka_unit_test(test_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
