#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api.h"
#include "tests/unit/support.h"

static const struct support_service services[] = {
    {.name = "a",
     .vips = {"192.0.2.1"},
     .backends = {{.name = "vpn1", .address = "198.51.100.1"}, {.name = "vpn2", .address = "198.51.100.2"}}},
    {.name = "b", .vips = {"192.0.2.2"}, .backends = {{.name = "vpn3", .address = "198.51.100.3"}}},
};

static int set_up(void **state)
{
    return support_net_set_up(state, services, 2, 100);
}

/* Asks and returns the answer's text, whichever form it comes in. */
static char *ask(const struct support_net *net, const struct http_request *request, unsigned *status)
{
    const struct api api = {.dp = &net->dp, .started_ms = net->now_ms};
    struct http_response response = {.status = 200};
    char *text;

    api_handle(&api, request, net->now_ms, &response);
    *status = response.status;
    if (!response.json)
        return body_collect(&response.body);
    text = json_dumps(response.json, JSON_COMPACT);
    json_decref(response.json);
    return text;
}

/* What is sent with the page is tested where browsers judge it: tests/e2e/test_dashboard.py. */
static void test_dashboard(void **state)
{
    static const char *const methods[] = {"GET", "HEAD"};
    const struct support_net *net = *state;
    const struct api api = {.dp = &net->dp, .started_ms = net->now_ms};

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        const struct http_request request = {.method = methods[i], .path = "/"};
        struct http_response response = {.status = 200};
        api_handle(&api, &request, net->now_ms, &response);
        assert_int_equal(response.status, 200);
        assert_string_equal(response.content_type, "text/html; charset=utf-8");
        assert_null(response.json);
        assert_null(response.body.next);
        assert_memory_equal(response.text, "<!DOCTYPE html>", strlen("<!DOCTYPE html>"));
        assert_memory_equal(response.text + response.text_len - strlen("</html>\n"), "</html>\n",
                            strlen("</html>\n"));
        assert_string_equal(response.headers[0].name, "Content-Security-Policy");
        assert_non_null(strstr(response.headers[0].value, "default-src 'none';"));
    }
}

static void check(const struct support_net *net, const struct http_request *request, unsigned status,
                  const char *text)
{
    unsigned seen_status;
    char *seen = ask(net, request, &seen_status);

    assert_non_null(seen);
    assert_int_equal(seen_status, status);
    assert_string_equal(seen, text);
    free(seen);
}

