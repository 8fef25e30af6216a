#include "admin/metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "admin/exposition.h"
#include "lb/alarms.h"
#include "lb/fastpath.h"
#include "lb/passive.h"

/* What one call of a family's writer is about; service and backend are NULL where the family is not by them.
 */
struct item {
    const struct metrics_source *source;
    const struct service *service;
    const struct backend *backend;
    const char *name;
    struct exposition_labels labels; /* service and backend */
    FILE *out;
};

/* How often a family's writer is called: once, for each service, for each backend. */
enum scope { SCOPE_ONCE, SCOPE_SERVICE, SCOPE_BACKEND };

static void put(const struct item *item, uint64_t value)
{
    exposition_sample(item->out, item->name, &item->labels, value);
}

static void put_with(const struct item *item, const char *key, const char *label, uint64_t value)
{
    const struct exposition_labels labels = exposition_with(item->labels, key, label);

    exposition_sample(item->out, item->name, &labels, value);
}

static void put_up(const struct item *item)
{
    put(item, item->backend->health != HEALTH_DOWN);
}

static void put_state(const struct item *item)
{
    static const enum config_state states[] = {CONFIG_STATE_ENABLED, CONFIG_STATE_DRAIN,
                                               CONFIG_STATE_DISABLED};

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        put_with(item, "state", config_state_name(states[i]), item->backend->state == states[i]);
}

static void put_weight(const struct item *item)
{
    put(item, item->backend->weight);
}

static void put_suspect(const struct item *item)
{
    for (int i = SUSPICION_NONE + 1; i < SUSPICION_COUNT; i++)
        put_with(item, "kind", passive_suspicion_name((enum suspicion)i),
                 (int)item->backend->passive.suspicion == i);
}

static void put_clients(const struct item *item)
{
    for (int i = 0; i < STAGE_COUNT; i++)
        put_with(item, "stage", stage_name((enum stage)i), item->backend->clients_at[i]);
}

static void put_new_clients(const struct item *item)
{
    put(item, item->backend->new_clients_total);
}

static void put_paths(const struct item *item, const char *direction, uint64_t total, uint64_t fast)
{
    struct item with = *item;

    with.labels = exposition_with(item->labels, "direction", direction);
    put_with(&with, "path", "slow", total - fast);
    put_with(&with, "path", "fast", fast);
}

static void put_packets(const struct item *item)
{
    const struct backend *backend = item->backend;

    put_paths(item, "in", backend->traffic[TRAFFIC_IN].packets, backend->fast[TRAFFIC_IN].packets);
    put_paths(item, "out", backend->traffic[TRAFFIC_OUT].packets, backend->fast[TRAFFIC_OUT].packets);
}

static void put_bytes(const struct item *item)
{
    const struct backend *backend = item->backend;

    put_paths(item, "in", backend->traffic[TRAFFIC_IN].bytes, backend->fast[TRAFFIC_IN].bytes);
    put_paths(item, "out", backend->traffic[TRAFFIC_OUT].bytes, backend->fast[TRAFFIC_OUT].bytes);
}

static void put_handshakes(const struct item *item)
{
    put_with(item, "outcome", "answered", item->backend->handshakes.answered_total);
    put_with(item, "outcome", "unanswered", item->backend->handshakes.unanswered_total);
}

static void put_stages(const struct item *item)
{
    for (int i = STAGE_NONE + 1; i < STAGE_COUNT; i++)
        put_with(item, "stage", stage_name((enum stage)i), item->backend->handshakes.reached[i]);
}

static void put_stalls(const struct item *item)
{
    put_with(item, "stage", stage_name(STAGE_INIT_ANSWERED), item->backend->handshakes.stalled_total);
    put_with(item, "stage", stage_name(STAGE_AUTH_SENT), item->backend->handshakes.auth_unanswered_total);
}

static void put_large(const struct item *item)
{
    put_with(item, "direction", "in", item->backend->handshakes.large_in_total);
    put_with(item, "direction", "out", item->backend->handshakes.large_out_total);
}

