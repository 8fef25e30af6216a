#include "tests/unit/unit.h"

#include <stdlib.h>

#include "admin/metrics.h"
#include "lb/alarms.h"
#include "lb/pool_config.h"
#include "tests/unit/reporting_fastpath.h"
#include "tests/unit/support.h"

static const struct support_service services[] = {
    {.name = "a",
     .vips = {"192.0.2.1"},
     .backends = {{.name = "vpn1", .address = "198.51.100.1"}, {.name = "vpn2", .address = "198.51.100.2"}}},
    {.name = "b",
     .vips = {"192.0.2.2"},
     .backends = {{.name = "vpn1", .address = "198.51.100.3", .weight = 7, .state = CONFIG_STATE_DRAIN}}},
};

#define LINE_MAX_BYTES 512
#define TYPE_MAX       16

/* A small reader of the format: what it has seen of the text, line by line. */
struct reader {
    char family[LINE_MAX_BYTES];
    char type[TYPE_MAX];
    bool has_help;
    size_t families;
    size_t samples;
    unsigned long long last_bucket; /* of the histogram whose buckets are being read */
    bool is_in_buckets;
};

static int set_up(void **state)
{
    return support_net_set_up(state, services, 2, 100);
}

static const struct metrics_saving saving = {
    .saved_wall_ms = 1700000001234, .save_us = 1500000, .bytes = 123456, .errors_total = 7};

static char *metrics_of(const struct dataplane *dp, const struct histogram *loop_lag, uint64_t now_ms)
{
    const struct metrics_source source = {.dp = dp,
                                          .loop_lag = loop_lag,
                                          .saving = &saving,
                                          .now_ms = now_ms,
                                          .started_wall_ms = 1700000000999};
    struct body body;

    assert_int_equal(metrics_body(&source, &body), 0);
    char *text = body_collect(&body);
    assert_non_null(text);
    return text;
}

static void read_comment(struct reader *r, const char *line)
{
    char name[LINE_MAX_BYTES];
    char type[TYPE_MAX];
    int used = 0;

    if (sscanf(line, "# HELP %511s %n", name, &used) == 1) {
        assert_true(used > 0 && line[used] != '\0'); /* some help */
        assert_int_equal(line[strlen(line) - 1], '.');
        assert_string_not_equal(name, r->family);
        *r = (struct reader){.families = r->families + 1, .samples = r->samples, .has_help = true};
        strcpy(r->family, name);
        return;
    }
    if (sscanf(line, "# TYPE %511s %15s%n", name, type, &used) != 2 || line[used] != '\0')
        fail_msg("no comment that is known: %s", line);
    assert_true(r->has_help && r->type[0] == '\0');
    assert_string_equal(name, r->family);
    assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
    const bool ends_in_total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
    assert_int_equal(ends_in_total, strcmp(type, "counter") == 0);
    strcpy(r->type, type);
}

/* "{key="value",...}": the end of it. Values here need no escapes. */
static const char *read_labels(const char *at)
{
    char before = '{';

    while (*at == before) {
        const size_t key = strspn(++at, "abcdefghijklmnopqrstuvwxyz");
        assert_true(key > 0);
        at += key;
        assert_memory_equal(at, "=\"", 2);
        at += 2;
        at += strcspn(at, "\"\\\n");
        assert_int_equal(*at++, '"');
        before = ',';
    }
    if (before == ',')
        assert_int_equal(*at++, '}');
    return at;
}

/* Buckets are cumulative, and the count is that of the last of them. */
static void check_histogram_line(struct reader *r, const char *suffix, unsigned long long value)
{
    if (strcmp(suffix, "_bucket") == 0) {
        assert_true(!r->is_in_buckets || value >= r->last_bucket);
        r->last_bucket = value;
        r->is_in_buckets = true;
        return;
    }
    if (strcmp(suffix, "_count") == 0)
        assert_int_equal(value, r->last_bucket);
    else
        assert_string_equal(suffix, "_sum");
    r->is_in_buckets = false;
}

