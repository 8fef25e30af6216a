#include "tests/unit/xdp_world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lb/xdp/ways.h"
#include "tests/unit/netns.h"
#include "tests/unit/support.h"
#include "tests/unit/unit.h"

#define ENTRIES       256
#define BACKEND       3 /* whichever */
#define SOURCE        2
#define PLACE_OF(way) (XDP_PLACES_A_RUN + BACKEND + (way)) /* of the second run */

static const char *const names[WORLD_DEVICES] = {"ikelb-c", "ikelb-b", "ikelb-t", "ikelb-t7", "ikelb-t8"};

/* A veth takes what is sent to it natively only if its peer polls. */
static const char *const polling[] = {"ikelb-cp", "ikelb-bp", "ikelb-tp"};

static const char set_up_commands[] =
    "link set lo up\n"
    "link add ikelb-c address 02:00:00:00:00:01 mtu 9000 type veth peer name ikelb-cp mtu 9000\n"
    "link add ikelb-b address 02:00:00:00:00:02 type veth peer name ikelb-bp\n"
    "link add ikelb-t address 02:00:00:00:00:03 type veth peer name ikelb-tp\n"
    "link add ikelb-t7 address 02:00:00:00:00:03 type veth peer name ikelb-t7p\n"
    "link add ikelb-t8 address 02:00:00:00:00:03 type veth peer name ikelb-t8p\n"
    "link set ikelb-cp up\n"
    "link set ikelb-bp up\n"
    "link set ikelb-tp up\n"
    "link set ikelb-t7p up\n"
    "link set ikelb-t8p up\n"
    "link set ikelb-c up\n"
    "link set ikelb-b up\n"
    "link set ikelb-t up\n"
    "link set ikelb-t7 up\n"
    "link set ikelb-t8 up\n"
    "addr add 198.51.100.254/24 dev ikelb-c\n"
    "addr add 2001:db8:c::fe/64 dev ikelb-c nodad\n"
    "addr add 10.1.0.254/24 dev ikelb-b\n"
    "addr add 2001:db8:1::fe/64 dev ikelb-b nodad\n"
    "addr add 10.7.0.254/24 dev ikelb-t7\n"
    "addr add 2001:db8:7::fe/64 dev ikelb-t7 nodad\n"
    "addr add 10.8.0.254/24 dev ikelb-t8\n"
    "addr add 2001:db8:8::fe/64 dev ikelb-t8 nodad\n";

static const struct {
    enum world_device device;
    const char *v4, *v6;
} networks[] = {
    {WORLD_CLIENTS, "198.51.100.", "2001:db8:c::"},
    {WORLD_SERVERS, "10.1.0.", "2001:db8:1::"},
    {WORLD_VLAN_7, "10.7.0.", "2001:db8:7::"},
    {WORLD_VLAN_8, "10.8.0.", "2001:db8:8::"},
};

static const struct world_way all_ways[WORLD_WAYS] = {
    {.name = "IPv4 in", .client = "198.51.100.1", .vip = "203.0.113.10", .server = "10.1.0.1"},
    {.name = "IPv4 out",
     .is_out = true,
     .client = "198.51.100.1",
     .vip = "203.0.113.10",
     .server = "10.1.0.1"},
    {.name = "IPv6 in", .client = "2001:db8:c::1", .vip = "2001:db8::10", .server = "2001:db8:1::1"},
    {.name = "IPv6 out",
     .is_out = true,
     .client = "2001:db8:c::1",
     .vip = "2001:db8::10",
     .server = "2001:db8:1::1"},
    {.name = "full NAT, IPv4 in",
     .client = "198.51.100.2",
     .vip = "203.0.113.11",
     .source = "10.1.0.254",
     .server = "10.1.0.2"},
    {.name = "full NAT, IPv4 out",
     .is_out = true,
     .client = "198.51.100.2",
     .vip = "203.0.113.11",
     .source = "10.1.0.254",
     .server = "10.1.0.2"},
    {.name = "full NAT, IPv6 in",
     .client = "2001:db8:c::2",
     .vip = "2001:db8::11",
     .source = "2001:db8:1::fe",
     .server = "2001:db8:1::2"},
    {.name = "full NAT, IPv6 out",
     .is_out = true,
     .client = "2001:db8:c::2",
     .vip = "2001:db8::11",
     .source = "2001:db8:1::fe",
     .server = "2001:db8:1::2"},
};

