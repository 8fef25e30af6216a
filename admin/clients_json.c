#include "admin/clients_json.h"

#include <errno.h>
#include <stdlib.h>

#include "lb/fastpath.h"

/* Where the writer stands. */
struct walk {
    const struct dataplane *dp;
    struct clients_query query;
    uint64_t now_ms;
    uint32_t cursor;
    uint32_t slots_left;
    uint32_t rows;
    bool begun;
};

static json_t *port_json(uint16_t port)
{
    return port ? json_integer(port) : json_null();
}

/*
 * A pin learns of traffic only when its flows end; until then they know better. Its latest ports lead to
 * them. Times in the future, of a flow seen after this page was asked for, count as now.
 */
uint32_t clients_json_idle_ms(const struct bindings *b, const struct pin *pin, uint64_t now)
{
    const uint32_t now_ms = (uint32_t)now;
    int32_t idle = (int32_t)(now_ms - pin->seen_ms);

    for (uint16_t port = 0; port < IKE_PORT_COUNT; port++) {
        const uint32_t index = bindings_flow_of_pin(b, pin, (enum ike_port)port);
        if (index == FLOW_NONE)
            continue;
        const int32_t flow_idle = (int32_t)(now_ms - fastpath_flow(b, index, now_ms)->seen_ms);
        if (flow_idle < idle)
            idle = flow_idle;
    }
    return idle > 0 ? (uint32_t)idle : 0;
}

/* What the client announced is known only if its handshake has been seen. */
static json_t *fragmentation(const struct pin *pin)
{
    return pin->stage == STAGE_NONE ? json_null() : json_boolean(pin->flags & PIN_CLIENT_FRAGMENTATION);
}

json_t *clients_json_row(const struct dataplane *dp, const struct pin *pin, uint32_t idle_ms, uint64_t now_ms)
{
    const struct pool *pool = dp->bindings.pool;
    const int32_t age_ms = (int32_t)((uint32_t)now_ms - pin->created_ms);
    char text[ADDR_TEXT_MAX];

    return json_pack("{s:s, s:s, s:s, s:s, s:{s:o, s:o}, s:b, s:I, s:I, s:I, s:o, s:I}", "service",
                     pool->services[pin->service].name, "address", addr_format(&pin->client, text), "backend",
                     pool->backends[pin->backend].name, "stage", stage_name((enum stage)pin->stage), "ports",
                     "500", port_json(pin->ports[IKE_PORT_500]), "4500", port_json(pin->ports[IKE_PORT_4500]),
                     "confirmed", (pin->flags & PIN_CONFIRMED) != 0, "age_s",
                     (json_int_t)(age_ms > 0 ? age_ms / 1000 : 0), "idle_s", (json_int_t)(idle_ms / 1000),
                     "flows", (json_int_t)pin->flow_count, "fragmentation", fragmentation(pin), "roams",
                     (json_int_t)pin->roams);
}

/* The next pin of the page, or NULL at its end; the slots looked at are taken off the page's. */
static const struct pin *next_pin(struct walk *w)
{
    struct pins *pins = w->dp->bindings.pins;

    for (;;) {
        const uint32_t index = pins_next(pins, &w->cursor, &w->slots_left);
        if (index == PIN_NONE)
            return NULL;
        const struct pin *pin = pins_get(pins, index);
        if (w->query.every_backend || w->query.wanted[pin->backend])
            return pin;
    }
}

static int write_row(struct walk *w, const struct pin *pin, FILE *out)
{
    const uint32_t idle_ms = clients_json_idle_ms(&w->dp->bindings, pin, w->now_ms);

    if (w->rows++)
        fputc(',', out);
    return body_write_json(out, clients_json_row(w->dp, pin, idle_ms, w->now_ms), 0);
}

/* The table has ended if there is nothing further on although slots were left to look at. */
static void write_end(const struct walk *w, FILE *out)
{
    char text[CLIENTS_CURSOR_MAX];
    struct walk ahead = *w;
    const bool has_ended = !next_pin(&ahead) && ahead.slots_left > 0;

    if (has_ended)
        fputs("],\"next\":null}", out);
    else
        fprintf(out, "],\"next\":\"%s\"}", clients_query_cursor(w->cursor, text));
}

static int next_slice(void *state, FILE *out)
{
    struct walk *w = state;

    if (!w->begun) {
        fputs("{\"clients\":[", out);
        w->begun = true;
    }
    for (int i = 0; i < BODY_SLICE_ROWS; i++) {
        const struct pin *pin = w->rows < w->query.limit ? next_pin(w) : NULL;
        if (!pin) {
            write_end(w, out);
            return BODY_END;
        }
        const int err = write_row(w, pin, out);
        if (err)
            return err;
    }
    return BODY_MORE;
}

int clients_json(const struct dataplane *dp, const struct clients_query *query, uint64_t now_ms,
                 struct body *out)
{
    struct walk *w = malloc(sizeof *w);

    if (!w)
        return -ENOMEM;
    *w = (struct walk){
        .dp = dp,
        .query = *query,
        .now_ms = now_ms,
        .cursor = query->after,
        .slots_left = CLIENTS_PAGE_SLOTS,
    };
    *out = (struct body){.next = next_slice, .destroy = free, .state = w};
    return 0;
}