static void read_sample(struct reader *r, const char *line)
{
    const size_t name_len = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    const size_t family_len = strlen(r->family);
    char suffix[LINE_MAX_BYTES];
    char *end;

    assert_true(r->type[0] != '\0' && name_len >= family_len);
    assert_memory_equal(line, r->family, family_len);
    snprintf(suffix, sizeof suffix, "%.*s", (int)(name_len - family_len), line + family_len);
    const char *at = read_labels(line + name_len);
    assert_int_equal(*at++, ' ');
    const unsigned long long value = strtoull(at, &end, 10);
    assert_true(end != at);
    if (strcmp(suffix, "_sum") == 0 || (strcmp(r->type, "gauge") == 0 && *end == '.'))
        (void)strtod(at, &end);
    assert_int_equal(*end, '\0');
    if (strcmp(r->type, "histogram") == 0)
        check_histogram_line(r, suffix, value);
    else
        assert_string_equal(suffix, "");
    r->samples++;
}

/* Reads the whole text; the number of samples in it. */
static size_t read_text(const char *text, size_t *families)
{
    struct reader r = {0};

    while (*text) {
        char line[LINE_MAX_BYTES];
        const size_t len = strcspn(text, "\n");
        assert_true(len > 0 && len < sizeof line && text[len] == '\n');
        memcpy(line, text, len);
        line[len] = '\0';
        if (line[0] == '#')
            read_comment(&r, line);
        else
            read_sample(&r, line);
        text += len + 1;
    }
    *families = r.families;
    return r.samples;
}

/* That very line stands in the text, once. */
static void check_line(const char *text, const char *line)
{
    char whole[LINE_MAX_BYTES];

    snprintf(whole, sizeof whole, "\n%s\n", line);
    const char *found = strstr(text, whole);
    if (!found || strstr(found + 1, whole))
        fail_msg("'%s' is there %s", line, found ? "twice" : "not at all");
}

static void test_well_formed(void **state)
{
    struct support_net *net = *state;
    struct histogram lag = {0};
    size_t families;

    histogram_note(&lag, 700);
    histogram_note(&net->pool->backends[1].probe_times, 4000);
    histogram_note(&net->pool->backends[1].probe_times, 4000000);
    char *text = metrics_of(&net->dp, &lag, net->now_ms);
    const size_t samples = read_text(text, &families);
    const size_t histogram = HISTOGRAM_BUCKETS + 2;
    const size_t each_backend =
        1 + 3 + 1 + 2 + STAGE_COUNT + 1 + 4 + 4 + 2 + STAGE_COUNT - 1 + 2 + 2 + 2 + histogram;
    const size_t each_service = 1 + 2 + 1 + ALARM_COUNT;
    assert_int_equal(families, 31);
    assert_int_equal(samples, 3 * each_backend + 2 * each_service + DROP_REASON_COUNT + 4 + 3 + 4 +
                                  FASTPATH_MODE_COUNT + histogram + 4 + 1 + 1);
    free(text);
}

/* Each figure stands where it belongs, under the names that users and alert rules rely on. */
static void fill(struct support_net *net, struct histogram *lag)
{
    struct backend *backend = &net->pool->backends[1];
    struct service *service = &net->pool->services[0];

    backend->health = HEALTH_DOWN;
    backend->passive.suspicion = SUSPICION_REFUSING;
    backend->new_clients_total = 11;
    backend->traffic[TRAFFIC_IN] = (struct traffic){12, 13};
    backend->traffic[TRAFFIC_OUT] = (struct traffic){14, 15};
    backend->fast[TRAFFIC_IN] = (struct traffic){2, 3};
    backend->fast[TRAFFIC_OUT] = (struct traffic){4, 5};
    backend->handshakes = (struct handshake_counts){
        .reached = {99, 16, 17, 18, 19, 20},
        .answered_total = 21,
        .unanswered_total = 22,
        .stalled_total = 23,
        .auth_unanswered_total = 24,
        .large_in_total = 25,
        .large_out_total = 26,
    };
    backend->probes_failed_total = 27;
    histogram_note(&backend->probe_times, 4000);
    service->failovers_total = 28;
    service->roams_total[ROAM_MOBIKE] = 29;
    service->roams_total[ROAM_REBIND] = 30;
    service->conflicts_total = 31;
    net->dp.drops[DROP_NO_BACKEND] = 32;
    histogram_note(lag, 700);
}

