#include "admin/status_json.h"

#include <errno.h>
#include <stdlib.h>

#include "lb/alarms.h"
#include "lb/fastpath.h"
#include "lb/passive.h"

/*
 * Where the writer stands, and what it writes: the lists of the pool as they were at the beginning, since a
 * reload between two slices may put them into another order. What has gone since is left out.
 */
struct walk {
    const struct dataplane *dp;
    uint64_t started_ms;
    uint64_t now_ms;
    bool begun;
    bool any_service; /* has been written */
    bool any_backend; /* of the service */
    bool inside;      /* the service's head has been written */
    size_t service;   /* in services[] */
    size_t backend;   /* in backends[] */
    size_t service_count;
    uint16_t services[POOL_SERVICES_MAX];
    uint16_t backends[POOL_BACKENDS_MAX + POOL_SERVICES_MAX]; /* POOL_NONE after those of each service */
};

static json_t *table(uint32_t entries, uint32_t capacity)
{
    return json_pack("{s:I, s:I}", "entries", (json_int_t)entries, "capacity", (json_int_t)capacity);
}

static json_t *drops(const struct dataplane *dp)
{
    json_t *all = json_object();

    for (int i = 0; all && i < DROP_REASON_COUNT; i++) {
        if (json_object_set_new(all, drop_reason_name((enum drop_reason)i),
                                json_integer((json_int_t)dp->drops[i]))) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

static json_t *interfaces(const struct fastpath_report *report)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < report->interface_count; i++) {
        const struct fastpath_interface *one = &report->interfaces[i];
        json_t *trouble = one->trouble[0] ? json_string(one->trouble) : json_null();
        if (json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", one->name, "mode",
                                                  fastpath_mode_name(one->mode), "trouble", trouble))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *passed(const struct fastpath_report *report)
{
    json_t *all = json_object();

    for (size_t i = 0; all && i < report->reason_count; i++) {
        if (json_object_set_new(all, report->reasons[i], json_integer((json_int_t)report->passed_total[i]))) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

static json_t *fastpath(const struct bindings *b)
{
    struct fastpath_report report;

    fastpath_report(b, &report);
    return json_pack("{s:s, s:s?, s:I, s:I, s:o, s:o}", "mode", fastpath_mode_name(report.mode), "trouble",
                     report.trouble, "entries", (json_int_t)report.entries, "capacity",
                     (json_int_t)report.capacity, "interfaces", interfaces(&report), "passed",
                     passed(&report));
}

static json_t *document_head(const struct walk *w)
{
    const struct bindings *b = &w->dp->bindings;

    return json_pack("{s:s, s:I, s:o, s:o, s:{s:o, s:o, s:o}}", "version", IKELB_VERSION, "uptime_s",
                     (json_int_t)((w->now_ms - w->started_ms) / 1000), "drops", drops(w->dp), "fastpath",
                     fastpath(b), "tables", "pins", table(pins_count(b->pins), pins_capacity(b->pins)),
                     "flows", table(flows_count(b->flows), flows_capacity(b->flows)), "sessions",
                     table(sessions_count(b->tracking.sessions), sessions_capacity(b->tracking.sessions)));
}

static json_t *vips(const struct service *service)
{
    char text[ADDR_TEXT_MAX];
    json_t *list = json_array();

    for (size_t i = 0; list && i < service->vip_count; i++) {
        if (json_array_append_new(list, json_string(addr_format(&service->vips[i], text)))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *alarms(const struct walk *w, const struct service *service)
{
    const uint32_t on = alarms_of(w->dp->bindings.pool, service, w->now_ms);
    json_t *list = json_array();

    for (int i = 0; list && i < ALARM_COUNT; i++) {
        if (on & 1U << i && json_array_append_new(list, json_string(alarm_text((enum alarm)i)))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *service_head(const struct walk *w, const struct service *service)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:I, s:{s:I, s:I}, s:I}", "name", service->name, "mode",
                     config_mode_name(service->mode), "schedule", config_schedule_name(service->schedule),
                     "removed", service->removed, "vip", vips(service), "alarms", alarms(w, service),
                     "failovers_total", (json_int_t)service->failovers_total, "roams_total", "mobike",
                     (json_int_t)service->roams_total[ROAM_MOBIKE], "rebind",
                     (json_int_t)service->roams_total[ROAM_REBIND], "conflicts_total",
                     (json_int_t)service->conflicts_total);
}

static json_t *fragmentation(enum fragmentation f)
{
    return f == FRAGMENTATION_UNKNOWN ? json_null() : json_boolean(f == FRAGMENTATION_YES);
}

static json_t *probe_ms(const struct backend *backend)
{
    return backend->probe_us ? json_real(backend->probe_us / 1000.0) : json_null();
}

static json_int_t bits(const struct traffic *traffic)
{
    return (json_int_t)traffic->bytes * 8;
}

static json_t *suspect(const struct backend *backend)
{
    const char *name = passive_suspicion_name(backend->passive.suspicion);

    return name ? json_string(name) : json_null();
}

static json_t *handshakes(const struct handshake_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "init_sent",
                     (json_int_t)counts->reached[STAGE_INIT_SENT], "init_answered",
                     (json_int_t)counts->reached[STAGE_INIT_ANSWERED], "auth_sent",
                     (json_int_t)counts->reached[STAGE_AUTH_SENT], "auth_answered",
                     (json_int_t)counts->reached[STAGE_AUTH_ANSWERED], "established",
                     (json_int_t)counts->reached[STAGE_ESTABLISHED], "answered",
                     (json_int_t)counts->answered_total, "unanswered", (json_int_t)counts->unanswered_total,
                     "stalled", (json_int_t)counts->stalled_total, "auth_unanswered",
                     (json_int_t)counts->auth_unanswered_total, "large_in",
                     (json_int_t)counts->large_in_total, "large_out", (json_int_t)counts->large_out_total);
}

static json_t *backend_json(const struct backend *b)
{
    const struct traffic *rx = &b->traffic[TRAFFIC_IN];
    const struct traffic *tx = &b->traffic[TRAFFIC_OUT];
    const struct traffic *rx_rate = &b->rate[TRAFFIC_IN];
    const struct traffic *tx_rate = &b->rate[TRAFFIC_OUT];
    char text[ADDR_TEXT_MAX];

    return json_pack(
        "{s:s, s:s, s:I, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:o, s:o, s:o, "
        "s:o}",
        "name", b->name, "address", addr_format(&b->addr, text), "weight", (json_int_t)b->weight, "state",
        config_state_name(b->state), "removed", b->removed, "health", judge_state_name(b->health), "clients",
        (json_int_t)b->clients, "new_clients_total", (json_int_t)b->new_clients_total,
        "init_unanswered_total", (json_int_t)b->handshakes.unanswered_total, "rx_packets",
        (json_int_t)rx->packets, "rx_bytes", (json_int_t)rx->bytes, "tx_packets", (json_int_t)tx->packets,
        "tx_bytes", (json_int_t)tx->bytes, "rx_pps", (json_int_t)rx_rate->packets, "rx_bps", bits(rx_rate),
        "tx_pps", (json_int_t)tx_rate->packets, "tx_bps", bits(tx_rate), "fast_pps", (json_int_t)b->fast_pps,
        "probe_ms", probe_ms(b), "fragmentation", fragmentation(b->fragmentation), "suspect", suspect(b),
        "handshakes", handshakes(&b->handshakes));
}

/* Opens an object and leaves it open for one more member, a list. */
static int open_object(FILE *out, json_t *head, const char *list)
{
    int err;

    fputc('{', out);
    err = body_write_json(out, head, JSON_EMBED);
    fprintf(out, ",\"%s\":[", list);
    return err;
}

static void note_order(struct walk *w)
{
    const struct pool *pool = w->dp->bindings.pool;
    size_t at = 0;

    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        w->services[w->service_count++] = s;
        for (uint16_t i = pool->services[s].first_backend; i != POOL_NONE; i = pool->backends[i].next)
            w->backends[at++] = i;
        w->backends[at++] = POOL_NONE;
    }
}

/* The next of the service's backends that is there yet; POOL_NONE after the last. */
static uint16_t next_backend(struct walk *w)
{
    const struct pool *pool = w->dp->bindings.pool;
    uint16_t index;

    do
        index = w->backends[w->backend++];
    while (index != POOL_NONE &&
           (!pool->backends[index].used || pool->backends[index].service != w->services[w->service]));
    return index;
}

static void skip_gone_services(struct walk *w)
{
    const struct pool *pool = w->dp->bindings.pool;

    for (; w->service < w->service_count && !pool->services[w->services[w->service]].used; w->service++)
        while (next_backend(w) != POOL_NONE)
            ;
}

/* The service's head, or its next backend, or its end. */
static int write_next(struct walk *w, FILE *out)
{
    const struct pool *pool = w->dp->bindings.pool;

    if (!w->inside) {
        if (w->any_service)
            fputc(',', out);
        w->inside = w->any_service = true;
        w->any_backend = false;
        return open_object(out, service_head(w, &pool->services[w->services[w->service]]), "backends");
    }
    const uint16_t backend = next_backend(w);
    if (backend != POOL_NONE) {
        if (w->any_backend)
            fputc(',', out);
        w->any_backend = true;
        return body_write_json(out, backend_json(&pool->backends[backend]), 0);
    }
    fputs("]}", out);
    w->inside = false;
    w->service++;
    return 0;
}

static int next_slice(void *state, FILE *out)
{
    struct walk *w = state;
    int err = 0;

    if (!w->begun) {
        err = open_object(out, document_head(w), "services");
        w->begun = true;
    }
    for (int rows = 0; !err && rows < BODY_SLICE_ROWS; rows++) {
        if (!w->inside)
            skip_gone_services(w);
        if (w->service == w->service_count)
            break;
        err = write_next(w, out);
    }
    if (err)
        return err;
    if (w->service < w->service_count)
        return BODY_MORE;
    fputs("]}", out);
    return BODY_END;
}

int status_json(const struct dataplane *dp, uint64_t started_ms, uint64_t now_ms, struct body *out)
{
    struct walk *w = malloc(sizeof *w);

    if (!w)
        return -ENOMEM;
    *w = (struct walk){.dp = dp, .started_ms = started_ms, .now_ms = now_ms};
    note_order(w);
    *out = (struct body){.next = next_slice, .destroy = free, .state = w};
    return 0;
}