void world_set_forwarding(const char *device, bool on)
{
    char path[128];

    snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/forwarding", device);
    netns_write_file(path, on ? "1" : "0");
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/forwarding", device);
    netns_write_file(path, on ? "1" : "0");
}

uint32_t world_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint32_t)(((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) >> XDP_TICK_SHIFT);
}

static void add_neighbours(void)
{
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        for (int host = 1; host <= WORLD_HOSTS; host++) {
            char line[256];
            snprintf(line, sizeof line,
                     "neigh replace %s%d lladdr 02:00:00:00:01:%02x dev %s nud permanent\n"
                     "neigh replace %s%d lladdr 02:00:00:00:01:%02x dev %s nud permanent\n",
                     networks[i].v4, host, host, names[networks[i].device], networks[i].v6, host, host,
                     names[networks[i].device]);
            netns_ip_batch(line);
        }
}

static void look_at_devices(struct world *w)
{
    for (int i = 0; i < WORLD_DEVICES; i++) {
        w->ifindex[i] = if_nametoindex(names[i]);
        assert_int_not_equal(w->ifindex[i], 0);
        w->mac[i][0] = 2;
        w->mac[i][5] = i == WORLD_CLIENTS ? 1 : i == WORLD_SERVERS ? 2 : 3;
    }
}

static void make_ways(struct world *w)
{
    for (int i = 0; i < WORLD_WAYS; i++) {
        struct world_way *way = &w->ways[i];
        *way = all_ways[i];
        way->binding = (struct fastpath_binding){
            .client = support_endpoint(way->client, 40000),
            .vip = support_endpoint(way->vip, 4500),
            .source =
                way->source ? support_endpoint(way->source, 2000) : support_endpoint(way->client, 40000),
            .server = support_endpoint(way->server, 4500),
            .source_index = way->source ? XDP_SOURCES_A_RUN + SOURCE : XDP_SOURCE_CLIENT,
            .spi = WORLD_SPI,
        };
    }
}

int world_set_up(void **state)
{
    char trouble[MAPS_TROUBLE_MAX] = "";
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    *state = NULL;
    const int err = netns_enter() ? maps_load(&w->maps, ENTRIES, trouble) : -EPERM;
    if (err == -EPERM) {
        free(w);
        return 0;
    }
    if (err)
        print_message("%s\n", trouble);
    assert_int_equal(err, 0); /* or the verifier does not take the program, which is no reason to skip */
    netns_ip_batch(set_up_commands);
    add_neighbours();
    for (size_t i = 0; i < sizeof polling / sizeof polling[0]; i++)
        netns_set_gro(polling[i], true);
    world_set_forwarding("all", true);
    look_at_devices(w);
    make_ways(w);
    assert_int_equal(traffic_init(&w->traffic, &w->maps), 0);
    w->table =
        (struct table){.entries = w->maps.entries, .slots = w->maps.slots, .seed = w->maps.about->seed};
    *state = w;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    traffic_deinit(&w->traffic);
    maps_unload(&w->maps);
    free(w);
    return 0;
}

struct world *world_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

void world_put_exit(const struct world *w, uint32_t ifindex, struct xdp_exit exit)
{
    const struct xdp_exit_slot slot = {.ifindex = ifindex, .exit = exit};

    assert_true(ways_put_exit(w->maps.exits, &slot));
}

void world_put_port(const struct world_case *c, uint32_t ifindex, uint32_t vlan)
{
    const struct xdp_port_slot slot = {.key = {.ifindex = ifindex, .vlan = vlan}, .port = c->port};

    assert_true(ways_put_port(c->world->maps.ports, &slot));
}

static void put_exit(const struct world *w, enum world_device to, enum world_device by, uint16_t vlan)
{
    world_put_exit(w, w->ifindex[to],
                   (struct xdp_exit){.ifindex = w->ifindex[by], .vlan = vlan, .takes_parts = 1});
}

void world_reset(struct world *w)
{
    memset(w->maps.entries, 0, (w->maps.slots + TABLE_TAIL) * sizeof *w->maps.entries);
    memset(w->maps.places, 0, XDP_RUNS * XDP_PLACES_A_RUN * sizeof *w->maps.places);
    memset(w->maps.sources, 0, XDP_RUNS * XDP_SOURCES_A_RUN * sizeof *w->maps.sources);
    w->table.count = 0;
    w->maps.about->alive = world_now();
    memset(w->maps.ports, 0, XDP_WAYS * sizeof *w->maps.ports);
    memset(w->maps.exits, 0, XDP_WAYS * sizeof *w->maps.exits);
    put_exit(w, WORLD_CLIENTS, WORLD_CLIENTS, 0);
    put_exit(w, WORLD_SERVERS, WORLD_SERVERS, 0);
    put_exit(w, WORLD_VLAN_7, WORLD_TRUNK, 7);
    put_exit(w, WORLD_VLAN_8, WORLD_TRUNK, 8);
}

