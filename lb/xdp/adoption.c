#include "lb/xdp/adoption.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/plural.h"
#include "lb/fastpath.h"

/* Removes the entries that `goes` says. */
static void remove_all(struct table *table, uint32_t now, bool (*goes)(const void *ctx, uint32_t index),
                       const void *ctx)
{
    for (uint32_t i = 0; i < table->slots + TABLE_TAIL; i++)
        if (table_is_used(table, i) && goes(ctx, i))
            table_remove(table, i, now);
}

struct numbers {
    const struct table *table;
    uint32_t run;
};

/* An entry of the run before the last, which ended before it had done with this. */
static bool has_our_numbers(const void *ctx, uint32_t index)
{
    const struct numbers *numbers = ctx;

    return numbers->table->entries[index].place / XDP_PLACES_A_RUN == numbers->run;
}

static bool is_not_kept(const void *ctx, uint32_t index)
{
    const uint8_t *kept = ctx;

    return !(kept[index / 8] & 1U << index % 8);
}

/* Backend and source are one word, so that no packet sees half of it. */
static void renumber(struct xdp_entry *entry, uint16_t place, uint16_t source)
{
    const uint16_t numbers[2] = {place, source};
    uint32_t word;

    memcpy(&word, numbers, sizeof word);
    __atomic_store_n((uint32_t *)(void *)&entry->place, word, __ATOMIC_RELEASE);
}

_Static_assert(offsetof(struct xdp_entry, source) == offsetof(struct xdp_entry, place) + 2 &&
                   offsetof(struct xdp_entry, place) % 4 == 0,
               "place and source are one word");

/* The two entries of a flow. */
struct pair {
    uint32_t in;
    uint32_t out;
};

/* Finds both; false if one is not there, or they do not lead where the flow does. */
static bool find_pair(const struct table *table, const struct fastpath_binding *binding, struct pair *out)
{
    const struct table_key in_key = table_key_in(binding);
    const struct table_key out_key = table_key_out(binding);

    out->in = table_find(table, &in_key);
    out->out = table_find(table, &out_key);
    if (out->in == TABLE_NONE || out->out == TABLE_NONE)
        return false;
    const struct addr client = table_addr(table->entries[out->out].client);
    return table->entries[out->in].new_port == htons(binding->source.port) &&
           table->entries[out->out].new_port == htons(binding->client.port) &&
           addr_equal(&client, &binding->client.addr);
}

/* The flow keeps its entries, which get this run's numbers. */
static void keep(const struct table *table, const struct places *places,
                 const struct fastpath_binding *binding, const struct pair *pair, uint8_t *kept)
{
    const uint16_t place = places_of_backend(places, binding->backend);

    renumber(&table->entries[pair->in], place, places_of_source(places, binding->source_index));
    renumber(&table->entries[pair->out], place, 0);
    kept[pair->in / 8] |= (uint8_t)(1U << pair->in % 8);
    kept[pair->out / 8] |= (uint8_t)(1U << pair->out % 8);
}

/* How many flows have been kept. */
static uint32_t keep_flows(const struct table *table, const struct places *places, struct bindings *b,
                           uint8_t *kept)
{
    uint32_t hand = 0, budget = UINT32_MAX, count = 0, index;

    while ((index = flows_next(b->flows, &hand, &budget)) != FLOW_NONE) {
        struct flow *flow = flows_get(b->flows, index);
        struct fastpath_binding binding;
        struct pair pair;
        if (!fastpath_may_enter(b, flow) || !fastpath_describe(b, flow, &binding) ||
            !find_pair(table, &binding, &pair))
            continue;
        keep(table, places, &binding, &pair, kept);
        flow->flags |= FLOW_FAST;
        count++;
    }
    return count;
}

/* Where the flow's packets come from towards the backend; false if that is no source of the service's mode.
 */
static bool read_source(const struct places *places, const struct bindings *b, uint16_t service,
                        const struct xdp_entry *entry, struct flow *out)
{
    const bool is_transparent = entry->source == XDP_SOURCE_CLIENT;

    out->source_port = ntohs(entry->new_port);
    if (is_transparent != (b->pool->services[service].mode == CONFIG_MODE_TRANSPARENT))
        return false;
    if (is_transparent) {
        out->source = FLOW_SOURCE_CLIENT;
        return true;
    }
    const struct addr source = table_addr(places->sources[entry->source].addr);
    out->source = snat_find(b->snat, &source);
    return out->source != SNAT_NONE;
}

