#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdlib.h>

#include "admin/explain_json.h"
#include "tests/unit/json_body.h"
#include "tests/unit/support.h"

#define WALL_MS UINT64_C(1709210096007) /* 2024-02-29T12:34:56.007Z */
#define CLIENT  "203.0.113.7"

static const struct support_service services[] = {
    {.name = "aovpn", .vips = {"192.0.2.1"}, .backends = {{.name = "vpn1", .address = "198.51.100.1"}}},
    {.name = "other", .vips = {"192.0.2.2"}, .backends = {{.name = "vpn9", .address = "198.51.100.9"}}},
};

static int set_up(void **state)
{
    return support_net_set_up(state, services, 2, 1000);
}

static json_t *explain(const struct support_net *net, const char *address)
{
    const struct addr addr = support_addr(address);
    struct body body;

    assert_int_equal(explain_json(&net->dp, &addr, net->now_ms, WALL_MS, &body), 0);
    return json_body_take(&body);
}

/* Compares one member with JSON text; the order of keys doesn't matter. */
static void check(const json_t *document, const char *key, const char *wanted)
{
    char *seen = json_dumps(json_object_get(document, key),
                            JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    json_t *value = json_loads(wanted, JSON_DECODE_ANY, NULL);
    char *want = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

    assert_non_null(want);
    if (!seen || strcmp(seen, want) != 0)
        fail_msg("%s: %s instead of %s", key, seen ? seen : "nothing", want);
    free(seen);
    free(want);
    json_decref(value);
}

static void expect_verdict(const struct support_net *net, const char *address, const char *verdict)
{
    json_t *document = explain(net, address);
    const char *seen = json_string_value(json_object_get(document, "verdict"));

    assert_non_null(seen);
    assert_string_equal(seen, verdict);
    json_decref(document);
}

static json_t *only(const json_t *document, const char *key)
{
    const json_t *list = json_object_get(document, key);

    assert_int_equal(json_array_size(list), 1);
    return json_array_get(list, 0);
}

static void test_nothing(void **state)
{
    json_t *document = explain(*state, "2001:db8::7");

    check(document, "address", "\"2001:db8::7\"");
    check(document, "verdict", "\"nothing-seen\"");
    check(document, "connected", "false");
    check(document, "ago_s", "null");
    check(document, "complete", "true");
    for (int i = 0; i < 4; i++)
        check(document, ((const char *[]){"clients", "handshakes", "moves", "refusals"})[i], "[]");
    assert_true(json_array_size(json_object_get(document, "advice")) > 2);
    json_decref(document);
}

/* From the first message to a tunnel, with the times between. */
static void test_handshake(void **state)
{
    struct support_net *net = *state;
    const struct endpoint from_500 = support_endpoint(CLIENT, 40500);
    const struct endpoint from_4500 = support_endpoint(CLIENT, 44500);
    const struct verdict init =
        support_from_client(net, 0, from_500, IKE_PORT_500, SUPPORT_INIT_FRAGMENTATION);

    net->now_ms += 5000;
    expect_verdict(net, CLIENT, "init-unanswered");
    support_reply(net, &init, SUPPORT_INIT_ANSWER);
    net->now_ms += 250;
    expect_verdict(net, CLIENT, "answered-no-auth");
    const struct verdict auth = support_from_client(net, 0, from_4500, IKE_PORT_4500, SUPPORT_AUTH);
    net->now_ms += 1000;
    support_from_client(net, 0, from_4500, IKE_PORT_4500, SUPPORT_AUTH);
    expect_verdict(net, CLIENT, "auth-unanswered");
    support_reply(net, &auth, SUPPORT_AUTH_ANSWER);
    expect_verdict(net, CLIENT, "auth-answered");
    support_from_client(net, 0, from_4500, IKE_PORT_4500, SUPPORT_ESP);
    support_reply(net, &auth, SUPPORT_ESP);
    net->now_ms += 1007;
    support_from_client(net, 0, from_4500, IKE_PORT_4500, SUPPORT_ESP); /* which its flow alone knows of */
    net->now_ms += 1000;

    json_t *document = explain(net, CLIENT);
    check(document, "verdict", "\"established\"");
    check(document, "connected", "true");
    check(document, "ago_s", "2.007");
    check(document, "advice", "[]");
    check(only(document, "clients"), "stage", "\"established\"");
    check(only(document, "clients"), "idle_s", "1");
    const json_t *handshake = only(document, "handshakes");
    check(handshake, "stages",
          "[{\"stage\":\"init-sent\",\"ago_s\":8.257,\"at\":\"2024-02-29T12:34:47.750Z\"},"
          "{\"stage\":\"init-answered\",\"ago_s\":3.257,\"at\":\"2024-02-29T12:34:52.750Z\"},"
          "{\"stage\":\"auth-sent\",\"ago_s\":3.007,\"at\":\"2024-02-29T12:34:53.000Z\"},"
          "{\"stage\":\"auth-answered\",\"ago_s\":2.007,\"at\":\"2024-02-29T12:34:54.000Z\"},"
          "{\"stage\":\"established\",\"ago_s\":2.007,\"at\":\"2024-02-29T12:34:54.000Z\"}]");
    check(handshake, "service", "\"aovpn\"");
    check(handshake, "backend", "\"vpn1\"");
    check(handshake, "stage", "\"established\"");
    check(handshake, "port", "44500");
    check(handshake, "ended", "false");
    check(handshake, "init_count", "1");
    check(handshake, "auth_count", "2");
    check(handshake, "begun_ago_s", "8.257");
    check(handshake, "last_ike_ago_s", "2.007");
    check(handshake, "fragmentation", "{\"client\":true,\"server\":false}");
    check(handshake, "large_messages", "{\"in\":false,\"out\":false}");
    check(handshake, "rekeyed", "false");
    check(handshake, "conflict", "false");
    check(handshake, "error", "null");
    json_decref(document);
}

/* SPIs are written as they stand on the wire; the server's is not known before it answers. */
static void test_spis(void **state)
{
    struct support_net *net = *state;
    const struct endpoint client = support_endpoint(CLIENT, 500);
    const struct support_sa sa = support_sa_of(net, &client.addr);
    uint8_t bytes[8];
    char wanted[32] = "\"";

    support_from_client(net, 0, client, IKE_PORT_500, SUPPORT_INIT);
    memcpy(bytes, &sa.spi_i, sizeof bytes);
    for (int i = 0; i < 8; i++)
        snprintf(wanted + 1 + (ptrdiff_t)2 * i, 4, "%02x\"", bytes[i]);
    json_t *document = explain(net, CLIENT);
    check(only(document, "handshakes"), "spi_i", wanted);
    check(only(document, "handshakes"), "spi_r", "null");
    check(only(document, "handshakes"), "fragmentation", "{\"client\":false,\"server\":null}");
    json_decref(document);
}

/* What has ended is still explained, as of then; the youngest comes first, whether it has ended or not. */
static void test_ended(void **state)
{
    struct support_net *net = *state;
    const struct endpoint client = support_endpoint(CLIENT, 500);

    support_from_client(net, 0, client, IKE_PORT_500, SUPPORT_INIT);
    for (int i = 0; i < 100; i++) {
        net->now_ms += 400;
        dataplane_sweep(&net->dp, net->now_ms, 4096);
    }
    net->handshake++;
    support_from_client(net, 1, client, IKE_PORT_500, SUPPORT_INIT);
    net->now_ms += 1000;
    json_t *document = explain(net, CLIENT);
    const json_t *handshakes = json_object_get(document, "handshakes");
    assert_int_equal(json_array_size(handshakes), 2);
    check(json_array_get(handshakes, 0), "service", "\"other\"");
    check(json_array_get(handshakes, 0), "ended", "false");
    check(json_array_get(handshakes, 1), "service", "\"aovpn\"");
    check(json_array_get(handshakes, 1), "ended", "true");
    check(json_array_get(handshakes, 1), "begun_ago_s", "41.0");
    check(json_array_get(handshakes, 1), "stages",
          "[{\"stage\":\"init-sent\",\"ago_s\":41.0,\"at\":\"2024-02-29T12:34:15.007Z\"}]");
    json_decref(document);
}

static void note(struct support_net *net, enum journal_event event, uint64_t ago_ms, const char *other)
{
    const struct journal_entry entry = {
        .event = event,
        .client = support_endpoint(CLIENT, 4500),
        .service = 1,
        .at_ms = net->now_ms - ago_ms,
        .other = support_endpoint(other, 4711),
        .story = story_begin(1, 1, 4500, net->now_ms - ago_ms),
    };

    journal_note(net->dp.bindings.tracking.journal, &entry);
}

/* A change of the port is noted twice and shown once. */
static void test_moves(void **state)
{
    struct support_net *net = *state;

    note(net, JOURNAL_CAME, 9000, "203.0.113.6");
    note(net, JOURNAL_LEFT, 5000, CLIENT);
    note(net, JOURNAL_CAME, 5000, CLIENT);
    note(net, JOURNAL_LEFT, 1000, "203.0.113.8");
    json_t *document = explain(net, CLIENT);
    check(document, "verdict", "\"moved\"");
    check(document, "moves",
          "[{\"service\":\"other\",\"backend\":\"vpn9\",\"from\":\"203.0.113.7:4500\","
          "\"to\":\"203.0.113.8:4711\",\"spi_i\":null,\"spi_r\":null,\"ago_s\":1.0,"
          "\"at\":\"2024-02-29T12:34:55.007Z\"},"
          "{\"service\":\"other\",\"backend\":\"vpn9\",\"from\":\"203.0.113.7:4500\","
          "\"to\":\"203.0.113.7:4711\",\"spi_i\":null,\"spi_r\":null,\"ago_s\":5.0,"
          "\"at\":\"2024-02-29T12:34:51.007Z\"},"
          "{\"service\":\"other\",\"backend\":\"vpn9\",\"from\":\"203.0.113.6:4711\","
          "\"to\":\"203.0.113.7:4500\",\"spi_i\":null,\"spi_r\":null,\"ago_s\":9.0,"
          "\"at\":\"2024-02-29T12:34:47.007Z\"}]");
    check(document, "handshakes", "[]");
    json_decref(document);
}

static void test_refusals(void **state)
{
    struct support_net *net = *state;

    net->pool->backends[1].health = HEALTH_DOWN;
    for (int i = 0; i < 3; i++) {
        support_from_client(net, 1, support_endpoint(CLIENT, 500), IKE_PORT_500, SUPPORT_INIT);
        net->now_ms += 1000;
    }
    json_t *document = explain(net, CLIENT);
    check(document, "verdict", "\"refused\"");
    check(document, "connected", "false");
    check(document, "refusals",
          "[{\"service\":\"other\",\"reason\":\"no_backend\",\"count\":3,\"since_ago_s\":3.0,\"ago_s\":1.0,"
          "\"at\":\"2024-02-29T12:34:55.007Z\"}]");
    json_decref(document);
}

/* An error is shown as long as the handshake has not gone on. */
static void test_errors(void **state)
{
    static const struct {
        enum stage stage;
        uint16_t error;
        const char *wanted;
    } cases[] = {
        {STAGE_INIT_SENT, 14, "\"NO_PROPOSAL_CHOSEN\""},
        {STAGE_INIT_SENT, 4711, "\"4711\""},
        {STAGE_INIT_ANSWERED, 14, "null"},
        {STAGE_INIT_SENT, 0, "null"},
    };
    struct support_net *net = *state;

    support_from_client(net, 0, support_endpoint(CLIENT, 500), IKE_PORT_500, SUPPORT_INIT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct story *story = &sessions_get(net->dp.bindings.tracking.sessions, 0)->story;
        story->stage = (uint8_t)cases[i].stage;
        story->error = cases[i].error;
        json_t *document = explain(net, CLIENT);
        check(only(document, "handshakes"), "error", cases[i].wanted);
        json_decref(document);
    }
}

/* A rekeyed session's first message was never seen, so nothing is known of what it announced. */
static void test_rekeyed(void **state)
{
    struct support_net *net = *state;

    support_from_client(net, 0, support_endpoint(CLIENT, 500), IKE_PORT_500, SUPPORT_INIT);
    struct story *story = &sessions_get(net->dp.bindings.tracking.sessions, 0)->story;
    story->flags |= STORY_REKEYED | STORY_LARGE_FROM_CLIENT | STORY_CONFLICT;
    json_t *document = explain(net, CLIENT);
    check(only(document, "handshakes"), "fragmentation", "{\"client\":null,\"server\":null}");
    check(only(document, "handshakes"), "rekeyed", "true");
    check(only(document, "handshakes"), "conflict", "true");
    check(only(document, "handshakes"), "large_messages", "{\"in\":true,\"out\":false}");
    story->flags &= (uint16_t) ~(STORY_REKEYED | STORY_CONFLICT);
    json_decref(document);
}

/* One address with very many pins and sessions: bounded, and said so. */
static void test_bounds(void **state)
{
    struct support_net *net = *state;
    struct bindings *b = &net->dp.bindings;
    const struct addr client = support_addr(CLIENT);
    struct story story = story_begin(0, 0, 4500, net->now_ms);
    uint32_t pin, session;

    for (uint16_t part = 1; part <= EXPLAIN_CLIENTS_MAX; part++) {
        const struct pin_key key = {.client = client, .service = 0, .part = part};
        assert_int_equal(pins_insert(b->pins, &key, 0, true, net->now_ms, &pin), 0);
        net->pool->backends[0].clients++;
        net->pool->backends[0].clients_at[STAGE_NONE]++;
    }
    json_t *document = explain(net, CLIENT);
    check(document, "complete", "true");
    assert_int_equal(json_array_size(json_object_get(document, "clients")), EXPLAIN_CLIENTS_MAX);
    json_decref(document);

    for (int i = 0; i < EXPLAIN_SESSIONS_A_PIN; i++) {
        story.spi_i.bytes[0] = (uint8_t)(i + 1);
        story.stage_ms[STAGE_NONE] = (uint32_t)net->now_ms + (uint32_t)i;
        assert_int_equal(sessions_insert(b->tracking.sessions, pin, &story, true, &session), 0);
        net->pool->backends[0].sessions++;
    }
    document = explain(net, CLIENT);
    check(document, "complete", "true");
    assert_int_equal(json_array_size(json_object_get(document, "handshakes")), EXPLAIN_SESSIONS_A_PIN);
    json_decref(document);
    story.spi_i.bytes[0] = 0xee;
    assert_int_equal(sessions_insert(b->tracking.sessions, pin, &story, true, &session), 0);
    document = explain(net, CLIENT);
    check(document, "complete", "false");
    assert_int_equal(json_array_size(json_object_get(document, "handshakes")), EXPLAIN_SESSIONS_A_PIN);
    json_decref(document);
    sessions_remove(b->tracking.sessions, session);

    const struct pin_key key = {.client = client, .service = 1};
    assert_int_equal(pins_insert(b->pins, &key, 1, true, net->now_ms, &pin), 0);
    net->pool->backends[1].clients++;
    net->pool->backends[1].clients_at[STAGE_NONE]++;
    document = explain(net, CLIENT);
    check(document, "complete", "false");
    assert_int_equal(json_array_size(json_object_get(document, "clients")), EXPLAIN_CLIENTS_MAX);
    json_decref(document);
}

/* Handshakes that anybody can begin in its name do not hide a client's tunnel. */
static void test_a_tunnel_below_forged_handshakes(void **state)
{
    enum { FORGED = 500 };
    struct support_net *net = *state;
    struct sessions *sessions = net->dp.bindings.tracking.sessions;
    struct story story = story_begin(0, 0, 4500, net->now_ms);

    support_establish(net, 0, support_endpoint(CLIENT, 4500));
    const struct pin_key key = {.client = support_addr(CLIENT), .service = 0};
    const uint32_t pin = pins_find(net->dp.bindings.pins, &key);
    net->now_ms += 1000;
    for (uint16_t i = 0; i < FORGED; i++) {
        uint32_t session;
        memcpy(story.spi_i.bytes, &i, sizeof i);
        story.spi_i.bytes[7] = 0xff;
        story.stage = STAGE_INIT_SENT;
        story.seen_ms = story.stage_ms[STAGE_NONE] = story.stage_ms[STAGE_INIT_SENT] = (uint32_t)net->now_ms;
        assert_int_equal(sessions_insert(sessions, pin, &story, true, &session), 0);
        net->pool->backends[0].sessions++;
    }
    json_t *document = explain(net, CLIENT);
    check(document, "complete", "false");
    assert_int_equal(json_array_size(json_object_get(document, "handshakes")), EXPLAIN_SESSIONS_A_PIN);
    const char *summary = json_string_value(json_object_get(document, "summary"));
    assert_non_null(strstr(summary, "Another tunnel of this address, to vpn1, is connected."));
    json_decref(document);
}

/* No slice looks at more of the table than it may, none but the last is empty, and the end is found. */
static void test_slices(void **state)
{
    enum { CLIENTS = 20000 };
    struct support_net *net = calloc(1, sizeof *net);
    const struct addr last = support_addr_v4(CLIENTS - 1);
    struct body body;
    size_t slices = 0;
    int step;
    uint32_t pin;

    (void)state;
    assert_non_null(net);
    support_net_init(net, services, 2, CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const struct pin_key key = {.client = support_addr_v4(i)};
        assert_int_equal(pins_insert(net->dp.bindings.pins, &key, 0, true, net->now_ms, &pin), 0);
        net->pool->backends[0].clients++;
        net->pool->backends[0].clients_at[STAGE_NONE]++;
    }
    assert_int_equal(explain_json(&net->dp, &last, net->now_ms, WALL_MS, &body), 0);
    do {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        step = body.next(body.state, out);
        fclose(out);
        assert_true(len > 0);
        if (strstr(text, "\"clients\":[{"))
            step = BODY_END;
        free(text);
        slices++;
    } while (step == BODY_MORE);
    body.destroy(body.state);
    assert_int_equal(slices, (CLIENTS + EXPLAIN_SLICE_SLOTS - 1) / EXPLAIN_SLICE_SLOTS + 2);
    support_net_deinit(net);
    free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_handshake, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_spis, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_ended, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_moves, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_rekeyed, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_a_tunnel_below_forged_handshakes, set_up, support_net_tear_down),
        cmocka_unit_test(test_slices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
