#include "admin/api.h"

#include <string.h>

#include "admin/clients_json.h"
#include "admin/clients_query.h"
#include "admin/explain_json.h"
#include "admin/status_json.h"
#include "base/clock.h"
#include "base/err.h"
#include "lb/alarms.h"

enum {
    STATUS_BAD_REQUEST = 400,
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
    for (size_t i = 0; i < pool->service_count; i++) {
        const struct service *service = &pool->services[i];
        if (alarms_of(pool, service, now_ms) & 1U << ALARM_NO_BACKEND)
            json_array_append_new(lost, json_string(service->name));
    }
    if (json_array_size(lost))
        response->status = STATUS_UNAVAILABLE;
    response->json =
        json_pack("{s:b, s:o}", "ready", json_array_size(lost) == 0, "services_without_backend", lost);
}

typedef void (*getter)(const struct api *, const struct http_request *, uint64_t, struct http_response *);

/* Who answers that path, or NULL. */
static getter find_getter(const char *path)
{
    static const struct {
        const char *path;
        getter get;
    } routes[] = {
        {"/api/v1/status", get_status},
        {"/api/v1/clients", get_clients},
        {"/healthz", get_healthz},
        {"/readyz", get_readyz},
    };

    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(path, routes[i].path) == 0)
            return routes[i].get;
    return strncmp(path, CLIENT_PATH, strlen(CLIENT_PATH)) == 0 ? get_client : NULL;
}

void api_handle(const struct api *api, const struct http_request *request, uint64_t now_ms,
                struct http_response *response)
{
    const getter get = find_getter(request->path);

    if (!get)
        fail(response, STATUS_NOT_FOUND,
             "no such path; there are /api/v1/status, /api/v1/clients, /api/v1/clients/ADDRESS, /healthz and "
             "/readyz");
    else if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
        get(api, request, now_ms, response);
    else
        fail(response, STATUS_METHOD_NOT_ALLOWED, "this path takes GET only");
}