static void test_values(void **state)
{
    static const char *const lines[] = {
        "ikelb_backend_up{service=\"a\",backend=\"vpn1\"} 1",
        "ikelb_backend_up{service=\"a\",backend=\"vpn2\"} 0",
        "ikelb_backend_up{service=\"b\",backend=\"vpn1\"} 1",
        "ikelb_backend_state{service=\"b\",backend=\"vpn1\",state=\"enabled\"} 0",
        "ikelb_backend_state{service=\"b\",backend=\"vpn1\",state=\"drain\"} 1",
        "ikelb_backend_state{service=\"b\",backend=\"vpn1\",state=\"disabled\"} 0",
        "ikelb_backend_weight{service=\"b\",backend=\"vpn1\"} 7",
        "ikelb_backend_suspect{service=\"a\",backend=\"vpn2\",kind=\"silent\"} 0",
        "ikelb_backend_suspect{service=\"a\",backend=\"vpn2\",kind=\"refusing\"} 1",
        "ikelb_new_clients_total{service=\"a\",backend=\"vpn2\"} 11",
        "ikelb_packets_total{service=\"a\",backend=\"vpn2\",direction=\"in\",path=\"slow\"} 10",
        "ikelb_packets_total{service=\"a\",backend=\"vpn2\",direction=\"in\",path=\"fast\"} 2",
        "ikelb_packets_total{service=\"a\",backend=\"vpn2\",direction=\"out\",path=\"slow\"} 10",
        "ikelb_packets_total{service=\"a\",backend=\"vpn2\",direction=\"out\",path=\"fast\"} 4",
        "ikelb_bytes_total{service=\"a\",backend=\"vpn2\",direction=\"in\",path=\"slow\"} 10",
        "ikelb_bytes_total{service=\"a\",backend=\"vpn2\",direction=\"in\",path=\"fast\"} 3",
        "ikelb_bytes_total{service=\"a\",backend=\"vpn2\",direction=\"out\",path=\"slow\"} 10",
        "ikelb_bytes_total{service=\"a\",backend=\"vpn2\",direction=\"out\",path=\"fast\"} 5",
        "ikelb_handshakes_total{service=\"a\",backend=\"vpn2\",outcome=\"answered\"} 21",
        "ikelb_handshakes_total{service=\"a\",backend=\"vpn2\",outcome=\"unanswered\"} 22",
        "ikelb_handshake_stages_total{service=\"a\",backend=\"vpn2\",stage=\"init-sent\"} 16",
        "ikelb_handshake_stages_total{service=\"a\",backend=\"vpn2\",stage=\"established\"} 20",
        "ikelb_handshake_stalls_total{service=\"a\",backend=\"vpn2\",stage=\"init-answered\"} 23",
        "ikelb_handshake_stalls_total{service=\"a\",backend=\"vpn2\",stage=\"auth-sent\"} 24",
        "ikelb_large_messages_total{service=\"a\",backend=\"vpn2\",direction=\"in\"} 25",
        "ikelb_large_messages_total{service=\"a\",backend=\"vpn2\",direction=\"out\"} 26",
        "ikelb_probes_total{service=\"a\",backend=\"vpn2\",outcome=\"answered\"} 1",
        "ikelb_probes_total{service=\"a\",backend=\"vpn2\",outcome=\"failed\"} 27",
        "ikelb_probe_seconds_bucket{service=\"a\",backend=\"vpn2\",le=\"0.0025\"} 0",
        "ikelb_probe_seconds_bucket{service=\"a\",backend=\"vpn2\",le=\"0.005\"} 1",
        "ikelb_probe_seconds_sum{service=\"a\",backend=\"vpn2\"} 0.004000",
        "ikelb_handshake_failovers_total{service=\"a\"} 28",
        "ikelb_roams_total{service=\"a\",kind=\"mobike\"} 29",
        "ikelb_roams_total{service=\"a\",kind=\"rebind\"} 30",
        "ikelb_conflicts_total{service=\"a\"} 31",
        "ikelb_alarm{service=\"a\",alarm=\"refusing\"} 1",
        "ikelb_alarm{service=\"a\",alarm=\"no_backend\"} 0",
        "ikelb_alarm{service=\"b\",alarm=\"no_backend\"} 1",
        "ikelb_drops_total{reason=\"no_backend\"} 32",
        "ikelb_drops_total{reason=\"table_full\"} 0",
        "ikelb_table_capacity{table=\"pins\"} 100",
        "ikelb_table_capacity{table=\"flows\"} 200",
        "ikelb_table_capacity{table=\"sessions\"} 100",
        "ikelb_table_entries{table=\"fastpath\"} 51",
        "ikelb_table_capacity{table=\"fastpath\"} 250",
        "ikelb_fastpath{mode=\"off\"} 0",
        "ikelb_fastpath{mode=\"generic\"} 0",
        "ikelb_fastpath{mode=\"native\"} 1",
        "ikelb_fastpath_passed_total{reason=\"mtu\"} 52",
        "ikelb_fastpath_passed_total{reason=\"new_spi\"} 53",
        "ikelb_loop_lag_seconds_sum 0.000700",
        "ikelb_loop_lag_seconds_count 1",
        "ikelb_state_saved_timestamp_seconds 1700000001.234000",
        "ikelb_state_save_seconds 1.500000",
        "ikelb_state_bytes 123456",
        "ikelb_state_errors_total 7",
        "ikelb_start_time_seconds 1700000000",
        "ikelb_build_info{version=\"" IKELB_VERSION "\"} 1",
    };
    struct support_net *net = *state;
    struct histogram lag = {0};

    fill(net, &lag);
    net->dp.bindings.fastpath = &reporting_fastpath;
    char *text = metrics_of(&net->dp, &lag, net->now_ms);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        check_line(text, lines[i]);
    free(text);
}

