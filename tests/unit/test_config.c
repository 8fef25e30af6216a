/* What a valid file means: defaults, the edges of every range, printing and reading back; and files that
 * cannot be read. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config.h"

#define HEAD     "services:\n- name: a\n  vip: 192.0.2.1\n"
#define BACKENDS "  backends: [{name: b, address: 10.0.0.1}]\n"

static struct config *parsed(const char *text)
{
    struct config *config = NULL;
    char *errors = NULL;
    size_t errors_len = 0;
    FILE *out = open_memstream(&errors, &errors_len);
    int err;

    assert_non_null(out);
    err = config_parse(text, strlen(text), "t", out, &config);
    fclose(out);
    if (err)
        print_error("%s\n%s", text, errors);
    assert_int_equal(err, 0);
    assert_string_equal(errors, "");
    free(errors);
    return config;
}

static char *printed(const struct config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    config_print(config, out);
    fclose(out);
    return text;
}

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(text, &a), 0);
    return a;
}

static void assert_addresses(const struct addr *a, const struct addr *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(addr_equal(&a[i], &b[i]));
}

static void assert_same_service(const struct config_service *a, const struct config_service *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->vip_count, b->vip_count);
    assert_addresses(a->vips, b->vips, a->vip_count);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->snat_count, b->snat_count);
    assert_addresses(a->snats, b->snats, a->snat_count);
    assert_int_equal(a->schedule, b->schedule);
    assert_int_equal(a->persistence.idle_timeout_ms, b->persistence.idle_timeout_ms);
    assert_int_equal(a->persistence.half_open_timeout_ms, b->persistence.half_open_timeout_ms);
    assert_int_equal(a->persistence.spread_nat, b->persistence.spread_nat);
    assert_int_equal(a->health.probe, b->health.probe);
    assert_int_equal(a->health.tcp_port, b->health.tcp_port);
    assert_int_equal(a->health.interval_ms, b->health.interval_ms);
    assert_int_equal(a->health.timeout_ms, b->health.timeout_ms);
    assert_int_equal(a->health.rise, b->health.rise);
    assert_int_equal(a->health.fall, b->health.fall);
    assert_int_equal(a->backend_count, b->backend_count);
    for (size_t i = 0; i < a->backend_count; i++) {
        assert_string_equal(a->backends[i].name, b->backends[i].name);
        assert_addresses(&a->backends[i].address, &b->backends[i].address, 1);
        assert_int_equal(a->backends[i].weight, b->backends[i].weight);
        assert_int_equal(a->backends[i].state, b->backends[i].state);
    }
}

static void assert_same(const struct config *a, const struct config *b)
{
    assert_int_equal(a->service_count, b->service_count);
    for (size_t i = 0; i < a->service_count; i++)
        assert_same_service(&a->services[i], &b->services[i]);
    assert_string_equal(a->admin_socket, b->admin_socket);
    assert_string_equal(a->state_file, b->state_file);
    assert_int_equal(a->fastpath, b->fastpath);
    assert_int_equal(a->max_clients, b->max_clients);
    assert_int_equal(a->source_rate, b->source_rate);
    assert_int_equal(a->source_burst, b->source_burst);
    assert_int_equal(a->log_level, b->log_level);
    assert_int_equal(a->log_format, b->log_format);
}

static void test_defaults(void **state)
{
    struct config *config = parsed(HEAD BACKENDS);
    const struct config_service *service = &config->services[0];
    const struct addr vip = address("192.0.2.1");
    const struct addr backend = address("10.0.0.1");
    char listen[ENDPOINT_TEXT_MAX];

    (void)state;
    assert_int_equal(config->service_count, 1);
    assert_string_equal(service->name, "a");
    assert_int_equal(service->vip_count, 1);
    assert_addresses(service->vips, &vip, 1);
    assert_int_equal(service->mode, CONFIG_MODE_TRANSPARENT);
    assert_int_equal(service->snat_count, 0);
    assert_int_equal(service->schedule, CONFIG_SCHEDULE_BOUNDED_HASH);
    assert_int_equal(service->persistence.idle_timeout_ms, 3600000);
    assert_int_equal(service->persistence.half_open_timeout_ms, 30000);
    assert_false(service->persistence.spread_nat);
    assert_int_equal(service->health.probe, CONFIG_PROBE_IKE);
    assert_int_equal(service->health.interval_ms, 2000);
    assert_int_equal(service->health.timeout_ms, 1000);
    assert_int_equal(service->health.rise, 2);
    assert_int_equal(service->health.fall, 3);
    assert_int_equal(service->backend_count, 1);
    assert_string_equal(service->backends[0].name, "b");
    assert_addresses(&service->backends[0].address, &backend, 1);
    assert_int_equal(service->backends[0].weight, 100);
    assert_int_equal(service->backends[0].state, CONFIG_STATE_ENABLED);
    assert_string_equal(config->admin_socket, "/run/ikelb/ikelb.sock");
    assert_string_equal(config->state_file, "/var/lib/ikelb/state");
    assert_string_equal(endpoint_format(&config->admin_listen, listen), "127.0.0.1:8809");
    assert_string_equal(config->admin_token_file, "");
    assert_int_equal(config->fastpath, CONFIG_FASTPATH_AUTO);
    assert_int_equal(config->max_clients, 1000000);
    assert_int_equal(config->source_rate, 200);
    assert_int_equal(config->source_burst, 2000);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(config->log_format, LOG_FORMAT_TEXT);
    config_destroy(config);
}

/* Every key away from its default, two services, both families. */
static const char EVERYTHING[] =
    "\xef\xbb\xbf" /* a byte order mark */
    "%YAML 1.1\n---\n"
    "services:\n"
    "  - name: aovpn\n"
    "    vip: [203.0.113.10, 2001:db8::10]\n"
    "    mode: full-nat\n"
    "    snat: [10.0.0.1, 10.0.0.2, \"2001:db8:1::\"]\n"
    "    schedule: least-clients\n"
    "    persistence: {idle_timeout: 90m, half_open_timeout: 1500ms, spread_nat: true}\n"
    "    health: {probe: tcp:443, interval: 10s, timeout: 250ms, rise: 4, fall: 5}\n"
    "    backends:\n"
    "      - {name: vpn1, address: 10.0.0.11, weight: 7, state: drain}\n"
    "      - {name: \"null\", address: '2001:db8:2::', state: disabled}\n"
    "  - name: 2.backup_-x\n"
    "    vip: 2001:db8::20\n"
    "    schedule: round-robin\n"
    "    persistence:\n"
    "    health:\n"
    "      # probe: none\n"
    "    backends:\n"
    "      - name: on\n"
    "        address: 2001:db8:2::1\n"
    "admin: {socket: '/tmp/a \"b\"\\c: #d', listen: '[2001:db8::10]:80', token_file: /etc/t}\n"
    "state: {file: /srv/state}\n"
    "dataplane: {fastpath: generic, max_clients: 1234, source_rate: off, source_burst: 77}\n"
    "log: {level: debug, format: json}\n";