static void test_table(void **state)
{
#define NO_PARAMETERS "{\"error\":\"this path takes no parameters\"}"
#define GET_ONLY      "{\"error\":\"this path takes GET only\"}"
#define NO_SUCH_PATH                                                                                         \
    "{\"error\":\"no such path; there are / (the dashboard), /api/v1/status, /api/v1/clients, "              \
    "/api/v1/clients/ADDRESS, "                                                                              \
    "/metrics, /healthz and /readyz, and to POST to /api/v1/backends/SERVICE/BACKEND/drain, enable or "      \
    "disable, and /api/v1/reload\"}"
#define NOT_AN_ADDRESS                                                                                       \
    "{\"error\":\"what follows /api/v1/clients/ is no IPv4 or IPv6 address; write it as 203.0.113.7 or "     \
    "2001:db8::7\"}"
    static const struct {
        struct http_request request;
        unsigned status;
        const char *text;
    } cases[] = {
        {{.method = "GET", .path = "/healthz"}, 200, "{\"alive\":true}"},
        {{.method = "HEAD", .path = "/healthz"}, 200, "{\"alive\":true}"},
        {{.method = "GET", .path = "/readyz"}, 200, "{\"ready\":true,\"services_without_backend\":[]}"},
        {{.method = "GET", .path = "/api/v1/clients"}, 200, "{\"clients\":[],\"next\":null}"},
        {{.method = "GET", .path = "/api/v1/clients/"}, 400, NOT_AN_ADDRESS},
        {{.method = "GET", .path = "/api/v1/clients/203.0.113.256"}, 400, NOT_AN_ADDRESS},
        {{.method = "GET", .path = "/api/v1/clients/203.0.113.7/"}, 400, NOT_AN_ADDRESS},
        {{.method = "POST", .path = "/api/v1/clients/203.0.113.7"}, 405, GET_ONLY},
        {{.method = "GET", .path = "/api/v1/clients/::1", .query = {{"a", "b"}}, .query_count = 1},
         400,
         NO_PARAMETERS},
        {{.method = "GET", .path = "/index.html"}, 404, NO_SUCH_PATH},
        {{.method = "POST", .path = "/"}, 405, GET_ONLY},
        {{.method = "GET", .path = "/", .query = {{"a", "b"}}, .query_count = 1}, 400, NO_PARAMETERS},
        {{.method = "GET", .path = "/api/v1/status/"}, 404, NO_SUCH_PATH},
        {{.method = "GET", .path = "/API/V1/STATUS"}, 404, NO_SUCH_PATH},
        {{.method = "POST", .path = "/nowhere"}, 404, NO_SUCH_PATH},
        {{.method = "POST", .path = "/api/v1/status"}, 405, GET_ONLY},
        {{.method = "DELETE", .path = "/api/v1/clients"}, 405, GET_ONLY},
        {{.method = "get", .path = "/healthz"}, 405, GET_ONLY},
        {{.method = "GET", .path = "/api/v1/status", .query = {{"a", "b"}}, .query_count = 1},
         400,
         NO_PARAMETERS},
        {{.method = "GET", .path = "/healthz", .query = {{"a", "b"}}, .query_count = 1}, 400, NO_PARAMETERS},
        {{.method = "GET", .path = "/readyz", .query = {{"a", "b"}}, .query_count = 1}, 400, NO_PARAMETERS},
        {{.method = "GET", .path = "/metrics", .query = {{"a", "b"}}, .query_count = 1}, 400, NO_PARAMETERS},
        {{.method = "POST", .path = "/metrics"}, 405, GET_ONLY},
        {{.method = "GET", .path = "/api/v1/clients", .query = {{"limit", "x"}}, .query_count = 1},
         400,
         "{\"error\":\"limit: 'x' is no number from 1 to 1000\"}"},
        {{.method = "GET", .path = "/api/v1/clients", .query = {{"backend", "vpn9"}}, .query_count = 1},
         404,
         "{\"error\":\"no backend 'vpn9'; there are: a/vpn1, a/vpn2, b/vpn3\"}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(*state, &cases[i].request, cases[i].status, cases[i].text);
}

static void test_status(void **state)
{
    const struct http_request request = {.method = "GET", .path = "/api/v1/status"};
    unsigned status;
    char *text = ask(*state, &request, &status);
    json_t *document = json_loads(text, 0, NULL);

    assert_int_equal(status, 200);
    assert_int_equal(json_array_size(json_object_get(document, "services")), 2);
    json_decref(document);
    free(text);
}

/* A path that changes something, as a test makes one up: it counts how often it was called. */
static void probe(void *ctx, const struct http_request *request, struct http_response *response)
{
    ++*(int *)ctx;
    response->json = json_pack("{s:s}", "done", request->path);
}

#define FORBIDDEN_TOKEN                                                                                      \
    "{\"error\":\"changes over the network need the token in admin.token_file, as \\\"Authorization: "       \
    "Bearer TOKEN\\\"\"}"
#define FORBIDDEN                                                                                            \
    "{\"error\":\"no changes over the network without admin.token_file; on ikelb's machine the command "     \
    "line "                                                                                                  \
    "makes them\"}"
#define OTHER_METHODS "{\"error\":\"this path takes other methods: see Allow\"}"

/* Only local requests, and those with the token, change anything; and only by POST. */
static void test_changes(void **state)
{
    static const struct token token = {"0123456789abcdef"}, none = {""};
    static const struct {
        struct http_request request;
        const struct token *token;
        unsigned status;
        const char *text;
        const char *allow;
        int calls;
    } cases[] = {
        {{.method = "POST", .path = "/probe", .is_local = true},
         &none,
         200,
         "{\"done\":\"/probe\"}",
         NULL,
         1},
        {{.method = "POST", .path = "/probe", .is_local = true, .bearer = "wrong"},
         &token,
         200,
         "{\"done\":\"/probe\"}",
         NULL,
         1},
        {{.method = "POST", .path = "/probe", .bearer = "0123456789abcdef"},
         &token,
         200,
         "{\"done\":\"/probe\"}",
         NULL,
         1},
        {{.method = "POST", .path = "/more/of/it", .is_local = true},
         &none,
         200,
         "{\"done\":\"/more/of/it\"}",
         NULL,
         1},
        {{.method = "POST", .path = "/probe"}, &none, 403, FORBIDDEN, NULL, 0},
        {{.method = "POST", .path = "/probe", .bearer = ""}, &none, 403, FORBIDDEN, NULL, 0},
        {{.method = "POST", .path = "/probe"}, &token, 403, FORBIDDEN_TOKEN, NULL, 0},
        {{.method = "POST", .path = "/more/of/it", .bearer = "0123456789abcdeg"},
         &token,
         403,
         FORBIDDEN_TOKEN,
         NULL,
         0},
        {{.method = "GET", .path = "/probe", .is_local = true}, &none, 405, OTHER_METHODS, "POST", 0},
        {{.method = "GET", .path = "/probe"}, &token, 405, OTHER_METHODS, "POST", 0},
        {{.method = "DELETE", .path = "/healthz", .is_local = true},
         &none,
         405,
         OTHER_METHODS,
         "GET, HEAD, POST",
         0},
        {{.method = "POST", .path = "/healthz", .is_local = true},
         &none,
         200,
         "{\"done\":\"/healthz\"}",
         NULL,
         1},
        {{.method = "GET", .path = "/healthz"}, &none, 200, "{\"alive\":true}", NULL, 0},
        {{.method = "POST", .path = "/readyz", .is_local = true}, &none, 405, GET_ONLY, "GET, HEAD", 0},
        {{.method = "POST", .path = "/more/", .is_local = true}, &none, 404, NO_SUCH_PATH, NULL, 0},
        {{.method = "POST", .path = "/probe/x", .is_local = true}, &none, 404, NO_SUCH_PATH, NULL, 0},
        {{.method = "POST", .path = "/prob", .is_local = true}, &none, 404, NO_SUCH_PATH, NULL, 0},
    };
    const struct support_net *net = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int calls = 0;
        const struct api_change changes[] = {
            {"/probe", probe, &calls}, {"/more/", probe, &calls}, {"/healthz", probe, &calls}};
        const struct api api = {
            .dp = &net->dp, .token = cases[i].token, .changes = changes, .change_count = 3};
        struct http_response response = {.status = 200};
        api_handle(&api, &cases[i].request, net->now_ms, &response);
        char *text = json_dumps(response.json, JSON_COMPACT);
        if (response.status != cases[i].status || strcmp(text, cases[i].text) != 0 || calls != cases[i].calls)
            fail_msg("case %zu: %u %s, %d calls", i, response.status, text, calls);
        assert_true(response.allow == cases[i].allow || strcmp(response.allow, cases[i].allow) == 0);
        json_decref(response.json);
        free(text);
    }
}

static void test_metrics(void **state)
{
    static const struct histogram lag = {.counts = {5}};
    const struct support_net *net = *state;
    const struct http_request request = {.method = "GET", .path = "/metrics"};
    const struct metrics_saving saving = {0};
    const struct api api = {.dp = &net->dp, .started_wall_ms = 7000, .loop_lag = &lag, .saving = &saving};
    struct http_response response = {.status = 200};

    api_handle(&api, &request, net->now_ms, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
    char *text = body_collect(&response.body);
    assert_non_null(strstr(text, "\nikelb_start_time_seconds 7\n"));
    assert_non_null(strstr(text, "\nikelb_loop_lag_seconds_count 5\n"));
    free(text);
}

/* An address that nothing is known of is no error. */
static void test_client(void **state)
{
    static const char *const addresses[] = {"203.0.113.7", "2001:db8::7"};

    for (size_t i = 0; i < 2; i++) {
        char path[64];
        unsigned status;
        snprintf(path, sizeof path, "/api/v1/clients/%s", addresses[i]);
        const struct http_request request = {.method = "GET", .path = path};
        char *text = ask(*state, &request, &status);
        assert_non_null(text);
        json_t *document = json_loads(text, 0, NULL);
        assert_int_equal(status, 200);
        assert_string_equal(json_string_value(json_object_get(document, "address")), addresses[i]);
        assert_string_equal(json_string_value(json_object_get(document, "verdict")), "nothing-seen");
        json_decref(document);
        free(text);
    }
}

/* Ready is a service with a backend that gets new clients, be its health unknown because nothing probes it.
 */
static void test_readiness(void **state)
{
    static const struct {
        enum health_state health[3];
        enum config_state states[3];
        const char *lost;
    } cases[] = {
        {{HEALTH_UP, HEALTH_UP, HEALTH_UP}, {0}, ""},
        {{HEALTH_DOWN, HEALTH_UP, HEALTH_UP}, {0}, ""},
        {{HEALTH_UNKNOWN, HEALTH_DOWN, HEALTH_UNKNOWN}, {0}, ""},
        {{HEALTH_DOWN, HEALTH_DOWN, HEALTH_UP}, {0}, "\"a\""},
        {{HEALTH_UP, HEALTH_UP, HEALTH_DOWN}, {0}, "\"b\""},
        {{HEALTH_DOWN, HEALTH_DOWN, HEALTH_DOWN}, {0}, "\"a\",\"b\""},
        {{HEALTH_UP, HEALTH_UP, HEALTH_UP}, {CONFIG_STATE_DRAIN, CONFIG_STATE_DISABLED}, "\"a\""},
    };
    const struct http_request request = {.method = "GET", .path = "/readyz"};
    struct support_net *net = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        const bool ready = cases[i].lost[0] == '\0';
        for (int b = 0; b < 3; b++) {
            net->pool->backends[b].health = cases[i].health[b];
            net->pool->backends[b].state = cases[i].states[b];
        }
        snprintf(text, sizeof text, "{\"ready\":%s,\"services_without_backend\":[%s]}",
                 ready ? "true" : "false", cases[i].lost);
        check(net, &request, ready ? 200 : 503, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_table, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_dashboard, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_status, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_changes, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_metrics, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_client, set_up, support_net_tear_down),
        cmocka_unit_test_setup_teardown(test_readiness, set_up, support_net_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
