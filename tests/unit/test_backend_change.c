#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdlib.h>

#include "admin/backend_change.h"
#include "tests/unit/support.h"

static const struct support_service services[] = {
    {.name = "aovpn",
     .vips = {"192.0.2.1", "2001:db8::1"},
     .backends = {{.name = "vpn1", .address = "198.51.100.1"},
                  {.name = "vpn2", .address = "198.51.100.2"},
                  {.name = "six", .address = "2001:db8:1::1"}}},
    {.name = "old",
     .vips = {"192.0.2.2"},
     .backends = {{.name = "rras", .address = "198.51.100.3", .state = CONFIG_STATE_DISABLED}}},
};

struct fixture {
    struct support_net net;
    char *logged;
    size_t logged_len;
    struct log log;
    int changes;
    struct backend_change change;
};

static void count_change(void *ctx)
{
    ++*(int *)ctx;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    support_net_init(&f->net, services, 2, 100);
    f->log = (struct log){.level = LOG_LEVEL_INFO, .out = open_memstream(&f->logged, &f->logged_len)};
    f->change = (struct backend_change){
        .pool = f->net.pool, .log = &f->log, .changed = count_change, .ctx = &f->changes};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    support_net_deinit(&f->net);
    fclose(f->log.out);
    free(f->logged);
    free(f);
    return 0;
}

/* POSTs below the path and compares status and answer. */
static void check(struct fixture *f, const char *rest, unsigned status, const char *answer)
{
    char path[512];
    const struct http_request request = {.method = "POST", .path = path, .is_local = true};
    struct http_response response = {.status = 200};

    snprintf(path, sizeof path, BACKEND_CHANGE_PATH "%s", rest);
    backend_change_handle(&f->change, &request, &response);
    char *text = json_dumps(response.json, JSON_COMPACT);
    if (response.status != status || strcmp(text, answer) != 0)
        fail_msg("%s: %u %s", rest, response.status, text);
    json_decref(response.json);
    free(text);
}

#define ANSWER(backend, state, was, warning)                                                                 \
    "{\"service\":\"aovpn\",\"backend\":\"" backend "\",\"state\":\"" state "\",\"was\":\"" was              \
    "\",\"clients\":0,\"health\":\"up\",\"warning\":" warning "}"
#define NO_BACKEND "\"service aovpn has no backend for new clients now: they are dropped\""
#define NO_FAMILY                                                                                            \
    "\"service aovpn has no backend for new clients of one address family, IPv4 or IPv6, now: they are "     \
    "dropped\""

static void test_states(void **state)
{
    static const struct {
        const char *rest;
        const char *answer;
        size_t backend;
        enum config_state is;
        int changes; /* so far */
    } steps[] = {
        {"aovpn/vpn1/drain", ANSWER("vpn1", "drain", "enabled", "null"), 0, CONFIG_STATE_DRAIN, 1},
        {"aovpn/vpn1/drain", ANSWER("vpn1", "drain", "drain", "null"), 0, CONFIG_STATE_DRAIN, 1},
        {"aovpn/vpn1/disable", ANSWER("vpn1", "disabled", "drain", "null"), 0, CONFIG_STATE_DISABLED, 2},
        {"aovpn/vpn2/drain", ANSWER("vpn2", "drain", "enabled", NO_FAMILY), 1, CONFIG_STATE_DRAIN, 3},
        {"aovpn/six/disable", ANSWER("six", "disabled", "enabled", NO_BACKEND), 2, CONFIG_STATE_DISABLED, 4},
        {"aovpn/six/enable", ANSWER("six", "enabled", "disabled", NO_FAMILY), 2, CONFIG_STATE_ENABLED, 5},
        {"aovpn/vpn1/enable", ANSWER("vpn1", "enabled", "disabled", "null"), 0, CONFIG_STATE_ENABLED, 6},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        check(f, steps[i].rest, 200, steps[i].answer);
        assert_int_equal(f->net.pool->backends[steps[i].backend].state, steps[i].is);
        assert_int_equal(f->changes, steps[i].changes);
    }
    assert_int_equal(f->net.pool->backends[3].state, CONFIG_STATE_DISABLED); /* the other service's */
}