static void test_everything(void **state)
{
    struct config *config = parsed(EVERYTHING);
    const struct config_service *service = &config->services[0];
    const struct addr vips[] = {address("203.0.113.10"), address("2001:db8::10")};
    const struct addr snats[] = {address("10.0.0.1"), address("10.0.0.2"), address("2001:db8:1::")};
    char listen[ENDPOINT_TEXT_MAX];

    (void)state;
    assert_int_equal(config->service_count, 2);
    assert_string_equal(service->name, "aovpn");
    assert_int_equal(service->vip_count, 2);
    assert_addresses(service->vips, vips, 2);
    assert_int_equal(service->mode, CONFIG_MODE_FULL_NAT);
    assert_int_equal(service->snat_count, 3);
    assert_addresses(service->snats, snats, 3);
    assert_int_equal(service->schedule, CONFIG_SCHEDULE_LEAST_CLIENTS);
    assert_int_equal(service->persistence.idle_timeout_ms, 5400000);
    assert_int_equal(service->persistence.half_open_timeout_ms, 1500);
    assert_true(service->persistence.spread_nat);
    assert_int_equal(service->health.probe, CONFIG_PROBE_TCP);
    assert_int_equal(service->health.tcp_port, 443);
    assert_int_equal(service->health.interval_ms, 10000);
    assert_int_equal(service->health.timeout_ms, 250);
    assert_int_equal(service->health.rise, 4);
    assert_int_equal(service->health.fall, 5);
    assert_int_equal(service->backend_count, 2);
    assert_int_equal(service->backends[0].weight, 7);
    assert_int_equal(service->backends[0].state, CONFIG_STATE_DRAIN);
    assert_string_equal(service->backends[1].name, "null");
    assert_int_equal(service->backends[1].state, CONFIG_STATE_DISABLED);
    assert_string_equal(config->services[1].name, "2.backup_-x");
    assert_false(config->services[1].persistence.spread_nat);
    assert_int_equal(config->services[1].health.probe, CONFIG_PROBE_IKE);
    assert_string_equal(config->services[1].backends[0].name, "on");
    assert_string_equal(config->admin_socket, "/tmp/a \"b\"\\c: #d");
    assert_string_equal(config->state_file, "/srv/state");
    assert_string_equal(endpoint_format(&config->admin_listen, listen), "[2001:db8::10]:80");
    assert_string_equal(config->admin_token_file, "/etc/t");
    assert_int_equal(config->fastpath, CONFIG_FASTPATH_GENERIC);
    assert_int_equal(config->max_clients, 1234);
    assert_int_equal(config->source_rate, 0);
    assert_int_equal(config->source_burst, 77);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->log_format, LOG_FORMAT_JSON);
    config_destroy(config);
}