/* Clients by their stage, and the tables, as real packets leave them. */
static void test_clients(void **state)
{
    struct support_net *net = *state;
    const struct histogram lag = {0};

    /* The second service drains its only backend, and the first has one left. */
    net->pool->backends[1].health = HEALTH_DOWN;
    const struct endpoint one = support_endpoint("203.0.113.1", 500);
    const struct verdict asked = support_from_client(net, 0, one, IKE_PORT_500, SUPPORT_INIT);
    (void)support_from_client(net, 0, support_endpoint("203.0.113.2", 500), IKE_PORT_500, SUPPORT_INIT);
    (void)support_reply(net, &asked, SUPPORT_INIT_ANSWER);
    char *text = metrics_of(&net->dp, &lag, net->now_ms);
    check_line(text, "ikelb_clients{service=\"a\",backend=\"vpn1\",stage=\"none\"} 0");
    check_line(text, "ikelb_clients{service=\"a\",backend=\"vpn1\",stage=\"init-sent\"} 1");
    check_line(text, "ikelb_clients{service=\"a\",backend=\"vpn1\",stage=\"init-answered\"} 1");
    check_line(text, "ikelb_clients{service=\"a\",backend=\"vpn2\",stage=\"init-sent\"} 0");
    check_line(text, "ikelb_table_entries{table=\"pins\"} 2");
    check_line(text, "ikelb_table_entries{table=\"flows\"} 2");
    check_line(text, "ikelb_table_entries{table=\"sessions\"} 2");
    check_line(text, "ikelb_table_unconfirmed{table=\"pins\"} 2");
    check_line(text, "ikelb_handshakes_total{service=\"a\",backend=\"vpn1\",outcome=\"answered\"} 1");
    free(text);
}

/* The largest configuration: no slice is empty or much longer than the others, and together they are a text.
 */
static void test_slices(void **state)
{
    enum { SERVICES = 128, BACKENDS = 8 };
    static struct support_service many[SERVICES];
    static char names[SERVICES][4], addresses[SERVICES * (BACKENDS + 1)][16], backends[BACKENDS][4];
    struct support_net *net = calloc(1, sizeof *net);
    const struct histogram lag = {0};
    struct body body;
    size_t families, len = 0;
    char *text = NULL;
    int step = BODY_MORE;

    (void)state;
    assert_non_null(net);
    for (size_t i = 0; i < SERVICES; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        snprintf(addresses[i * 9], sizeof addresses[0], "192.0.2.%zu", i);
        many[i] = (struct support_service){.name = names[i], .vips = {addresses[i * 9]}};
        for (size_t k = 0; k < BACKENDS; k++) {
            snprintf(backends[k], sizeof backends[k], "b%zu", k);
            snprintf(addresses[i * 9 + 1 + k], sizeof addresses[0], "10.0.%zu.%zu", i, k);
            many[i].backends[k] =
                (struct support_backend){.name = backends[k], .address = addresses[i * 9 + 1 + k]};
        }
    }
    support_net_init(net, many, SERVICES, 100);
    const struct metrics_source source = {.dp = &net->dp, .loop_lag = &lag, .saving = &saving};
    assert_int_equal(metrics_body(&source, &body), 0);
    FILE *out = open_memstream(&text, &len);
    for (long last = 0; step == BODY_MORE; last = ftell(out)) {
        step = body.next(body.state, out);
        assert_in_range(ftell(out) - last, 1, 65536);
    }
    fclose(out);
    body.destroy(body.state);
    assert_int_equal(step, BODY_END);
    assert_true(read_text(text, &families) > SERVICES * BACKENDS * 40);
    free(text);
    support_net_deinit(net);
    free(net);
}