/* As lb/xdp/xdp.c enters it. */
static void enter(struct world_case *c)
{
    const struct fastpath_binding *b = &c->way->binding;
    const uint16_t place = (uint16_t)PLACE_OF(c->way - c->world->ways);
    const struct table_key key = c->way->is_out ? table_key_out(b) : table_key_in(b);
    struct xdp_entry entry = {.state = c->way->is_out ? XDP_OUT : XDP_IN,
                              .new_port = htons(c->way->is_out ? b->client.port : b->source.port),
                              .seen = world_now() - 100,
                              .place = place};

    if (c->way->is_out) {
        table_put_addr(entry.client, &b->client.addr);
    } else {
        entry.source = b->source_index;
        entry.spis[0] = b->spi;
    }
    const uint32_t index = table_insert(&c->world->table, &key, &entry, 0);
    assert_int_not_equal(index, TABLE_NONE);
    c->entry = &c->world->table.entries[index];
    c->place = &c->world->maps.places[place];
    *c->place =
        (struct xdp_place){.ifindex = c->world->ifindex[WORLD_SERVERS], .is_open = 1, .idle = WORLD_IDLE};
    table_put_addr(c->place->server, &b->server.addr);
    table_put_addr(c->place->vip, &b->vip.addr);
    table_put_addr(c->world->maps.sources[XDP_SOURCES_A_RUN + SOURCE].addr, &b->source.addr);
}

static void fill_frames(struct world_case *c)
{
    const struct fastpath_binding *b = &c->way->binding;
    const bool is_out = c->way->is_out;
    struct world *w = c->world;

    c->in = (struct frame){.src = is_out ? b->server : b->client,
                           .dst = is_out ? b->source : b->vip,
                           .src_mac = {2, 0, 0, 0, 9, 9},
                           .ttl = 64,
                           .tos = 0xb9,
                           .id = 0x1234,
                           .fragment = 0x4000, /* DF */
                           .flow = 0x54321};
    memcpy(c->in.dst_mac, w->mac[is_out ? WORLD_SERVERS : WORLD_CLIENTS], 6);
    frame_put_esp(&c->in, WORLD_SPI, 100);
    c->out = c->in;
    c->out.src = is_out ? b->vip : b->source;
    c->out.dst = is_out ? b->client : b->server;
    c->out.ttl = 63;
    memcpy(c->out.src_mac, w->mac[is_out ? WORLD_CLIENTS : WORLD_SERVERS], 6);
    memcpy(c->out.dst_mac, (const uint8_t[6]){2, 0, 0, 0, 1, c->out.dst.addr.bytes[15]}, 6);
}

void world_begin(struct world *w, const struct world_way *way, struct world_case *c)
{
    const enum world_device from = way->is_out ? WORLD_SERVERS : WORLD_CLIENTS;

    world_reset(w);
    c->world = w;
    c->way = way;
    c->ingress = w->ifindex[from];
    c->port = (struct xdp_port){.ifindex = c->ingress};
    memcpy(c->port.mac, w->mac[from], 6);
    world_put_port(c, c->ingress, 0);
    enter(c);
    fill_frames(c);
}

void world_move(struct world_case *c)
{
    const struct table_key key = {.src = c->in.src, .dst = c->in.dst};
    const struct xdp_entry entry = *c->entry;

    table_remove(&c->world->table, (uint32_t)(c->entry - c->world->table.entries), 0);
    const uint32_t index = table_insert(&c->world->table, &key, &entry, TABLE_REST);
    assert_int_not_equal(index, TABLE_NONE);
    c->entry = &c->world->table.entries[index];
    if (!c->way->is_out && !c->way->source)
        c->out.src = c->in.src;
}

/* What the program has counted so far. */
struct counted {
    struct xdp_count carried[2]; /* of the case's backend */
    struct xdp_count others;     /* of all else */
    uint64_t passed[XDP_PASS_COUNT];
};

