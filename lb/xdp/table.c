#include "lb/xdp/table.h"

#include <arpa/inet.h>
#include <string.h>

_Static_assert(sizeof(struct xdp_entry) == 64, "an entry is one cache line");

/* A key as entries have it. */
struct raw_key {
    __u64 src[2];
    __u64 dst[2];
    __be16 src_port;
    __be16 dst_port;
};

void table_put_addr(__u64 words[2], const struct addr *addr)
{
    memcpy(words, addr->bytes, sizeof addr->bytes);
}

struct addr table_addr(const __u64 words[2])
{
    struct addr addr;

    memcpy(addr.bytes, words, sizeof addr.bytes);
    return addr;
}

struct table_key table_key_in(const struct fastpath_binding *binding)
{
    return (struct table_key){.src = binding->client, .dst = binding->vip};
}

struct table_key table_key_out(const struct fastpath_binding *binding)
{
    return (struct table_key){.src = binding->server, .dst = binding->source};
}

static struct raw_key raw(const struct table_key *key)
{
    struct raw_key raw = {.src_port = htons(key->src.port), .dst_port = htons(key->dst.port)};

    memcpy(raw.src, key->src.addr.bytes, sizeof raw.src);
    memcpy(raw.dst, key->dst.addr.bytes, sizeof raw.dst);
    return raw;
}

static uint32_t home_of(const struct table *t, const struct raw_key *key)
{
    return xdp_home(key->src, key->dst, key->src_port, key->dst_port, t->seed, t->slots);
}

static uint32_t home_of_entry(const struct table *t, const struct xdp_entry *entry)
{
    return xdp_home(entry->src, entry->dst, entry->src_port, entry->dst_port, t->seed, t->slots);
}

static bool has_key(const struct xdp_entry *entry, const struct raw_key *key)
{
    return entry->src_port == key->src_port && entry->dst_port == key->dst_port &&
           memcmp(entry->src, key->src, sizeof key->src) == 0 &&
           memcmp(entry->dst, key->dst, sizeof key->dst) == 0;
}

bool table_is_used(const struct table *t, uint32_t index)
{
    const __u8 state = t->entries[index].state;

    return state == XDP_IN || state == XDP_OUT;
}

uint32_t table_age_ms(const struct xdp_entry *entry, uint32_t now)
{
    const uint32_t age = now - entry->seen;
    const uint64_t age_ms = ((uint64_t)age << XDP_TICK_SHIFT) / 1000000;

    if (age > UINT32_MAX - XDP_AHEAD_MAX)
        return 0;
    return age_ms < INT32_MAX ? (uint32_t)age_ms : INT32_MAX;
}

uint32_t table_find(const struct table *t, const struct table_key *key)
{
    const struct raw_key wanted = raw(key);
    const uint32_t home = home_of(t, &wanted);

    for (uint32_t index = home; index <= home + t->entries[home].reach; index++)
        if (table_is_used(t, index) && has_key(&t->entries[index], &wanted))
            return index;
    return TABLE_NONE;
}

/* A packet that was under way may have left a time that is a little later than `now`. */
static bool is_free(const struct xdp_entry *entry, uint32_t now)
{
    const uint32_t rested = now - entry->seen;

    return entry->state == XDP_FREE ||
           (entry->state == XDP_GONE && rested >= TABLE_REST && rested <= UINT32_MAX - TABLE_REST);
}

uint32_t table_insert(struct table *t, const struct table_key *key, const struct xdp_entry *entry,
                      uint32_t now)
{
    const struct raw_key wanted = raw(key);
    const uint32_t home = home_of(t, &wanted);
    uint32_t index = home;

    while (index < home + XDP_WINDOW && !is_free(&t->entries[index], now))
        index++;
    if (index == home + XDP_WINDOW)
        return TABLE_NONE;
    struct xdp_entry *at = &t->entries[index];
    memcpy(at->src, wanted.src, sizeof at->src);
    memcpy(at->dst, wanted.dst, sizeof at->dst);
    at->src_port = wanted.src_port;
    at->dst_port = wanted.dst_port;
    at->new_port = entry->new_port;
    at->seen = entry->seen;
    at->place = entry->place;
    at->source = entry->source;
    memcpy(at->spis, entry->spis, sizeof at->spis);
    __atomic_store_n(&at->state, entry->state, __ATOMIC_RELEASE);
    if (t->entries[home].reach < index - home)
        t->entries[home].reach = (__u8)(index - home);
    t->count++;
    return index;
}

/* How far the entries of a home slot reach now. */
static __u8 reach_of(const struct table *t, uint32_t home)
{
    __u8 reach = 0;

    for (uint32_t i = 1; i <= t->entries[home].reach; i++)
        if (table_is_used(t, home + i) && home_of_entry(t, &t->entries[home + i]) == home)
            reach = (__u8)i;
    return reach;
}

void table_remove(struct table *t, uint32_t index, uint32_t now)
{
    struct xdp_entry *at = &t->entries[index];
    const uint32_t home = home_of_entry(t, at);

    at->seen = now;
    __atomic_store_n(&at->state, XDP_GONE, __ATOMIC_RELEASE);
    t->entries[home].reach = reach_of(t, home);
    t->count--;
}