static void put_probes(const struct item *item)
{
    put_with(item, "outcome", "answered", histogram_count(&item->backend->probe_times));
    put_with(item, "outcome", "failed", item->backend->probes_failed_total);
}

static void put_probe_seconds(const struct item *item)
{
    exposition_histogram(item->out, item->name, &item->labels, &item->backend->probe_times);
}

static void put_failovers(const struct item *item)
{
    put(item, item->service->failovers_total);
}

static void put_roams(const struct item *item)
{
    put_with(item, "kind", "mobike", item->service->roams_total[ROAM_MOBIKE]);
    put_with(item, "kind", "rebind", item->service->roams_total[ROAM_REBIND]);
}

static void put_conflicts(const struct item *item)
{
    put(item, item->service->conflicts_total);
}

static void put_alarms(const struct item *item)
{
    const uint32_t on = alarms_of(item->source->dp->bindings.pool, item->service, item->source->now_ms);

    for (int i = 0; i < ALARM_COUNT; i++)
        put_with(item, "alarm", alarm_name((enum alarm)i), on >> i & 1);
}

static void put_drops(const struct item *item)
{
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        put_with(item, "reason", drop_reason_name((enum drop_reason)i), item->source->dp->drops[i]);
}

static void put_loop_lag(const struct item *item)
{
    exposition_histogram(item->out, item->name, &item->labels, item->source->loop_lag);
}

static struct fastpath_report report_of(const struct item *item)
{
    struct fastpath_report report;

    fastpath_report(&item->source->dp->bindings, &report);
    return report;
}

static void put_entries(const struct item *item)
{
    const struct bindings *b = &item->source->dp->bindings;

    put_with(item, "table", "pins", pins_count(b->pins));
    put_with(item, "table", "flows", flows_count(b->flows));
    put_with(item, "table", "sessions", sessions_count(b->tracking.sessions));
    put_with(item, "table", "fastpath", report_of(item).entries);
}

static void put_unconfirmed(const struct item *item)
{
    const struct bindings *b = &item->source->dp->bindings;

    put_with(item, "table", "pins", pins_unconfirmed_count(b->pins));
    put_with(item, "table", "flows", flows_unconfirmed_count(b->flows));
    put_with(item, "table", "sessions", sessions_unconfirmed_count(b->tracking.sessions));
}

static void put_capacity(const struct item *item)
{
    const struct bindings *b = &item->source->dp->bindings;

    put_with(item, "table", "pins", pins_capacity(b->pins));
    put_with(item, "table", "flows", flows_capacity(b->flows));
    put_with(item, "table", "sessions", sessions_capacity(b->tracking.sessions));
    put_with(item, "table", "fastpath", report_of(item).capacity);
}

static void put_fastpath(const struct item *item)
{
    const struct fastpath_report report = report_of(item);

    for (int mode = 0; mode < FASTPATH_MODE_COUNT; mode++)
        put_with(item, "mode", fastpath_mode_name((enum fastpath_mode)mode), (int)report.mode == mode);
}

static void put_passed(const struct item *item)
{
    const struct fastpath_report report = report_of(item);

    for (size_t i = 0; i < report.reason_count; i++)
        put_with(item, "reason", report.reasons[i], report.passed_total[i]);
}

static void put_state_saved(const struct item *item)
{
    exposition_seconds(item->out, item->name, &item->labels, item->source->saving->saved_wall_ms * 1000);
}

static void put_state_save_time(const struct item *item)
{
    exposition_seconds(item->out, item->name, &item->labels, item->source->saving->save_us);
}

static void put_state_bytes(const struct item *item)
{
    put(item, item->source->saving->bytes);
}

static void put_state_errors(const struct item *item)
{
    put(item, item->source->saving->errors_total);
}

static void put_start_time(const struct item *item)
{
    put(item, item->source->started_wall_ms / 1000);
}

