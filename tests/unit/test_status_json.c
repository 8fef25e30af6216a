#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdlib.h>

#include "admin/status_json.h"
#include "lb/pool_config.h"
#include "tests/unit/json_body.h"
#include "tests/unit/reporting_fastpath.h"
#include "tests/unit/support.h"

static const struct support_service services[] = {
    {.name = "aovpn",
     .vips = {"192.0.2.1", "2001:db8::1"},
     .backends = {{.name = "vpn1", .address = "198.51.100.1"},
                  {.name = "vpn2", .address = "2001:db8::2", .weight = 7, .state = CONFIG_STATE_DRAIN}}},
    {.name = "old",
     .vips = {"192.0.2.2"},
     .mode = CONFIG_MODE_FULL_NAT,
     .schedule = CONFIG_SCHEDULE_LEAST_CLIENTS,
     .snats = {"198.51.100.9"},
     .backends = {{.name = "vpn1", .address = "198.51.100.3"}}},
};

#define REFUSING                                                                                             \
    "a server refuses new clients: it is alive, but leaves their first messages unanswered; new clients go " \
    "elsewhere if they can; see its log and its limit of half-open handshakes, and look for overload, or a " \
    "limit of its firewall or licence; if it has never served anybody, check that its way back to clients "  \
    "leads through ikelb"

static const char expected[] =
    "{\"version\":\"" IKELB_VERSION "\",\"uptime_s\":3,\"drops\":{},"
    "\"fastpath\":{\"mode\":\"native\",\"trouble\":null,\"entries\":51,\"capacity\":250,\"interfaces\":["
    "{\"name\":\"eth0\",\"mode\":\"native\",\"trouble\":null},"
    "{\"name\":\"eth1\",\"mode\":\"off\",\"trouble\":\"another XDP program is attached\"}],"
    "\"passed\":{\"mtu\":52,\"new_spi\":53}},"
    "\"tables\":{\"pins\":{\"entries\":2,\"capacity\":100},\"flows\":{\"entries\":1,\"capacity\":200},"
    "\"sessions\":{\"entries\":1,\"capacity\":100}},"
    "\"services\":[{\"name\":\"aovpn\",\"mode\":\"transparent\",\"schedule\":\"bounded-hash\",\"removed\":"
    "false,"
    "\"vip\":[\"192.0.2.1\",\"2001:db8::1\"],\"alarms\":[\"no backend of one address family, IPv4 or IPv6, "
    "is up: "
    "new clients of that family are dropped\",\"" REFUSING "\"],"
    "\"failovers_total\":41,\"roams_total\":{\"mobike\":42,\"rebind\":43},\"conflicts_total\":44,"
    "\"backends\":["
    "{\"name\":\"vpn1\",\"address\":\"198.51.100.1\",\"weight\":100,\"state\":\"enabled\",\"removed\":false,"
    "\"health\":\"up\","
    "\"clients\":2,\"new_clients_total\":2,\"init_unanswered_total\":5,"
    "\"rx_packets\":11,\"rx_bytes\":12,\"tx_packets\":13,\"tx_bytes\":14,"
    "\"rx_pps\":15,\"rx_bps\":128,\"tx_pps\":17,\"tx_bps\":144,\"fast_pps\":19,\"probe_ms\":0.834,"
    "\"fragmentation\":true,"
    "\"suspect\":\"refusing\",\"handshakes\":{\"init_sent\":21,\"init_answered\":22,\"auth_sent\":23,"
    "\"auth_answered\":24,\"established\":25,\"answered\":26,\"unanswered\":5,\"stalled\":27,"
    "\"auth_unanswered\":28,\"large_in\":29,\"large_out\":30}},"
    "{\"name\":\"vpn2\",\"address\":\"2001:db8::2\",\"weight\":7,\"state\":\"drain\",\"removed\":true,"
    "\"health\":\"unknown\","
    "\"clients\":0,\"new_clients_total\":0,\"init_unanswered_total\":0,"
    "\"rx_packets\":0,\"rx_bytes\":0,\"tx_packets\":0,\"tx_bytes\":0,"
    "\"rx_pps\":0,\"rx_bps\":0,\"tx_pps\":0,\"tx_bps\":0,\"fast_pps\":0,\"probe_ms\":null,\"fragmentation\":"
    "null,"
    "\"suspect\":\"silent\","
    "\"handshakes\":{\"init_sent\":0,\"init_answered\":0,\"auth_sent\":0,\"auth_answered\":0,\"established\":"
    "0,"
    "\"answered\":0,\"unanswered\":0,\"stalled\":0,\"auth_unanswered\":0,\"large_in\":0,\"large_out\":0}}]},"
    "{\"name\":\"old\",\"mode\":\"full-nat\",\"schedule\":\"least-clients\",\"removed\":false,\"vip\":[\"192."
    "0.2.2\"],"
    "\"alarms\":[\"no backend is up and enabled: new clients are dropped\"],"
    "\"failovers_total\":0,\"roams_total\":{\"mobike\":0,\"rebind\":0},\"conflicts_total\":0,\"backends\":["
    "{\"name\":\"vpn1\",\"address\":\"198.51.100.3\",\"weight\":100,\"state\":\"enabled\",\"removed\":false,"
    "\"health\":"
    "\"down\","
    "\"clients\":0,\"new_clients_total\":0,\"init_unanswered_total\":0,"
    "\"rx_packets\":0,\"rx_bytes\":0,\"tx_packets\":0,\"tx_bytes\":0,"
    "\"rx_pps\":0,\"rx_bps\":0,\"tx_pps\":0,\"tx_bps\":0,\"fast_pps\":0,\"probe_ms\":1234.5,"
    "\"fragmentation\":false,"
    "\"suspect\":null,"
    "\"handshakes\":{\"init_sent\":0,\"init_answered\":0,\"auth_sent\":0,\"auth_answered\":0,\"established\":"
    "0,"
    "\"answered\":0,\"unanswered\":0,\"stalled\":0,\"auth_unanswered\":0,\"large_in\":0,\"large_out\":0}}]}]"
    "}";

