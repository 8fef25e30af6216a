#include "app/renewal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/manager.h"
#include "base/err.h"
#include "base/plural.h"
#include "config/diff.h"
#include "lb/pool_config.h"
#include "lb/routes.h"
#include "lb/settle.h"

#define RENEWAL_TEXT_MAX 1024

/* RFC 9110 section 15.5.21: the file was understood, but cannot be followed. */
#define STATUS_UNPROCESSABLE 422

static void add(json_t *list, const char *text)
{
    (void)json_array_append_new(list, json_string(text)); /* without memory the log still has it */
}

/* Each line of what the configuration's parser has written. */
static void add_lines(json_t *list, char *text)
{
    char *rest = text;
    char *line;

    while ((line = strsep(&rest, "\n")))
        if (*line)
            add(list, line);
}

/* The file as a configuration, or its errors in the result. */
static int read_file(const struct renewal *renewal, struct renewal_result *result, struct config **out)
{
    char *text = NULL;
    size_t len = 0;
    FILE *errors = open_memstream(&text, &len);

    if (!errors)
        return -ENOMEM;
    int err = config_load(renewal->path, errors, out);
    if (fclose(errors) != 0 && !err) {
        config_destroy(*out);
        err = -ENOMEM;
    }
    if (err && text)
        add_lines(result->errors, text);
    free(text);
    return err;
}

/* What can fail for other reasons than the file's is tried before anything is changed. */
static int prepare(const struct renewal *renewal, const struct config *config, struct token *token,
                   struct renewal_result *result)
{
    char text[CONFIG_NAME_MAX + 128];

    if (config->admin_token_file[0]) {
        const int err = token_read(config->admin_token_file, renewal->log, token);
        if (err) {
            snprintf(text, sizeof text, "admin.token_file: cannot be used: %s; see the log", err_text(err));
            add(result->errors, text);
            return err;
        }
    }
    for (size_t s = 0; s < config->service_count; s++) {
        const struct config_service *service = &config->services[s];
        for (size_t v = 0; v < service->vip_count; v++) {
            const int err = io_socket_prepare(renewal->io, service->name, &service->vips[v]);
            if (!err)
                continue;
            snprintf(text, sizeof text, "services.%s.vip: cannot listen there: %s; see the log",
                     service->name, err_text(err));
            add(result->errors, text);
            return err;
        }
    }
    return 0;
}

static void note_pool(void *ctx, const char *text)
{
    add(ctx, text);
}

/* Everything that follows from the pool; after this packets go by it. */
static int follow_pool(const struct renewal *renewal, uint64_t kernel_before, struct renewal_result *result)
{
    struct bindings *b = &renewal->dp->bindings;
    const struct io_return_ports ports = io_socket_return_ports(renewal->io);

    if (dataplane_refresh(renewal->dp) == ERR_FULL)
        add(result->needs_restart,
            "services: source addresses of full NAT: there were so many since the start that "
            "the new ones have no room");
    routes_refresh_new(b, renewal->log);
    if (kernel_fingerprint(b->pool, ports) == kernel_before)
        return 0;
    const int err = kernel_refresh(renewal->kernel, b->pool, ports, renewal->log);
    if (err)
        add(result->errors, "the kernel refused the changed addresses; see the log");
    return err;
}

/* The pool of the new configuration, or, when that fails, as it was. */
static int change_pool(const struct renewal *renewal, const struct config *config, uint64_t kernel_before,
                       struct renewal_result *result)
{
    struct pool *pool = renewal->dp->bindings.pool;
    json_t *notes = json_array();
    const struct pool_config_notes heard = {.note = note_pool, .ctx = notes};
    struct pool *before = pool_copy(pool);
    int err = before ? pool_config_apply(pool, config, &heard) : -ENOMEM;

    json_array_extend(err ? result->errors : result->needs_restart, notes);
    json_decref(notes);
    if (!err)
        err = follow_pool(renewal, kernel_before, result);
    if (err && before) { /* the kernel has its old table yet, and no packet has seen the change */
        pool_restore(pool, before);
        (void)dataplane_refresh(renewal->dp);
    }
    pool_destroy(before);
    return err;
}

/* The keys that can be changed without anything that could fail for good. */
static void change_rest(const struct renewal *renewal, const struct config *config, const struct token *token)
{
    const struct config *before = renewal->config;

    renewal->log->level = config->log_level;
    renewal->log->format = config->log_format;
    admin_set_token(renewal->admin, token);
    if ((config->source_rate != before->source_rate || config->source_burst != before->source_burst) &&
        dataplane_limit(renewal->dp, config->source_rate, config->source_burst) != 0)
        log_error(renewal->log, "dataplane.source_rate: no memory; the limit stays as it was");
    if (probes_update(renewal->probes, config) != 0)
        log_error(renewal->log, "no memory for the probes of some backends; restart ikelb");
}

/* What the change list of a reload is made of. */
struct listing {
    struct renewal_result *result;
    bool of_restart; /* the keys that a running daemon cannot change, or the others */
};