static void ignore_gone(void *ctx, uint16_t backend)
{
    (void)ctx;
    (void)backend;
}

static void apply(struct support_net *net, const struct support_service *changed, size_t count)
{
    struct config *config = support_config(changed, count);

    assert_int_equal(pool_config_apply(net->pool, config, NULL), 0);
    (void)pool_config_collect(net->pool, ignore_gone, NULL);
    config_destroy(config);
}

/* Each sample's name and labels stand there once. */
static void check_unique(const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        const size_t len = strcspn(line, "\n");
        const size_t key = len - (size_t)(strchr(line, '\n') - (const char *)memrchr(line, ' ', len));
        for (const char *other = line + len + 1; *line != '#' && *other; other += strcspn(other, "\n") + 1)
            if (strncmp(line, other, key + 1) == 0)
                fail_msg("twice: %.*s", (int)len, line);
    }
}

/* While it is written backends and services go, and others come to their indices. */
static void test_reloads_between_slices(void **state)
{
    struct support_service changed[2] = {services[0], services[1]};
    const struct histogram lag = {0};
    struct support_net net;
    struct body body;
    size_t families, whole, len = 0;
    char *text = NULL;
    int slices = 1;

    (void)state;
    support_net_init(&net, services, 2, 100);
    const struct metrics_source source = {.dp = &net.dp, .loop_lag = &lag, .saving = &saving};
    text = metrics_of(&net.dp, &lag, 0);
    (void)read_text(text, &whole);
    free(text);
    text = NULL;
    assert_int_equal(metrics_body(&source, &body), 0);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    for (; body.next(body.state, out) == BODY_MORE; slices++) {
        changed[0].vips[0] = slices % 3 ? services[0].vips[0] : "203.0.113.77";
        apply(&net, slices % 2 ? changed : changed + 1, slices % 2 ? 2 : 1);
    }
    fclose(out);
    body.destroy(body.state);
    assert_true(slices > 3);
    assert_true(read_text(text, &families) > 0);
    assert_int_equal(families, whole);
    free(text);

    apply(&net, changed, 1); /* of what has gone nothing is told, though it had an index */
    text = metrics_of(&net.dp, &lag, 0);
    char label[128];
    snprintf(label, sizeof label, "service=\"%s\"", services[1].name);
    assert_null(strstr(text, label));
    check_unique(text);
    free(text);
    support_net_deinit(&net);
}

/* Many indices without anything, as after many reloads, make no slice without a byte, which would end the
 * answer. */
static void test_unused(void **state)
{
    enum { SERVICES = 8, FIRST = 1, LAST = SERVICES * SUPPORT_BACKENDS_MAX - 2 };
    static const char *const names[SERVICES] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"};
    struct support_service many[SERVICES];
    const struct histogram lag = {0};
    struct support_net net;
    struct body body;
    size_t len = 0;
    char *text = NULL;
    int step = BODY_MORE;

    (void)state;
    for (int s = 0; s < SERVICES; s++) {
        many[s] = (struct support_service){.name = names[s], .vips = {"192.0.2.1"}};
        for (int b = 0; b < SUPPORT_BACKENDS_MAX; b++)
            many[s].backends[b] = (struct support_backend){.name = names[b], .address = "198.51.100.1"};
    }
    support_net_init(&net, many, SERVICES, 100);
    for (int b = FIRST; b <= LAST; b++)
        net.pool->backends[b].used = false;
    const struct metrics_source source = {.dp = &net.dp, .loop_lag = &lag, .saving = &saving};
    assert_int_equal(metrics_body(&source, &body), 0);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    for (long last = 0; step == BODY_MORE; last = ftell(out)) {
        step = body.next(body.state, out);
        assert_true(ftell(out) > last);
    }
    fclose(out);
    body.destroy(body.state);
    check_line(text, "ikelb_backend_up{service=\"s0\",backend=\"s0\"} 1");
    check_line(text, "ikelb_backend_up{service=\"s7\",backend=\"s7\"} 1");
    check_line(text, "ikelb_build_info{version=\"" IKELB_VERSION "\"} 1");
    free(text);
    for (int b = FIRST; b <= LAST; b++)
        net.pool->backends[b].used = true;
    support_net_deinit(&net);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, support_net_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_well_formed),
        TEST(test_values),
        TEST(test_clients),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_reloads_between_slices),
        cmocka_unit_test(test_unused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