/* `expected` is a line that must stand in what is printed. */
static void test_accepted_values(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } CASES[] = {
        {HEAD "  persistence: {idle_timeout: 1s}\n" BACKENDS, "      idle_timeout: 1s\n"},
        {HEAD "  persistence: {idle_timeout: 1000ms}\n" BACKENDS, "      idle_timeout: 1s\n"},
        {HEAD "  persistence: {idle_timeout: 168h}\n" BACKENDS, "      idle_timeout: 168h\n"},
        {HEAD "  persistence: {idle_timeout: \"1001ms\"}\n" BACKENDS, "      idle_timeout: 1001ms\n"},
        {HEAD "  persistence: {half_open_timeout: 1s}\n" BACKENDS, "      half_open_timeout: 1s\n"},
        {HEAD "  persistence: {half_open_timeout: 10m}\n" BACKENDS, "      half_open_timeout: 10m\n"},
        {HEAD "  persistence: {spread_nat: true}\n" BACKENDS, "      spread_nat: true\n"},
        {HEAD "  persistence: {spread_nat: false}\n" BACKENDS, "      spread_nat: false\n"},
        {HEAD "  health: {interval: 100ms, timeout: 10ms}\n" BACKENDS, "      interval: 100ms\n"},
        {HEAD "  health: {interval: 100ms, timeout: 10ms}\n" BACKENDS, "      timeout: 10ms\n"},
        {HEAD "  health: {interval: 1h, timeout: 1h}\n" BACKENDS, "      interval: 1h\n"},
        {HEAD "  health: {interval: 1h, timeout: 60m}\n" BACKENDS, "      timeout: 1h\n"},
        {HEAD "  health: {rise: 1}\n" BACKENDS, "      rise: 1\n"},
        {HEAD "  health: {rise: 100}\n" BACKENDS, "      rise: 100\n"},
        {HEAD "  health: {fall: 1}\n" BACKENDS, "      fall: 1\n"},
        {HEAD "  health: {fall: 100}\n" BACKENDS, "      fall: 100\n"},
        {HEAD "  health: {probe: ike}\n" BACKENDS, "      probe: ike\n"},
        {HEAD "  health: {probe: icmp}\n" BACKENDS, "      probe: icmp\n"},
        {HEAD "  health: {probe: none}\n" BACKENDS, "      probe: none\n"},
        {HEAD "  health: {probe: tcp:1}\n" BACKENDS, "      probe: tcp:1\n"},
        {HEAD "  health: {probe: tcp:65535}\n" BACKENDS, "      probe: tcp:65535\n"},
        {HEAD "  schedule: source-hash\n" BACKENDS, "    schedule: source-hash\n"},
        {HEAD "  mode: full-nat\n" BACKENDS, "    mode: full-nat\n"},
        {HEAD "  mode: full-nat\n  snat: 10.9.9.9\n" BACKENDS, "    snat:\n      - 10.9.9.9\n"},
        /* Unlike a backend's address, the VIP may be a SNAT address. */
        {HEAD "  mode: full-nat\n  snat: 192.0.2.1\n" BACKENDS, "    snat:\n      - 192.0.2.1\n"},
        {HEAD "  backends: [{name: b, address: '::ffff:10.0.0.1'}]\n", "        address: 10.0.0.1\n"},
        {HEAD "  backends: [{name: b, address: 10.0.0.1, weight: 1}]\n", "        weight: 1\n"},
        {HEAD "  backends: [{name: b, address: 10.0.0.1, weight: 1000}]\n", "        weight: 1000\n"},
        {HEAD BACKENDS "dataplane: {fastpath: native}\n", "  fastpath: native\n"},
        {HEAD BACKENDS "dataplane: {fastpath: off}\n", "  fastpath: off\n"},
        {HEAD BACKENDS "dataplane: {max_clients: 1000}\n", "  max_clients: 1000\n"},
        {HEAD BACKENDS "dataplane: {max_clients: 10000000}\n", "  max_clients: 10000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: 1}\n", "  source_rate: 1\n"},
        {HEAD BACKENDS "dataplane: {source_rate: 1000000}\n", "  source_rate: 1000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: off}\n", "  source_rate: off\n"},
        {HEAD BACKENDS "dataplane: {source_rate: 'off'}\n", "  source_rate: off\n"},
        {HEAD BACKENDS "dataplane: {source_burst: 1}\n", "  source_burst: 1\n"},
        {HEAD BACKENDS "dataplane: {source_burst: 10000000}\n", "  source_burst: 10000000\n"},
        {HEAD BACKENDS "log: {level: error}\n", "  level: error\n"},
        {HEAD BACKENDS "log: {level: warn}\n", "  level: warn\n"},
        {HEAD BACKENDS "admin: {listen: 127.0.0.2:1}\n", "admin:\n  listen: 127.0.0.2:1\n"},
        {HEAD BACKENDS "admin: {listen: '[::1]:65535'}\n", "admin:\n  listen: \"[::1]:65535\"\n"},
        {HEAD BACKENDS "admin: {listen: off}\n", "admin:\n  listen: off\n  socket:"},
        {HEAD BACKENDS "admin: {listen: 0.0.0.0:80, token_file: /t}\n",
         "  listen: 0.0.0.0:80\n  token_file: /t\n"},
        {HEAD BACKENDS "admin: {listen: '[::]:80', token_file: /t}\n", "  listen: \"[::]:80\"\n"},
        {HEAD BACKENDS "admin: {token_file: /t}\n", "  listen: 127.0.0.1:8809\n  token_file: /t\n"},
        {HEAD BACKENDS "state: {file: /s}\n", "state:\n  file: /s\nlog:"},
        {HEAD BACKENDS "state: {file: off}\n", "state:\n  file: off\nlog:"},
        {HEAD BACKENDS "state: {file: 'off'}\n", "state:\n  file: off\nlog:"},
        {HEAD BACKENDS "admin: ~\nstate:\nlog: null\n", "  file: /var/lib/ikelb/state\n"},
        {HEAD "  backends: [{name: No, address: 10.0.0.1}]\n", "      - name: \"No\"\n"},
        {HEAD "  backends: [{name: ..., address: 10.0.0.1}]\n", "      - name: \"...\"\n"},
        /* Services may share a backend's name and address. */
        {HEAD BACKENDS "- name: c\n  vip: 192.0.2.2\n" BACKENDS,
         "  - name: c\n    vip:\n      - 192.0.2.2\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct config *config = parsed(CASES[i].text);
        char *text = printed(config);
        if (!strstr(text, CASES[i].expected))
            fail_msg("%s\nis printed as\n%s\nwithout\n%s", CASES[i].text, text, CASES[i].expected);
        free(text);
        config_destroy(config);
    }
}

