#include "lb/xdp/adoption.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* Both entries of the flow, if they are there and lead where it does. */
static bool keep(const struct table *table, const struct places *places,
                 const struct fastpath_binding *binding, uint8_t *kept)
{
    const struct table_key in_key = table_key_in(binding);
    const struct table_key out_key = table_key_out(binding);
    const uint32_t in = table_find(table, &in_key);
    const uint32_t out = table_find(table, &out_key);

    if (in == TABLE_NONE || out == TABLE_NONE)
        return false;
    const struct addr client = table_addr(table->entries[out].client);
    if (table->entries[in].new_port != htons(binding->source.port) ||
        table->entries[out].new_port != htons(binding->client.port) ||
        !addr_equal(&client, &binding->client.addr))
        return false;
    const uint16_t place = places_of_backend(places, binding->backend);
    renumber(&table->entries[in], place, places_of_source(places, binding->source_index));
    renumber(&table->entries[out], place, 0);
    kept[in / 8] |= (uint8_t)(1U << in % 8);
    kept[out / 8] |= (uint8_t)(1U << out % 8);
    return true;
}

/* How many flows have been kept. */
static uint32_t keep_flows(const struct table *table, const struct places *places, struct bindings *b,
                           uint8_t *kept)
{
    uint32_t hand = 0, budget = UINT32_MAX, count = 0, index;

    while ((index = flows_next(b->flows, &hand, &budget)) != FLOW_NONE) {
        struct flow *flow = flows_get(b->flows, index);
        struct fastpath_binding binding;
        if (!fastpath_may_enter(b, flow) || !fastpath_describe(b, flow, &binding) ||
            !keep(table, places, &binding, kept))
            continue;
        flow->flags |= FLOW_FAST;
        count++;
    }
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
                 uint32_t now, const struct log *log)
{
    const struct numbers numbers = {.table = table, .run = places->run};
    uint8_t *kept = calloc((table->slots + TABLE_TAIL) / 8 + 1, 1);
    uint32_t flows = 0;

    table->count = count_used(table);
    remove_all(table, now, has_our_numbers, &numbers);
    about->run = places->run;
    places_refresh(places, b);
    if (kept) {
        flows = keep_flows(table, places, b, kept);
        remove_all(table, now, is_not_kept, kept);
    }
    log_info(log, "fast path: went on with %" PRIu32 " flows of the run before", flows);
    free(kept);
    return kept ? 0 : -ENOMEM;
}