static void put_build_info(const struct item *item)
{
    put_with(item, "version", IKELB_VERSION, 1);
}

struct family {
    const char *name;
    const char *type;
    const char *help;
    enum scope scope;
    void (*put)(const struct item *item);
};

/* clang-format off: one family, one glance. */
static const struct family FAMILIES[] = {
    {"ikelb_backend_up", "gauge",
     "0 if the backend's probes have failed, 1 if they are answered or nothing is known of it.",
     SCOPE_BACKEND, put_up},
    {"ikelb_backend_state", "gauge", "1 for the state that the operator has given the backend.",
     SCOPE_BACKEND, put_state},
    {"ikelb_backend_weight", "gauge", "The backend's weight.", SCOPE_BACKEND, put_weight},
    {"ikelb_backend_suspect", "gauge",
     "1 if real clients say that the backend refuses new ones (alive, but it does not answer IKE_SA_INIT) or "
     "is silent.",
     SCOPE_BACKEND, put_suspect},
    {"ikelb_clients", "gauge",
     "Clients that are pinned to the backend, by the stage of their latest handshake.", SCOPE_BACKEND,
     put_clients},
    {"ikelb_new_clients_total", "counter", "Clients that came to the backend.", SCOPE_BACKEND,
     put_new_clients},
    {"ikelb_packets_total", "counter", "UDP datagrams forwarded, by direction (in: to the backend).",
     SCOPE_BACKEND, put_packets},
    {"ikelb_bytes_total", "counter", "UDP payload forwarded, by direction (in: to the backend).",
     SCOPE_BACKEND, put_bytes},
    {"ikelb_handshakes_total", "counter",
     "Handshakes whose first message the backend answered, or never did.", SCOPE_BACKEND, put_handshakes},
    {"ikelb_handshake_stages_total", "counter", "Handshakes that came as far as this stage.", SCOPE_BACKEND,
     put_stages},
    {"ikelb_handshake_stalls_total", "counter",
     "Handshakes that ended at this stage: init-answered: no IKE_AUTH came; auth-sent: it was not answered.",
     SCOPE_BACKEND, put_stalls},
    {"ikelb_large_messages_total", "counter",
     "IKE messages that took more than one IP packet of 1500 bytes, by direction.", SCOPE_BACKEND, put_large},
    {"ikelb_probes_total", "counter", "Health probes, by outcome.", SCOPE_BACKEND, put_probes},
    {"ikelb_probe_seconds", "histogram", "Round trip of the health probes that were answered.", SCOPE_BACKEND,
     put_probe_seconds},
    {"ikelb_handshake_failovers_total", "counter",
     "Handshakes that went on to another backend because theirs did not answer.", SCOPE_SERVICE,
     put_failovers},
    {"ikelb_roams_total", "counter",
     "Sessions that moved: to another address (mobike), or another port of their NAT (rebind).",
     SCOPE_SERVICE, put_roams},
    {"ikelb_conflicts_total", "counter",
     "Handshakes kept away from their backend because another tunnel uses the same client address and port.",
     SCOPE_SERVICE, put_conflicts},
    {"ikelb_alarm", "gauge", "1 while the alarm is on; ikelb status has it in words.", SCOPE_SERVICE,
     put_alarms},
    {"ikelb_drops_total", "counter", "Packets dropped, by reason.", SCOPE_ONCE, put_drops},
    {"ikelb_table_entries", "gauge", "Entries in use.", SCOPE_ONCE, put_entries},
    {"ikelb_table_unconfirmed", "gauge",
     "Entries whose clients have not been proved by a backend; at most a quarter of the capacity.",
     SCOPE_ONCE, put_unconfirmed},
    {"ikelb_table_capacity", "gauge", "Room for entries.", SCOPE_ONCE, put_capacity},
    {"ikelb_fastpath", "gauge", "1 for the mode that the fast path is in.", SCOPE_ONCE, put_fastpath},
    {"ikelb_fastpath_passed_total", "counter",
     "Packets of flows that the fast path has, which took the slow path all the same, by reason.", SCOPE_ONCE,
     put_passed},
    {"ikelb_loop_lag_seconds", "histogram",
     "How long each turn of the loop took, from waking up to waiting again: the longest that a packet waited "
     "meanwhile.",
     SCOPE_ONCE, put_loop_lag},
    {"ikelb_state_saved_timestamp_seconds", "gauge",
     "When the latest state file was begun, in seconds since 1970; 0: none since the start.", SCOPE_ONCE,
     put_state_saved},
    {"ikelb_state_save_seconds", "gauge", "How long the latest state file took, from its begin to its end.",
     SCOPE_ONCE, put_state_save_time},
    {"ikelb_state_bytes", "gauge", "The size of the latest state file.", SCOPE_ONCE, put_state_bytes},
    {"ikelb_state_errors_total", "counter", "State files that could not be written.", SCOPE_ONCE,
     put_state_errors},
    {"ikelb_start_time_seconds", "gauge", "When the daemon started, in seconds since 1970.", SCOPE_ONCE,
     put_start_time},
    {"ikelb_build_info", "gauge", "1, with the version of ikelb.", SCOPE_ONCE, put_build_info},
};
/* clang-format on */