/* A name of 63 and a path of 107 bytes, the longest that are allowed. */
static void test_longest_texts(void **state)
{
    char text[512];
    struct config *config;

    (void)state;
    snprintf(text, sizeof text,
             HEAD "  backends: [{name: %063d, address: 10.0.0.1}]\nadmin: {socket: /%0106d}\n", 7, 8);
    config = parsed(text);
    assert_int_equal(strlen(config->services[0].backends[0].name), CONFIG_NAME_MAX - 1);
    assert_int_equal(strlen(config->admin_socket), CONFIG_PATH_MAX - 1);
    config_destroy(config);
}

/* The most services, backends and SNAT addresses. */
static void test_largest_lists(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct config *config;

    (void)state;
    fputs("services:\n", out);
    for (unsigned i = 0; i < CONFIG_SERVICES_MAX; i++) {
        fprintf(out, "- name: s%u\n  vip: 192.0.2.%u\n  mode: full-nat\n  snat:\n", i, i);
        for (unsigned j = 0; j < (i == 0 ? CONFIG_SNATS_MAX : 1); j++)
            fprintf(out, "  - 10.1.%u.%u\n", i, j);
        fputs("  backends:\n", out);
        for (unsigned j = 0; j < CONFIG_BACKENDS_MAX / CONFIG_SERVICES_MAX; j++)
            fprintf(out, "  - {name: b%u, address: 10.2.0.%u}\n", j, j);
    }
    fclose(out);
    config = parsed(text);
    free(text);
    assert_int_equal(config->service_count, CONFIG_SERVICES_MAX);
    assert_int_equal(config->services[0].snat_count, CONFIG_SNATS_MAX);
    config_destroy(config);
}