static void list_change(void *ctx, const struct diff_change *change)
{
    const struct listing *listing = ctx;
    struct renewal_result *result = listing->result;
    char text[RENEWAL_TEXT_MAX];

    if (change->needs_restart != listing->of_restart)
        return;
    if (!change->from)
        snprintf(text, sizeof text, "%s: added", change->path);
    else if (!change->to)
        snprintf(text, sizeof text, "%s: removed; its clients stay until they end", change->path);
    else if (change->needs_restart)
        snprintf(text, sizeof text, "%s: it stays %s until a restart (the file says %s)", change->path,
                 *change->from ? change->from : "unset", *change->to ? change->to : "nothing");
    else
        snprintf(text, sizeof text, "%s: %s -> %s", change->path, *change->from ? change->from : "(none)",
                 *change->to ? change->to : "(none)");
    add(change->needs_restart ? result->needs_restart : result->changes, text);
}

static void list_changes(const struct renewal *renewal, const struct config *config,
                         struct renewal_result *result)
{
    struct listing fixed = {.result = result, .of_restart = true};
    struct listing live = {.result = result};

    if (diff_configs(renewal->started, config, list_change, &fixed) != 0 ||
        diff_configs(renewal->config, config, list_change, &live) != 0)
        log_warn(renewal->log, "reload: no memory to list all that has changed");
}

static void log_list(const struct log *log, enum log_level level, const char *prefix, const json_t *list)
{
    size_t i;
    json_t *text;

    json_array_foreach(list, i, text) log_write(log, level, "%s%s", prefix, json_string_value(text));
}

static void log_result(const struct renewal *renewal, const struct renewal_result *result, int err)
{
    const struct log *log = renewal->log;

    if (err) {
        log_list(log, LOG_LEVEL_ERROR, "reload: ", result->errors);
        log_error(log, "reload: nothing was changed: %s", err_text(err));
        return;
    }
    log_list(log, LOG_LEVEL_INFO, "reload: ", result->changes);
    log_list(log, LOG_LEVEL_WARN, "reload: ", result->needs_restart);
    log_info(log, "reload: done, %zu change%s", json_array_size(result->changes),
             plural(json_array_size(result->changes)));
}

static int take(struct renewal *renewal, struct config *config, struct renewal_result *result)
{
    struct pool *pool = renewal->dp->bindings.pool;
    const uint64_t kernel_before = kernel_fingerprint(pool, io_socket_return_ports(renewal->io));
    struct token token = {0};
    int err = prepare(renewal, config, &token, result);

    if (!err)
        err = change_pool(renewal, config, kernel_before, result);
    if (io_socket_refresh(renewal->io) != 0) /* also closes what was prepared in vain */
        add(result->needs_restart, "services: a socket cannot be read; see the log");
    handover_update(renewal->handover, renewal->io);
    if (err)
        return err;
    change_rest(renewal, config, &token);
    settle_config(pool, config);
    list_changes(renewal, config, result);
    if (renewal->config != renewal->started)
        config_destroy(renewal->config);
    renewal->config = config;
    return 0;
}

int renewal_run(struct renewal *renewal, struct renewal_result *result)
{
    struct config *config = NULL;

    *result = (struct renewal_result){
        .changes = json_array(), .needs_restart = json_array(), .errors = json_array()};
    manager_reloading();
    int err = read_file(renewal, result, &config);
    if (!err) {
        err = take(renewal, config, result);
        if (err)
            config_destroy(config);
    }
    log_result(renewal, result, err);
    manager_ready();
    return err;
}

void renewal_result_deinit(struct renewal_result *result)
{
    json_decref(result->changes);
    json_decref(result->needs_restart);
    json_decref(result->errors);
}

void renewal_post(void *ctx, const struct http_request *request, struct http_response *response)
{
    struct renewal_result result;

    (void)request;
    if (renewal_run(ctx, &result) == 0) {
        response->json =
            json_pack("{s:O, s:O}", "changes", result.changes, "needs_restart", result.needs_restart);
    } else {
        response->status = STATUS_UNPROCESSABLE;
        response->json = json_pack("{s:s, s:O}", "error", "nothing was changed", "errors", result.errors);
    }
    renewal_result_deinit(&result);
}

static void on_gone(void *ctx, uint16_t backend)
{
    const struct renewal *renewal = ctx;
    const struct pool *pool = renewal->dp->bindings.pool;

    log_info(renewal->log, "service %s, backend %s: removed: its last client has gone",
             pool->services[pool->backends[backend].service].name, pool->backends[backend].name);
    probes_forget(renewal->probes, backend);
}

void renewal_collect(struct renewal *renewal)
{
    struct pool *pool = renewal->dp->bindings.pool;
    const struct io_return_ports ports = io_socket_return_ports(renewal->io);

    if (!pool_config_collect(pool, on_gone, renewal))
        return;
    (void)dataplane_refresh(renewal->dp);
    /* What stays in its table too long does no harm. */
    (void)kernel_refresh(renewal->kernel, pool, ports, renewal->log);
    (void)io_socket_refresh(renewal->io);
    handover_update(renewal->handover, renewal->io);
}