static json_t *document_of(const struct dataplane *dp, uint64_t started_ms, uint64_t now_ms)
{
    struct body body;

    assert_int_equal(status_json(dp, started_ms, now_ms, &body), 0);
    return json_body_take(&body);
}

static void prepare(struct support_net *net)
{
    const struct endpoint client = support_endpoint("203.0.113.7", 500);
    struct backend *b;
    uint32_t pin;

    support_net_init(net, services, 2, 100);
    assert_int_equal(bindings_add_pin(&net->dp.bindings, &client, 0, true, net->now_ms, &pin), 0);
    support_from_client(net, 0, support_endpoint("203.0.113.8", 500), IKE_PORT_500, SUPPORT_INIT);
    b = net->pool->backends;
    b[0].traffic[TRAFFIC_IN] = (struct traffic){.packets = 11, .bytes = 12};
    b[0].traffic[TRAFFIC_OUT] = (struct traffic){.packets = 13, .bytes = 14};
    b[0].rate[TRAFFIC_IN] = (struct traffic){.packets = 15, .bytes = 16};
    b[0].rate[TRAFFIC_OUT] = (struct traffic){.packets = 17, .bytes = 18};
    b[0].fast_pps = 19;
    b[0].handshakes.unanswered_total = 5;
    b[0].probe_us = 834;
    b[0].fragmentation = FRAGMENTATION_YES;
    b[0].passive.suspicion = SUSPICION_REFUSING;
    b[1].passive.suspicion = SUSPICION_SILENT;
    for (int i = STAGE_INIT_SENT; i < STAGE_COUNT; i++)
        b[0].handshakes.reached[i] = 20 + (uint64_t)i;
    b[0].handshakes.answered_total = 26;
    b[0].handshakes.stalled_total = 27;
    b[0].handshakes.auth_unanswered_total = 28;
    b[0].handshakes.large_in_total = 29;
    b[0].handshakes.large_out_total = 30;
    net->pool->services[0].failovers_total = 41;
    net->pool->services[0].roams_total[ROAM_MOBIKE] = 42;
    net->pool->services[0].roams_total[ROAM_REBIND] = 43;
    net->pool->services[0].conflicts_total = 44;
    b[1].health = HEALTH_UNKNOWN;
    b[1].removed = true;
    b[2].health = HEALTH_DOWN;
    b[2].probe_us = 1234500;
    b[2].fragmentation = FRAGMENTATION_NO;
}