static void test_round_trip(void **state)
{
    static const char *const TEXTS[] = {HEAD BACKENDS, EVERYTHING};

    (void)state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        struct config *first = parsed(TEXTS[i]);
        char *text = printed(first);
        struct config *second = parsed(text);
        assert_same(first, second);
        free(text);
        config_destroy(first);
        config_destroy(second);
    }
}

static void test_print(void **state)
{
    struct config *config = parsed(HEAD BACKENDS);
    char *text = printed(config);

    (void)state;
    assert_string_equal(text, "services:\n"
                              "  - name: a\n"
                              "    vip:\n"
                              "      - 192.0.2.1\n"
                              "    mode: transparent\n"
                              "    schedule: bounded-hash\n"
                              "    persistence:\n"
                              "      idle_timeout: 1h\n"
                              "      half_open_timeout: 30s\n"
                              "      spread_nat: false\n"
                              "    health:\n"
                              "      probe: ike\n"
                              "      interval: 2s\n"
                              "      timeout: 1s\n"
                              "      rise: 2\n"
                              "      fall: 3\n"
                              "    backends:\n"
                              "      - name: b\n"
                              "        address: 10.0.0.1\n"
                              "        weight: 100\n"
                              "        state: enabled\n"
                              "admin:\n"
                              "  listen: 127.0.0.1:8809\n"
                              "  socket: /run/ikelb/ikelb.sock\n"
                              "dataplane:\n"
                              "  fastpath: auto\n"
                              "  max_clients: 1000000\n"
                              "  source_rate: 200\n"
                              "  source_burst: 2000\n"
                              "state:\n"
                              "  file: /var/lib/ikelb/state\n"
                              "log:\n"
                              "  level: info\n"
                              "  format: text\n");
    free(text);
    config_destroy(config);
}