/* The flow that such an entry is of, but for its pin; false if it can be none of this run. */
static bool read_flow(const struct places *places, const struct bindings *b, const struct xdp_entry *entry,
                      uint32_t seen_ms, struct flow *out)
{
    const struct addr vip = table_addr(entry->dst);
    const struct addr server = table_addr(places->places[entry->place].server);
    const uint16_t service = pool_find_vip(b->pool, &vip);
    const uint16_t backend = pool_find_address(b->pool, service, &server);

    if (backend == POOL_NONE)
        return false;
    *out = (struct flow){
        .client = table_addr(entry->src),
        .client_port = ntohs(entry->src_port),
        .listener = (uint16_t)(service * IKE_PORT_COUNT + IKE_PORT_4500),
        .backend = backend,
        .server = b->pool->backends[backend].server,
        .flags = FLOW_CONFIRMED | FLOW_ESP_BOTH,
        .client_ms = seen_ms,
        .seen_ms = seen_ms,
        .session = SESSION_NONE,
    };
    for (int i = 0; i < XDP_SPIS_MAX && entry->spis[i]; i++)
        out->esp_spi = out->proved_spi = entry->spis[i]; /* the latest */
    return read_source(places, b, service, entry, out);
}

/* Of a client that the state file has not, if it has no pin; or PIN_NONE. */
static uint32_t make_pin(struct bindings *b, const struct flow *flow)
{
    const struct endpoint client = {.addr = flow->client, .port = flow->client_port};
    const struct pin_key key = bindings_pin_key(b, flow->listener / IKE_PORT_COUNT, &client);
    const struct pin pin = {
        .client = key.client,
        .service = key.service,
        .part = key.part,
        .backend = flow->backend,
        .ports = {[IKE_PORT_4500] = flow->client_port},
        .created_ms = flow->seen_ms,
        .seen_ms = flow->seen_ms,
        .stage = STAGE_ESTABLISHED,
    };
    uint32_t index = pins_find(b->pins, &key);

    return index != PIN_NONE || bindings_adopt_pin(b, &pin, &index) == 0 ? index : PIN_NONE;
}

/* Makes the flow of an entry that nothing is known of; whether there is one. */
static bool learn_flow(const struct table *table, const struct places *places, struct bindings *b,
                       const struct xdp_entry *entry, const struct adoption_time *now, uint8_t *kept)
{
    const uint32_t seen_ms = (uint32_t)now->ms - table_age_ms(entry, now->ticks);
    struct fastpath_binding binding;
    struct pair pair;
    struct flow flow;
    uint32_t made;

    if (!read_flow(places, b, entry, seen_ms, &flow) || !fastpath_describe(b, &flow, &binding) ||
        !find_pair(table, &binding, &pair))
        return false;
    const uint32_t back_ms = (uint32_t)now->ms - table_age_ms(&table->entries[pair.out], now->ticks);
    if ((int32_t)(back_ms - seen_ms) > 0)
        flow.seen_ms = back_ms;
    if (bindings_flow_is_due(b, &flow, now->ms))
        return false;
    flow.pin = make_pin(b, &flow);
    if (flow.pin == PIN_NONE || bindings_adopt_flow(b, &flow, &made) != 0)
        return false;
    if (fastpath_may_enter(b, flows_get(b->flows, made))) {
        keep(table, places, &binding, &pair, kept);
        flows_get(b->flows, made)->flags |= FLOW_FAST;
    }
    return true;
}

/* Since the state file was written last more flows have begun, and there may be no such file: the table has
 * all that a flow needs. How many flows have been learnt. */
static uint32_t learn_flows(const struct table *table, const struct places *places, struct bindings *b,
                            const struct adoption_time *now, uint8_t *kept)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->slots + TABLE_TAIL; i++)
        if (table->entries[i].state == XDP_IN && is_not_kept(kept, i))
            count += learn_flow(table, places, b, &table->entries[i], now, kept);
    return count;
}

static uint32_t count_used(const struct table *table)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->slots + TABLE_TAIL; i++)
        count += table_is_used(table, i);
    return count;
}

int adoption_run(struct table *table, struct places *places, struct xdp_about *about, struct bindings *b,
                 const struct adoption_time *now, const struct log *log)
{
    const struct numbers numbers = {.table = table, .run = places->run};
    uint8_t *kept = calloc((table->slots + TABLE_TAIL) / 8 + 1, 1);
    uint32_t flows = 0, learnt = 0;

    table->count = count_used(table);
    remove_all(table, now->ticks, has_our_numbers, &numbers);
    about->run = places->run;
    places_refresh(places, b);
    if (kept) {
        flows = keep_flows(table, places, b, kept);
        learnt = learn_flows(table, places, b, now, kept);
        remove_all(table, now->ticks, is_not_kept, kept);
    }
    log_info(log,
             "fast path: went on with %" PRIu32 " flow%s of the run before, %" PRIu32
             " known from there only",
             flows + learnt, plural(flows + learnt), learnt);
    free(kept);
    return kept ? 0 : -ENOMEM;
}