#define FAMILY_COUNT (sizeof FAMILIES / sizeof FAMILIES[0])

/* Where the writer stands: before item `item` of family `family`. */
struct walk {
    struct metrics_source source;
    size_t family;
    size_t item;
};

static size_t item_count(const struct pool *pool, enum scope scope)
{
    switch (scope) {
    case SCOPE_BACKEND:
        return pool->backend_count;
    case SCOPE_SERVICE:
        return pool->service_count;
    case SCOPE_ONCE:
    default:
        return 1;
    }
}

static bool is_used(const struct pool *pool, enum scope scope, size_t item)
{
    return scope == SCOPE_ONCE ||
           (scope == SCOPE_BACKEND ? pool->backends[item].used : pool->services[item].used);
}

static struct item item_at(const struct walk *w, const struct family *family, FILE *out)
{
    const struct pool *pool = w->source.dp->bindings.pool;
    struct item item = {.source = &w->source, .name = family->name, .out = out};

    if (family->scope == SCOPE_BACKEND)
        item.backend = &pool->backends[w->item];
    if (family->scope != SCOPE_ONCE) {
        item.service = &pool->services[item.backend ? item.backend->service : w->item];
        item.labels = exposition_with(item.labels, "service", item.service->name);
    }
    if (item.backend)
        item.labels = exposition_with(item.labels, "backend", item.backend->name);
    return item;
}

static int next_slice(void *state, FILE *out)
{
    struct walk *w = state;

    for (int items = 0; items < METRICS_SLICE_ITEMS && w->family < FAMILY_COUNT;) {
        const struct family *family = &FAMILIES[w->family];
        if (w->item == 0)
            exposition_head(out, family->name, family->type, family->help);
        /* Those that are not used do not count: a slice without a byte would end the answer. */
        if (is_used(w->source.dp->bindings.pool, family->scope, w->item)) {
            const struct item item = item_at(w, family, out);
            family->put(&item);
            items++;
        }
        if (++w->item < item_count(w->source.dp->bindings.pool, family->scope))
            continue;
        w->family++;
        w->item = 0;
    }
    return w->family < FAMILY_COUNT ? BODY_MORE : BODY_END;
}

int metrics_body(const struct metrics_source *source, struct body *out)
{
    struct walk *w = malloc(sizeof *w);

    if (!w)
        return -ENOMEM;
    struct fastpath_report report;
    fastpath_report(&source->dp->bindings, &report); /* which brings the counters up to date */
    *w = (struct walk){.source = *source};
    *out = (struct body){.next = next_slice, .destroy = free, .state = w};
    return 0;
}
