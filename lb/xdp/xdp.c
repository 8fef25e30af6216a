#include "lb/xdp/xdp.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "lb/xdp/adoption.h"
#include "lb/xdp/devices.h"
#include "lb/xdp/links.h"
#include "lb/xdp/maps.h"
#include "lb/xdp/places.h"
#include "lb/xdp/routing.h"
#include "lb/xdp/table.h"
#include "lb/xdp/traffic.h"

#define TICKS_A_REVIEW 10

struct xdp {
    struct maps maps;
    const struct log *log;
    enum config_fastpath wanted;
    struct bindings *b; /* once started */
    struct fastpath fastpath;
    struct table table;
    struct places places;
    struct traffic_counts traffic;
    struct links *links;
    struct routing routing;
    struct devices *devices;
    uint64_t now_ms;      /* as of the last xdp_tick() */
    uint32_t now;         /* the same in ticks */
    unsigned turn;        /* of xdp_tick() */
    uint64_t unforwarded; /* packets that passed up because forwarding is off, when last looked at */
    char trouble[MAPS_TROUBLE_MAX];
};

static uint32_t ticks(uint64_t now_ms)
{
    return (uint32_t)((now_ms * 1000000) >> XDP_TICK_SHIFT);
}

static void add_spi(struct xdp_entry *entry, uint32_t spi)
{
    int oldest = 0;

    for (int i = 0; i < XDP_SPIS_MAX; i++) {
        if (entry->spis[i] == spi)
            return;
        if (entry->spis[i] == 0) {
            __atomic_store_n(&entry->spis[i], spi, __ATOMIC_RELAXED);
            return;
        }
    }
    /* All are in use: the first one goes, the others move up. */
    for (; oldest < XDP_SPIS_MAX - 1; oldest++)
        __atomic_store_n(&entry->spis[oldest], entry->spis[oldest + 1], __ATOMIC_RELAXED);
    __atomic_store_n(&entry->spis[oldest], spi, __ATOMIC_RELAXED);
}

static void remove_key(struct xdp *x, const struct table_key *key)
{
    const uint32_t index = table_find(&x->table, key);

    if (index != TABLE_NONE)
        table_remove(&x->table, index, x->now);
}

static void leave(void *ctx, const struct fastpath_binding *binding)
{
    const struct table_key in = table_key_in(binding);
    const struct table_key out = table_key_out(binding);

    remove_key(ctx, &in);
    remove_key(ctx, &out);
}

/* Another SPI of a flow that has its entries. */
static bool enter_again(struct xdp *x, uint32_t in, uint32_t out, const struct fastpath_binding *binding)
{
    add_spi(&x->table.entries[in], binding->spi);
    __atomic_store_n(&x->table.entries[out].is_asked, 0, __ATOMIC_RELAXED);
    return true;
}

static bool enter(void *ctx, const struct fastpath_binding *binding)
{
    struct xdp *x = ctx;
    const struct table_key in_key = table_key_in(binding);
    const struct table_key out_key = table_key_out(binding);
    const uint32_t in = table_find(&x->table, &in_key);
    const uint32_t out = table_find(&x->table, &out_key);
    const uint16_t place = places_of_backend(&x->places, binding->backend);

    if (in != TABLE_NONE && out != TABLE_NONE)
        return enter_again(x, in, out, binding);
    leave(x, binding); /* one of them, left over by whatever went wrong: both are made anew */
    struct xdp_entry entry = {
        .state = XDP_OUT, .new_port = htons(binding->client.port), .seen = x->now, .place = place};
    table_put_addr(entry.client, &binding->client.addr);
    const uint32_t made = table_insert(&x->table, &out_key, &entry, x->now);
    if (made == TABLE_NONE)
        return false;
    entry = (struct xdp_entry){
        .state = XDP_IN,
        .new_port = htons(binding->source.port),
        .seen = x->now,
        .place = place,
        .source = places_of_source(&x->places, binding->source_index),
        .spis = {binding->spi},
    };
    if (table_insert(&x->table, &in_key, &entry, x->now) != TABLE_NONE)
        return true;
    table_remove(&x->table, made, x->now);
    return false;
}

static void ask(void *ctx, const struct fastpath_binding *binding)
{
    struct xdp *x = ctx;
    const struct table_key key = table_key_out(binding);
    const uint32_t index = table_find(&x->table, &key);

    if (index != TABLE_NONE)
        __atomic_store_n(&x->table.entries[index].is_asked, 1, __ATOMIC_RELAXED);
}

static bool ages(void *ctx, const struct fastpath_binding *binding, uint64_t now_ms,
                 struct fastpath_ages *out)
{
    const struct xdp *x = ctx;
    const struct table_key in_key = table_key_in(binding);
    const struct table_key out_key = table_key_out(binding);
    const uint32_t in = table_find(&x->table, &in_key);
    const uint32_t back = table_find(&x->table, &out_key);
    const uint32_t now = ticks(now_ms);

    if (in == TABLE_NONE || back == TABLE_NONE)
        return false;
    *out = (struct fastpath_ages){.client_ms = table_age_ms(&x->table.entries[in], now),
                                  .backend_ms = table_age_ms(&x->table.entries[back], now)};
    return true;
}

static void refresh(void *ctx)
{
    struct xdp *x = ctx;

    places_refresh(&x->places, x->b);
    routing_changed(&x->routing, false);
}