/* Loads the file and checks the code and "PATH: MESSAGE"; an empty message means that it must be fine. */
static void assert_load(const char *path, int expected_err, const char *expected)
{
    struct config *config = NULL;
    char *errors = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&errors, &len);
    char line[256] = "";
    const int err = config_load(path, out, &config);

    fclose(out);
    if (*expected)
        snprintf(line, sizeof line, "%s:%s\n", path, expected);
    assert_string_equal(errors, line);
    assert_int_equal(err, expected_err);
    assert_true((config != NULL) == (err == 0));
    free(errors);
    config_destroy(config);
}

static void test_load(void **state)
{
    /* Relative, as is the program's working directory: the build folder, or wherever it is writable. */
    char directory[] = "test_config.XXXXXX";
    char path[64];
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/file.yaml", directory);
    assert_load(directory, -EISDIR, " cannot be read: Is a directory");
    assert_load(path, -ENOENT, " cannot be read: No such file or directory");

    file = fopen(path, "w");
    fputs(HEAD BACKENDS, file);
    fflush(file);
    assert_load(path, 0, "");
    /* A big file is fine up to 4 MiB exactly: the rest is one long comment. */
    fputc('#', file);
    while (ftell(file) < 4L * 1024 * 1024)
        fputc('x', file);
    fflush(file);
    assert_load(path, 0, "");
    fputc('x', file);
    fclose(file);
    assert_load(path, -EFBIG, " cannot be read: it is over 4194304 bytes long");

    file = fopen(path, "w");
    fputs(HEAD "  backends: []\n", file);
    fclose(file);
    assert_load(path, ERR_CONFIG,
                "4:13: services[0].backends: is empty; must be a list of 1 to 1024 backends");
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkfifo(path, 0600), 0); /* a pipe to which nobody writes */
    assert_load(path, ERR_CONFIG, "1:1: the file is empty; it must have at least the key services");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void test_unreadable(void **state)
{
    char path[] = "test_config.XXXXXX";
    const int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chmod(path, 0), 0);
    /* Root reads everything, so that the test steps down for a moment. */
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    assert_load(path, -EACCES, " cannot be read: Permission denied");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(unlink(path), 0);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(config_mode_name(CONFIG_MODE_TRANSPARENT), "transparent");
    assert_string_equal(config_mode_name(CONFIG_MODE_FULL_NAT), "full-nat");
    assert_string_equal(config_schedule_name(CONFIG_SCHEDULE_BOUNDED_HASH), "bounded-hash");
    assert_string_equal(config_schedule_name(CONFIG_SCHEDULE_SOURCE_HASH), "source-hash");
    assert_string_equal(config_schedule_name(CONFIG_SCHEDULE_LEAST_CLIENTS), "least-clients");
    assert_string_equal(config_schedule_name(CONFIG_SCHEDULE_ROUND_ROBIN), "round-robin");
    assert_string_equal(config_state_name(CONFIG_STATE_ENABLED), "enabled");
    assert_string_equal(config_state_name(CONFIG_STATE_DRAIN), "drain");
    assert_string_equal(config_state_name(CONFIG_STATE_DISABLED), "disabled");
    config_destroy(NULL);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_accepted_values), cmocka_unit_test(test_longest_texts),
        cmocka_unit_test(test_largest_lists),   cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_print),           cmocka_unit_test(test_load),
        cmocka_unit_test(test_unreadable),      cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