static void test_document(void **state)
{
    struct support_net net;

    (void)state;
    prepare(&net);
    net.dp.bindings.fastpath = &reporting_fastpath;
    json_t *document = document_of(&net.dp, net.now_ms - 3999, net.now_ms);
    json_object_set_new(document, "drops", json_object()); /* has a test of its own */
    json_t *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    char *seen = json_dumps(document, JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    char *want = json_dumps(wanted, JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    assert_string_equal(seen, want);
    free(seen);
    free(want);
    json_decref(wanted);
    json_decref(document);
    support_net_deinit(&net);
}

static void test_drops_by_reason(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, services, 2, 100);
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        net.dp.drops[i] = 100 + (uint64_t)i;
    json_t *document = document_of(&net.dp, 0, net.now_ms);
    const json_t *drops = json_object_get(document, "drops");
    assert_int_equal(json_object_size(drops), DROP_REASON_COUNT);
    assert_int_equal(json_integer_value(json_object_get(drops, "no_backend")), 100 + DROP_NO_BACKEND);
    assert_int_equal(json_integer_value(json_object_get(drops, "bad_source")), 100 + DROP_BAD_SOURCE);
    json_decref(document);
    support_net_deinit(&net);
}

/* Without a fast path its members are there all the same. */
static void test_no_fastpath(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, services, 2, 100);
    json_t *document = document_of(&net.dp, 0, net.now_ms);
    char *seen = json_dumps(json_object_get(document, "fastpath"), JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(
        seen,
        "{\"capacity\":0,\"entries\":0,\"interfaces\":[],\"mode\":\"off\",\"passed\":{},\"trouble\":null}");
    free(seen);
    json_decref(document);
    net.dp.bindings.fastpath_trouble = "the kernel does not take the program";
    document = document_of(&net.dp, 0, net.now_ms);
    assert_string_equal(json_string_value(json_object_get(json_object_get(document, "fastpath"), "trouble")),
                        net.dp.bindings.fastpath_trouble);
    json_decref(document);
    support_net_deinit(&net);
}

/* Slices must fit together whatever the number of backends: none missing, none twice, none of them too long.
 */
static void test_slices(void **state)
{
    enum { SERVICES = 50, EACH = SUPPORT_BACKENDS_MAX };
    static char names[SERVICES][8];
    static const char *const backend_names[EACH] = {"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"};
    struct support_service *many = calloc(SERVICES, sizeof *many);
    struct support_net net;
    struct body body;
    size_t slices = 1;

    (void)state;
    assert_non_null(many);
    for (size_t s = 0; s < SERVICES; s++) {
        snprintf(names[s], sizeof names[s], "s%zu", s);
        many[s] = (struct support_service){.name = names[s], .vips = {"192.0.2.1"}};
        for (size_t b = 0; b < 1 + s % EACH; b++)
            many[s].backends[b] =
                (struct support_backend){.name = backend_names[b], .address = "198.51.100.1"};
    }
    support_net_init(&net, many, SERVICES, 10);

    json_t *document = document_of(&net.dp, 0, 0);
    const json_t *list = json_object_get(document, "services");
    assert_int_equal(json_array_size(list), SERVICES);
    for (size_t s = 0; s < SERVICES; s++) {
        const json_t *service = json_array_get(list, s);
        const json_t *backends = json_object_get(service, "backends");
        assert_string_equal(json_string_value(json_object_get(service, "name")), names[s]);
        assert_int_equal(json_array_size(backends), 1 + s % EACH);
        for (size_t b = 0; b < 1 + s % EACH; b++)
            assert_string_equal(json_string_value(json_object_get(json_array_get(backends, b), "name")),
                                backend_names[b]);
    }
    json_decref(document);

    assert_int_equal(status_json(&net.dp, 0, 0, &body), 0);
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    while (body.next(body.state, out) == BODY_MORE)
        slices++;
    fclose(out);
    body.destroy(body.state);
    /* A service's head and end are a row each. */
    const size_t rows = net.pool->backend_count + 2 * net.pool->service_count;
    assert_int_equal(slices, (rows + BODY_SLICE_ROWS - 1) / BODY_SLICE_ROWS);
    support_net_deinit(&net);
    free(many);
}

/* Eight services with eight backends each, "s0" with "b0" to "b7" and so on; from the last to the first if
 * `reversed`. */
static void crowd(struct support_service out[8], bool reversed)
{
    static char names[8][16], vips[8][32], backends[8][16], addresses[8][32];

    for (int s = 0; s < 8; s++) {
        snprintf(names[s], sizeof names[s], "s%d", s);
        snprintf(vips[s], sizeof vips[s], "192.0.2.%d", s);
        snprintf(backends[s], sizeof backends[s], "b%d", s);
        snprintf(addresses[s], sizeof addresses[s], "10.0.0.%d", s);
    }
    for (int i = 0; i < 8; i++) {
        const int s = reversed ? 7 - i : i;
        out[i] = (struct support_service){.name = names[s], .vips = {vips[s]}};
        for (int k = 0; k < 8; k++)
            out[i].backends[k] = (struct support_backend){.name = backends[reversed ? 7 - k : k],
                                                          .address = addresses[reversed ? 7 - k : k]};
    }
}

static void apply(struct support_net *net, const struct support_service *changed, size_t count)
{
    struct config *config = support_config(changed, count);

    assert_int_equal(pool_config_apply(net->pool, config, NULL), 0);
    config_destroy(config);
}

static void ignore_gone(void *ctx, uint16_t backend)
{
    (void)ctx;
    (void)backend;
}

/* What happens between two slices. */
enum between { TURN_ROUND, REMOVE, REMOVE_AND_GO, REPLACE, BETWEEN_COUNT };

static void change(struct support_net *net, enum between between)
{
    struct support_service changed[8];

    crowd(changed, between == TURN_ROUND);
    if (between == TURN_ROUND) {
        apply(net, changed, 8);
        return;
    }
    changed[5].backends[4].name = NULL; /* half of it */
    apply(net, changed, 6);
    if (between == REMOVE)
        return;
    assert_true(pool_config_collect(net->pool, ignore_gone, NULL));
    if (between == REMOVE_AND_GO)
        return;
    net->pool->service_hand = 6;
    net->pool->backend_hand = 44; /* where the other half was */
    changed[6] = changed[5];
    changed[6].name = "other";
    changed[6].vips[0] = "192.0.2.99";
    apply(net, changed, 7);
    assert_true(net->pool->services[6].used && net->pool->backends[44].service == 6);
}

/*
 * Nobody is there twice, no one under a service that is not his, and nobody is missing who was there all the
 * time; nor is anybody there who has gone `early`, before his turn came.
 */
static void check_whole(const json_t *document, enum between between, bool early)
{
    static const size_t counts[BETWEEN_COUNT] = {
        [TURN_ROUND] = 8, [REMOVE] = 8, [REMOVE_AND_GO] = 6, [REPLACE] = 7};
    const json_t *list = json_object_get(document, "services");
    size_t s, k;
    json_t *service, *backend;
    unsigned seen[8][8] = {{0}};

    assert_in_range(json_array_size(list), counts[between], early ? counts[between] : 8);
    json_array_foreach(list, s, service)
    {
        const char *name = json_string_value(json_object_get(service, "name"));
        if (strcmp(name, "other") == 0) /* whose index a service had that has gone */
            continue;
        json_array_foreach(json_object_get(service, "backends"), k, backend)
        {
            const char *own = json_string_value(json_object_get(backend, "name"));
            seen[name[1] - '0'][own[1] - '0']++;
        }
    }
    for (s = 0; s < 8; s++)
        for (k = 0; k < 8; k++) {
            const bool stays = s < 5 || (s == 5 && k < 4) || between == TURN_ROUND || between == REMOVE;
            assert_in_range(seen[s][k], stays, early ? stays : 1);
        }
}

static void test_reload_between_slices(void **state)
{
    struct support_service many[8];

    (void)state;
    crowd(many, false);
    for (int between = 0; between < BETWEEN_COUNT; between++) {
        int slices = 1;
        for (int at = 0; at < slices; at++) {
            struct support_net net;
            struct body body;
            char *text = NULL;
            size_t len = 0;
            support_net_init(&net, many, 8, 10);
            assert_int_equal(status_json(&net.dp, 0, 0, &body), 0);
            FILE *out = open_memstream(&text, &len);
            assert_non_null(out);
            for (slices = 1; body.next(body.state, out) == BODY_MORE; slices++)
                if (slices == at + 1)
                    change(&net, (enum between)between);
            fclose(out);
            body.destroy(body.state);
            json_t *document = json_loads(text, 0, NULL);
            assert_non_null(document);
            check_whole(document, (enum between)between, at == 0);
            json_decref(document);
            free(text);
            support_net_deinit(&net);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_drops_by_reason),
        cmocka_unit_test(test_no_fastpath),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_reload_between_slices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
