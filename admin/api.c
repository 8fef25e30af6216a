#include "admin/api.h"

#include <string.h>

#include "admin/clients_json.h"
#include "admin/clients_query.h"
#include "admin/dashboard.h"
#include "admin/explain_json.h"
#include "admin/exposition.h"
#include "admin/metrics.h"
#include "admin/status_json.h"
#include "base/clock.h"
#include "base/err.h"
#include "lb/alarms.h"

enum {
    STATUS_BAD_REQUEST = 400,
    STATUS_FORBIDDEN = 403,
    STATUS_NOT_FOUND = 404,
    STATUS_METHOD_NOT_ALLOWED = 405,
    STATUS_UNAVAILABLE = 503,
};

static void fail(struct http_response *response, unsigned status, const char *message)
{
    response->status = status;
    response->json = json_pack("{s:s}", "error", message);
}

/* For the paths that take no parameters. */
static bool refuse_query(const struct http_request *request, struct http_response *response)
{
    if (request->query_count == 0)
        return false;
    fail(response, STATUS_BAD_REQUEST, "this path takes no parameters");
    return true;
}

/* Without memory the response stays empty, which closes the connection. */
static void get_status(const struct api *api, const struct http_request *request, uint64_t now_ms,
                       struct http_response *response)
{
    if (!refuse_query(request, response))
        (void)status_json(api->dp, api->started_ms, now_ms, &response->body);
}

static void get_clients(const struct api *api, const struct http_request *request, uint64_t now_ms,
                        struct http_response *response)
{
    struct clients_query query;
    char error[CLIENTS_ERROR_MAX];
    const int err =
        clients_query_read(api->dp->bindings.pool, request->query, request->query_count, &query, error);

    if (err)
        fail(response, err == ERR_NOT_FOUND ? STATUS_NOT_FOUND : STATUS_BAD_REQUEST, error);
    else
        (void)clients_json(api->dp, &query, now_ms, &response->body);
}

#define CLIENT_PATH "/api/v1/clients/" /* and the address */

static void get_client(const struct api *api, const struct http_request *request, uint64_t now_ms,
                       struct http_response *response)
{
    struct addr address;

    if (refuse_query(request, response))
        return;
    if (addr_parse(request->path + strlen(CLIENT_PATH), &address) != 0)
        fail(response, STATUS_BAD_REQUEST,
             "what follows /api/v1/clients/ is no IPv4 or IPv6 address; write it as 203.0.113.7 or "
             "2001:db8::7");
    else
        (void)explain_json(api->dp, &address, now_ms, clock_wall_ms(), &response->body);
}

static void get_healthz(const struct api *api, const struct http_request *request, uint64_t now_ms,
                        struct http_response *response)
{
    (void)api;
    (void)now_ms;
    if (!refuse_query(request, response))
        response->json = json_pack("{s:b}", "alive", 1);
}

/* Ready is a service that takes new clients: the very rule of the alarm, so that the two never contradict. */
static void get_readyz(const struct api *api, const struct http_request *request, uint64_t now_ms,
                       struct http_response *response)
{
    const struct pool *pool = api->dp->bindings.pool;
    json_t *lost;

    if (refuse_query(request, response))
        return;
    lost = json_array();
    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const struct service *service = &pool->services[s];
        if (!service->removed && alarms_of(pool, service, now_ms) & 1U << ALARM_NO_BACKEND)
            json_array_append_new(lost, json_string(service->name));
    }
    if (json_array_size(lost))
        response->status = STATUS_UNAVAILABLE;
    response->json =
        json_pack("{s:b, s:o}", "ready", json_array_size(lost) == 0, "services_without_backend", lost);
}

static void get_metrics(const struct api *api, const struct http_request *request, uint64_t now_ms,
                        struct http_response *response)
{
    const struct metrics_source source = {
        .dp = api->dp,
        .loop_lag = api->loop_lag,
        .saving = api->saving,
        .now_ms = now_ms,
        .started_wall_ms = api->started_wall_ms,
    };

    if (refuse_query(request, response))
        return;
    response->content_type = EXPOSITION_CONTENT_TYPE;
    (void)metrics_body(&source, &response->body);
}

static void get_dashboard(const struct api *api, const struct http_request *request, uint64_t now_ms,
                          struct http_response *response)
{
    (void)api;
    (void)now_ms;
    if (!refuse_query(request, response))
        dashboard_get(response);
}

typedef void (*getter)(const struct api *, const struct http_request *, uint64_t, struct http_response *);

/* Who answers that path, or NULL. */
static getter find_getter(const char *path)
{
    static const struct {
        const char *path;
        getter get;
    } routes[] = {
        {"/", get_dashboard},      {"/api/v1/status", get_status}, {"/api/v1/clients", get_clients},
        {"/healthz", get_healthz}, {"/readyz", get_readyz},        {"/metrics", get_metrics},
    };

    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(path, routes[i].path) == 0)
            return routes[i].get;
    return strncmp(path, CLIENT_PATH, strlen(CLIENT_PATH)) == 0 ? get_client : NULL;
}

/* What changes something at that path, or NULL. */
static const struct api_change *find_change(const struct api *api, const char *path)
{
    for (size_t i = 0; i < api->change_count; i++) {
        const char *known = api->changes[i].path;
        const size_t len = strlen(known);
        const bool has_more = known[len - 1] == '/';
        if (has_more ? strncmp(path, known, len) == 0 && path[len] != '\0' : strcmp(path, known) == 0)
            return &api->changes[i];
    }
    return NULL;
}

static void handle_change(const struct api *api, const struct api_change *change,
                          const struct http_request *request, struct http_response *response)
{
    if (request->is_local || token_matches(api->token, request->bearer))
        change->handle(change->ctx, request, response);
    else if (api->token->text[0] == '\0')
        fail(
            response, STATUS_FORBIDDEN,
            "no changes over the network without admin.token_file; on ikelb's machine the command line makes "
            "them");
    else
        fail(response, STATUS_FORBIDDEN,
             "changes over the network need the token in admin.token_file, as \"Authorization: Bearer "
             "TOKEN\"");
}

static const char *allowed_methods(bool get, bool change)
{
    if (!get)
        return "POST";
    return change ? "GET, HEAD, POST" : "GET, HEAD";
}

void api_handle(const struct api *api, const struct http_request *request, uint64_t now_ms,
                struct http_response *response)
{
    const getter get = find_getter(request->path);
    const struct api_change *change = find_change(api, request->path);
    const bool is_get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    const bool is_post = strcmp(request->method, "POST") == 0;

    if (get && is_get) {
        get(api, request, now_ms, response);
    } else if (change && is_post) {
        handle_change(api, change, request, response);
    } else if (get || change) {
        response->allow = allowed_methods(get, change);
        fail(response, STATUS_METHOD_NOT_ALLOWED,
             change ? "this path takes other methods: see Allow" : "this path takes GET only");
    } else {
        fail(response, STATUS_NOT_FOUND,
             "no such path; there are / (the dashboard), /api/v1/status, /api/v1/clients, "
             "/api/v1/clients/ADDRESS, /metrics, /healthz and /readyz, and to POST to "
             "/api/v1/backends/SERVICE/BACKEND/drain, enable or disable, "
             "and /api/v1/reload");
    }
}