static void test_unknown(void **state)
{
#define NO_PATH                                                                                              \
    "{\"error\":\"no such path; there is /api/v1/backends/SERVICE/BACKEND/ and then drain, enable or "       \
    "disable\"}"
    static const struct {
        const char *rest;
        const char *answer;
    } cases[] = {
        {"aovpm/vpn1/drain", "{\"error\":\"no service 'aovpm'; did you mean aovpn?\"}"},
        {"x/vpn1/drain", "{\"error\":\"no service 'x'; there are aovpn and old\"}"},
        {"/vpn1/drain", "{\"error\":\"no service ''; there are aovpn and old\"}"},
        {"aovpn/vpn9/drain",
         "{\"error\":\"service aovpn has no backend 'vpn9'; did you mean vpn1 or vpn2?\"}"},
        {"aovpn/\033[1m/drain",
         "{\"error\":\"service aovpn has no backend '?[1m'; there are vpn1, vpn2 and six\"}"},
        {"aovpn//drain", "{\"error\":\"service aovpn has no backend ''; there are vpn1, vpn2 and six\"}"},
        {"old/vpn1/drain", "{\"error\":\"service old has no backend 'vpn1'; there is rras\"}"},
        {"aovpn/vpn1/", NO_PATH},
        {"aovpn/vpn1", NO_PATH},
        {"aovpn", NO_PATH},
        {"aovpn/vpn1/Drain", NO_PATH},
        {"aovpn/vpn1/drain/", NO_PATH},
        {"aovpn/vpn1/x/drain", NO_PATH},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(f, cases[i].rest, 404, cases[i].answer);
    assert_int_equal(f->changes, 0);
}

/* A name of many bytes is cut in the message only; a name is not known by its beginning. */
static void test_long_names(void **state)
{
    char rest[300];
    char answer[300];

    snprintf(rest, sizeof rest, "%0200d/vpn1/drain", 0);
    snprintf(answer, sizeof answer, "{\"error\":\"no service '%063d'; there are aovpn and old\"}", 0);
    check(*state, rest, 404, answer);
}

/* More names than a message shows. */
static void test_many_names(void **state)
{
    struct support_service many[12] = {{0}};
    static char names[12][16], vips[12][16], addresses[12][16];
    struct fixture *f = *state;

    for (unsigned i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "office-%u", i);
        snprintf(vips[i], sizeof vips[i], "192.0.2.%u", i + 1);
        snprintf(addresses[i], sizeof addresses[i], "198.51.100.%u", i + 1);
        many[i] = (struct support_service){
            .name = names[i], .vips = {vips[i]}, .backends = {{.name = "b", .address = addresses[i]}}};
    }
    struct pool *pool = support_pool(many, 12);
    f->change.pool = pool;
    check(f, "offices/b/drain", 404,
          "{\"error\":\"no service 'offices'; did you mean office-0, office-1, office-2, office-3, office-4, "
          "office-5, office-6, office-7 and 4 more?\"}");
    check(
        f, "x/b/drain", 404,
        "{\"error\":\"no service 'x'; there are office-0, office-1, office-2, office-3, office-4, office-5, "
        "office-6, office-7 and 4 more\"}");
    pool_destroy(pool);
}

/* What the configuration has no more gets no new clients; the rest of it may be asked for. */
static void test_removed(void **state)
{
    struct fixture *f = *state;

    f->net.pool->backends[0].removed = true;
    check(
        f, "aovpn/vpn1/enable", 409,
        "{\"error\":\"aovpn/vpn1 is not in the configuration any more and goes with its last client; put it "
        "back into the file and reload\"}");
    assert_int_equal(f->changes, 0);
    check(f, "aovpn/vpn1/disable", 200, ANSWER("vpn1", "disabled", "enabled", "null"));
    f->net.pool->services[0].removed = true;
    check(f, "aovpn/vpn2/drain", 200, ANSWER("vpn2", "drain", "enabled", "null"));
}

static void test_query(void **state)
{
    struct fixture *f = *state;
    const struct http_request request = {
        .method = "POST", .path = BACKEND_CHANGE_PATH "aovpn/vpn1/drain", .query_count = 1};
    struct http_response response = {.status = 200};

    backend_change_handle(&f->change, &request, &response);
    assert_int_equal(response.status, 400);
    assert_int_equal(f->changes, 0);
    json_decref(response.json);
}

/* The log tells who did what, once; a nobody to be told of the change is no harm. */
static void test_log(void **state)
{
    struct fixture *f = *state;
    const struct http_request request = {
        .method = "POST", .path = BACKEND_CHANGE_PATH "aovpn/six/drain", .peer = support_addr("203.0.113.7")};
    struct http_response response = {.status = 200};

    f->net.pool->backends[2].clients = 12;
    backend_change_handle(&f->change, &request, &response);
    json_decref(response.json);
    fflush(f->log.out);
    assert_non_null(strstr(f->logged, "admin: aovpn/six: drain, was enabled; clients: 12; by a request from "
                                      "203.0.113.7, with the token\n"));
    assert_non_null(strstr(f->logged, "of one address family"));

    f->net.pool->backends[2].clients = 0;

    f->change.changed = NULL;
    check(f, "aovpn/vpn2/drain", 200, ANSWER("vpn2", "drain", "enabled", NO_FAMILY));
    fflush(f->log.out);
    assert_non_null(strstr(
        f->logged, "admin: aovpn/vpn2: drain, was enabled; clients: 0; by a request over the socket\n"));
    const size_t len = f->logged_len;
    check(f, "aovpn/vpn2/drain", 200, ANSWER("vpn2", "drain", "drain", NO_FAMILY));
    fflush(f->log.out);
    assert_int_equal(f->logged_len, len);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_states), TEST(test_unknown), TEST(test_long_names), TEST(test_many_names),
        TEST(test_query),  TEST(test_removed), TEST(test_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
