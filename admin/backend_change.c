#include "admin/backend_change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/echo.h"
#include "base/clock.h"
#include "config/suggest.h"
#include "lb/alarms.h"

enum { STATUS_BAD_REQUEST = 400, STATUS_NOT_FOUND = 404, STATUS_CONFLICT = 409 };

/* Names in a message. */
#define LISTED_MAX  8
#define MESSAGE_MAX 1024

/* The names of a kind; as many as are shown, and the count of all. */
struct listing {
    const char *names[LISTED_MAX];
    size_t count;
};

static void list(struct listing *listing, const char *name)
{
    if (listing->count < LISTED_MAX)
        listing->names[listing->count] = name;
    listing->count++;
}

/* "a", "a or b", "a, b or c", "a, b and 7 more". */
static void put_names(FILE *out, const struct listing *listing, const char *conjunction)
{
    const size_t shown = listing->count < LISTED_MAX ? listing->count : LISTED_MAX;

    for (size_t i = 0; i < shown; i++) {
        const bool is_last = i > 0 && i + 1 == listing->count;
        fprintf(out, "%s%s", i == 0 ? "" : is_last ? conjunction : ", ", listing->names[i]);
    }
    if (listing->count > shown)
        fprintf(out, " and %zu more", listing->count - shown);
}

/* What is unknown, and then the names that are like it or, if none is, those that there are. */
static void not_found(struct http_response *response, const char *problem, const struct listing *alike,
                      const struct listing *all)
{
    char message[MESSAGE_MAX] = "";
    FILE *out = fmemopen(message, sizeof message, "w");

    if (!out)
        return; /* an empty response closes the connection */
    fputs(problem, out);
    if (alike->count) {
        fputs("; did you mean ", out);
        put_names(out, alike, " or ");
        fputc('?', out);
    } else {
        fputs("; there ", out);
        fputs(all->count == 1 ? "is " : "are ", out);
        put_names(out, all, " and ");
    }
    fclose(out);
    response->status = STATUS_NOT_FOUND;
    response->json = json_pack("{s:s}", "error", message);
}

static const struct service *find_service(const struct pool *pool, const char *name,
                                          struct http_response *response)
{
    struct listing alike = {0};
    struct listing all = {0};
    char problem[MESSAGE_MAX];
    char word[ECHO_MAX];

    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const char *known = pool->services[s].name;
        if (strcmp(known, name) == 0)
            return &pool->services[s];
        list(&all, known);
        if (suggest_distance(name, known) != SUGGEST_FAR)
            list(&alike, known);
    }
    snprintf(problem, sizeof problem, "no service '%s'", echo_word(name, word));
    not_found(response, problem, &alike, &all);
    return NULL;
}

static struct backend *find_backend(const struct pool *pool, const struct service *service, const char *name,
                                    struct http_response *response)
{
    struct listing alike = {0};
    struct listing all = {0};
    char problem[MESSAGE_MAX];
    char word[ECHO_MAX];

    for (uint16_t i = service->first_backend; i != POOL_NONE; i = pool->backends[i].next) {
        struct backend *backend = &pool->backends[i];
        if (strcmp(backend->name, name) == 0)
            return backend;
        list(&all, backend->name);
        if (suggest_distance(name, backend->name) != SUGGEST_FAR)
            list(&alike, backend->name);
    }
    snprintf(problem, sizeof problem, "service %s has no backend '%s'", service->name, echo_word(name, word));
    not_found(response, problem, &alike, &all);
    return NULL;
}

/* What the service lacks now, by the very rule of the alarm; false if it lacks nothing. */
static bool write_warning(const struct pool *pool, const struct service *service, char text[MESSAGE_MAX])
{
    const uint32_t alarms = alarms_of(pool, service, clock_now_ms());

    if (alarms & 1U << ALARM_NO_BACKEND)
        snprintf(text, MESSAGE_MAX, "service %s has no backend for new clients now: they are dropped",
                 service->name);
    else if (alarms & 1U << ALARM_NO_BACKEND_FAMILY)
        snprintf(text, MESSAGE_MAX,
                 "service %s has no backend for new clients of one address family, IPv4 or IPv6, now: they "
                 "are dropped",
                 service->name);
    else
        return false;
    return true;
}

static void set_state(const struct backend_change *change, const struct service *service,
                      struct backend *backend, enum config_state state, const struct http_request *request,
                      struct http_response *response)
{
    const enum config_state was = backend->state;
    char warning[MESSAGE_MAX];
    char origin[HTTP_ORIGIN_MAX];

    pool_set_state(backend, state);
    const bool has_warning = write_warning(change->pool, service, warning);
    if (state != was) {
        log_info(change->log, "admin: %s/%s: %s, was %s; clients: %u; by a request %s%s", service->name,
                 backend->name, config_state_name(state), config_state_name(was), backend->clients,
                 http_origin(request, origin), request->is_local ? "" : ", with the token");
        if (has_warning)
            log_warn(change->log, "admin: %s", warning);
        if (change->changed)
            change->changed(change->ctx);
    }
    response->json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s?}", "service", service->name, "backend",
                               backend->name, "state", config_state_name(state), "was",
                               config_state_name(was), "clients", (json_int_t)backend->clients, "health",
                               judge_state_name(backend->health), "warning", has_warning ? warning : NULL);
}

/* The state that a verb asks for; false if it is none. */
static bool read_verb(const char *verb, enum config_state *state)
{
    static const struct {
        const char *verb;
        enum config_state state;
    } verbs[] = {
        {"drain", CONFIG_STATE_DRAIN},
        {"enable", CONFIG_STATE_ENABLED},
        {"disable", CONFIG_STATE_DISABLED},
    };

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verb, verbs[i].verb) == 0) {
            *state = verbs[i].state;
            return true;
        }
    }
    return false;
}

/* It has no place in the schedule any more, only the clients that it had. */
static void refuse_removed(const struct service *service, const struct backend *backend,
                           struct http_response *response)
{
    response->status = STATUS_CONFLICT;
    response->json = json_pack(
        "{s:o}", "error",
        json_sprintf("%s/%s is not in the configuration any more and goes with its last client; put it "
                     "back into the file and reload",
                     service->name, backend->name));
}

static void handle_words(const struct backend_change *change, char *words, const struct http_request *request,
                         struct http_response *response)
{
    const char *service_name = strsep(&words, "/");
    const char *backend_name = words ? strsep(&words, "/") : NULL;
    enum config_state state;

    if (!words || !read_verb(words, &state)) {
        response->status = STATUS_NOT_FOUND;
        response->json =
            json_pack("{s:s}", "error",
                      "no such path; there is " BACKEND_CHANGE_PATH "SERVICE/BACKEND/ and then drain, "
                      "enable or disable");
        return;
    }
    const struct service *service = find_service(change->pool, service_name, response);
    struct backend *backend = service ? find_backend(change->pool, service, backend_name, response) : NULL;
    if (backend && backend->removed && state == CONFIG_STATE_ENABLED)
        refuse_removed(service, backend, response);
    else if (backend)
        set_state(change, service, backend, state, request, response);
}

void backend_change_handle(void *ctx, const struct http_request *request, struct http_response *response)
{
    char *words;

    if (request->query_count) {
        response->status = STATUS_BAD_REQUEST;
        response->json = json_pack("{s:s}", "error", "this path takes no parameters");
        return;
    }
    words = strdup(request->path + strlen(BACKEND_CHANGE_PATH));
    if (words) /* else the empty response closes the connection */
        handle_words(ctx, words, request, response);
    free(words);
}