static struct counted count(const struct world_case *c)
{
    const struct maps *maps = &c->world->maps;
    const uint32_t backend = (uint32_t)(c->place - maps->places) % XDP_PLACES_A_RUN;
    struct counted counted = {0};

    for (uint32_t i = 0; i < maps->cpus * XDP_PLACES_A_RUN * 2; i++) {
        const bool is_ours = i / 2 % XDP_PLACES_A_RUN == backend;
        struct xdp_count *sum = is_ours ? &counted.carried[i % 2] : &counted.others;
        sum->packets += maps->counts[i].packets;
        sum->bytes += maps->counts[i].bytes;
    }
    for (uint32_t reason = 0; reason < XDP_PASS_COUNT; reason++)
        counted.passed[reason] = traffic_passed(&c->world->traffic, reason);
    return counted;
}

static uint32_t run(const struct world_case *c, const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
    struct xdp_md ctx = {.data_end = (uint32_t)len, .ingress_ifindex = c->ingress};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = (uint32_t)len, .data_out = out,
                .data_size_out = FRAME_MAX, .ctx_in = &ctx, .ctx_size_in = sizeof ctx);

    assert_int_equal(bpf_prog_test_run_opts(c->world->maps.program_fd, &options), 0);
    *out_len = options.data_size_out;
    return options.retval;
}

static void check_counts(const struct world_case *c, const struct counted *before, int fate, const char *what)
{
    const struct counted after = count(c);
    const bool forwarded = fate == WORLD_FORWARDED;
    const int direction = c->way->is_out;

    for (int i = 0; i < 2; i++) {
        const uint64_t more = i == direction && forwarded;
        if (after.carried[i].packets - before->carried[i].packets != more ||
            after.carried[i].bytes - before->carried[i].bytes != more * c->in.payload_len)
            fail_msg("%s, %s: counted as carried otherwise", c->way->name, what);
    }
    assert_memory_equal(&after.others, &before->others, sizeof after.others);
    for (int reason = 0; reason < XDP_PASS_COUNT; reason++)
        if (after.passed[reason] - before->passed[reason] != (uint64_t)(reason == fate))
            fail_msg("%s, %s: passed up for reason %d, expected %d", c->way->name, what, reason, fate);
}

static void check_same(const struct world_case *c, const uint8_t *have, size_t have_len, const uint8_t *want,
                       size_t want_len, const char *what)
{
    size_t i = 0;

    while (i < have_len && i < want_len && have[i] == want[i])
        i++;
    if (have_len != want_len || i < want_len)
        fail_msg("%s, %s: %zu bytes instead of %zu, or another byte %zu", c->way->name, what, have_len,
                 want_len, i);
}

void world_check_bytes(struct world_case *c, const uint8_t *bytes, size_t len, int fate, const char *what)
{
    static uint8_t have[FRAME_MAX], want[FRAME_MAX];
    const struct counted before = count(c);
    const struct xdp_entry entry = *c->entry;
    const uint32_t start = world_now();
    size_t have_len = 0;
    const uint32_t action = run(c, bytes, len, have, &have_len);

    if (action != (fate == WORLD_FORWARDED ? XDP_REDIRECT : XDP_PASS))
        fail_msg("%s, %s: the program says %u", c->way->name, what, action);
    check_counts(c, &before, fate, what);
    if (fate == WORLD_FORWARDED) {
        const size_t want_len = frame_write(&c->out, want);
        check_same(c, have, have_len, want, want_len, what);
        assert_in_range(c->entry->seen - start, 0, world_now() - start);
    } else {
        check_same(c, have, have_len, bytes, len, what);
        assert_memory_equal(c->entry, &entry, sizeof entry);
    }
}

void world_check(struct world_case *c, int fate, const char *what)
{
    static uint8_t bytes[FRAME_MAX];
    const size_t len = frame_write(&c->in, bytes);

    world_check_bytes(c, bytes, len, fate, what);
}

void world_send(struct world_case *c)
{
    static uint8_t bytes[FRAME_MAX];
    const size_t len = frame_write(&c->in, bytes);
    struct xdp_md ctx = {.data_end = (uint32_t)len, .ingress_ifindex = c->ingress};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = bytes, .data_size_in = (uint32_t)len, .ctx_in = &ctx,
                .ctx_size_in = sizeof ctx, .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

    assert_int_equal(bpf_prog_test_run_opts(c->world->maps.program_fd, &options), 0);
}