static void report(void *ctx, struct fastpath_report *out)
{
    static const char *const reasons[] = {
#define REASON(name, label) [XDP_PASS_##name] = (label),
        XDP_PASS_LIST(REASON)
#undef REASON
    };
    struct xdp *x = ctx;
    _Static_assert(XDP_PASS_COUNT <= FASTPATH_REASONS_MAX, "all reasons fit");

    traffic_collect(&x->traffic, x->b->pool, x->now_ms);
    *out = (struct fastpath_report){
        .mode = devices_mode(x->devices),
        .entries = x->table.count,
        .capacity = x->table.slots,
        .reason_count = XDP_PASS_COUNT,
    };
    out->interfaces = devices_list(x->devices, &out->interface_count);
    for (uint32_t i = 0; i < XDP_PASS_COUNT; i++) {
        out->reasons[i] = reasons[i];
        out->passed_total[i] = traffic_passed(&x->traffic, i);
    }
}

static void warn_of_hidden(struct xdp *x, const struct log *log)
{
    char name[IF_NAMESIZE];

    if (!x->maps.hidden || !if_indextoname(x->maps.hidden, name))
        return;
    snprintf(x->trouble, sizeof x->trouble, "there is an unknown XDP program on %s: see the log", name);
    log_warn(
        log,
        "fast path: there is an XDP program on %s, and without CAP_SYS_ADMIN it cannot be told whose. If "
        "an ikelb that root had started has left it, it still forwards as that one had decided: "
        "`ip link set dev %s xdp off`, and the same on the other interfaces, removes it",
        name, name);
}

int xdp_load(const struct config *config, const struct log *log, struct xdp **out)
{
    struct xdp *x = calloc(1, sizeof *x);

    if (!x)
        return -ENOMEM;
    x->wanted = config->fastpath;
    maps_find_left(&x->maps);
    warn_of_hidden(x, log);
    if (x->wanted != CONFIG_FASTPATH_OFF && maps_load(&x->maps, 2 * config->max_clients, x->trouble) != 0)
        log_warn(log, "fast path: %s", x->trouble);
    *out = x;
    return 0;
}

static int start(struct xdp *x, uint64_t now_ms)
{
    static const struct fastpath_ops ops = {
        .enter = enter, .leave = leave, .ask = ask, .ages = ages, .refresh = refresh, .report = report};
    const struct xdp_about about = *x->maps.about;
    int err = routing_open(&x->routing, x->b);

    if (!err)
        err = links_open(&x->links);
    if (!err)
        err = devices_create(&x->maps, x->links, x->wanted, x->log, &x->devices);
    if (!err)
        err = traffic_init(&x->traffic, &x->maps);
    if (err)
        return err;
    x->now_ms = now_ms;
    x->now = ticks(now_ms);
    const struct adoption_time now = {.ms = now_ms, .ticks = x->now};
    x->table = (struct table){.entries = x->maps.entries, .slots = about.slots, .seed = about.seed};
    x->places = (struct places){.places = x->maps.places,
                                .sources = x->maps.sources,
                                .run = x->maps.adopted ? (about.run + 1) % XDP_RUNS : 0};
    x->fastpath = (struct fastpath){.ops = &ops, .ctx = x};
    x->b->fastpath = &x->fastpath;
    routing_ask_all(&x->routing, &x->places);
    if (x->maps.adopted)
        err = adoption_run(&x->table, &x->places, x->maps.about, x->b, &now, x->log);
    else
        places_refresh(&x->places, x->b);
    return err;
}

void xdp_start(struct xdp *x, struct bindings *b, const struct log *log, uint64_t now_ms)
{
    int err = 0;

    x->b = b;
    x->log = log;
    if (x->maps.skeleton) {
        err = start(x, now_ms);
        if (err) {
            snprintf(x->trouble, sizeof x->trouble, "cannot start: %s", err_text(err));
            log_warn(x->log, "fast path: %s; packets take the slow path", x->trouble);
        }
    }
    if (!x->maps.skeleton || err) {
        b->fastpath = NULL;
        b->fastpath_trouble = x->trouble[0] ? x->trouble : NULL;
        devices_clean(&x->maps, x->log);
        devices_destroy(x->devices, false);
        x->devices = NULL;
        return;
    }
    xdp_tick(x, now_ms);
}

/* A usual mistake in full NAT, which needs no forwarding elsewhere. */
static void review(struct xdp *x)
{
    const uint64_t unforwarded = traffic_passed(&x->traffic, XDP_PASS_FORWARDING);

    if (unforwarded && !x->unforwarded)
        log_warn(x->log,
                 "fast path: IP forwarding is off on an interface where clients or backends send; their "
                 "packets take the slow path (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding)");
    x->unforwarded = unforwarded;
}

void xdp_tick(struct xdp *x, uint64_t now_ms)
{
    if (!x->devices)
        return;
    x->now_ms = now_ms;
    x->now = ticks(now_ms);
    __atomic_store_n(&x->maps.about->alive, x->now, __ATOMIC_RELAXED);
    const unsigned changes = links_changes(x->links);
    devices_refresh(x->devices, changes & LINKS_DEVICES);
    if (changes)
        routing_changed(&x->routing, changes & LINKS_RULES);
    routing_tick(&x->routing, &x->places, x->maps.about);
    places_refresh(&x->places, x->b);
    traffic_collect(&x->traffic, x->b->pool, now_ms);
    if (x->turn++ % TICKS_A_REVIEW == 0)
        review(x);
}

void xdp_destroy(struct xdp *x, bool leave)
{
    if (!x)
        return;
    if (x->b) {
        x->b->fastpath = NULL;
        x->b->fastpath_trouble = NULL;
    }
    devices_destroy(x->devices, leave);
    links_close(x->links);
    routing_close(&x->routing);
    traffic_deinit(&x->traffic);
    maps_unload(&x->maps);
    free(x);
}
