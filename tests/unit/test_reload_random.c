#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "lb/pool_config.h"
#include "tests/unit/support.h"

/*
 * Random life with reloads: clients connect, talk, fall silent and come back, servers answer or not, time
 * passes; and again and again a configuration is applied that may be anything. What must hold is checked
 * after each reload.
 */

#define SERVICES_MAX 4
#define SERVERS      8
#define CLIENTS      24
#define MAX_CLIENTS  64 /* room for more pins than clients: each may be at several services */
#define STEPS        60000
#define CHECK_EVERY  50

struct life {
    struct support_net net;
    uint64_t random;
    uint32_t reloads;
    uint32_t refused;  /* of them, since services would have been joined or parted */
    uint32_t held;     /* pins and flows that a reload found */
    uint32_t removed;  /* backends that were removed with clients */
    uint32_t revived;  /* of them, before their end */
    uint32_t gone;     /* backends that were collected */
    uint32_t draining; /* packets that went to a removed backend */
};

static uint32_t below(struct life *life, uint32_t limit)
{
    return support_random_below(&life->random, limit);
}

/* Shuffled numbers below `count`. */
static void shuffle(struct life *life, uint8_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = below(life, i + 1);
        numbers[i] = numbers[at];
        numbers[at] = (uint8_t)i;
    }
}

static struct addr server(uint32_t number)
{
    return support_addr_v4(0x10000 + number);
}

static void make_backends(struct life *life, struct config_service *service)
{
    uint8_t names[SERVERS], servers[SERVERS];

    shuffle(life, names, SERVERS);
    shuffle(life, servers, SERVERS);
    service->backends = calloc(SERVERS, sizeof *service->backends);
    assert_non_null(service->backends);
    service->backend_count = 1 + below(life, SERVERS);
    for (size_t i = 0; i < service->backend_count; i++) {
        struct config_backend *backend = &service->backends[i];
        snprintf(backend->name, sizeof backend->name, "b%u", names[i]);
        backend->address = server(servers[i]);
        backend->weight = 1 + below(life, 5);
        backend->state = below(life, 3) ? CONFIG_STATE_ENABLED : (enum config_state)below(life, 3);
    }
}

/* Anything that the rules of the file allow, but with VIPs that mostly stay together. */
static struct config *make_config(struct life *life)
{
    struct config *config = calloc(1, sizeof *config);
    uint8_t names[SERVICES_MAX], vips[SERVICES_MAX], sixes[SERVICES_MAX];
    char six[ADDR_TEXT_MAX];

    shuffle(life, names, SERVICES_MAX);
    shuffle(life, vips, SERVICES_MAX);
    memcpy(sixes, vips, sizeof sixes);
    if (below(life, 20) == 0)
        shuffle(life, sixes, SERVICES_MAX);
    assert_non_null(config);
    config->services = calloc(SERVICES_MAX, sizeof *config->services);
    assert_non_null(config->services);
    config->service_count = 1 + below(life, SERVICES_MAX);
    for (size_t s = 0; s < config->service_count; s++) {
        struct config_service *service = &config->services[s];
        const uint32_t other = below(life, 20) ? vips[s] : (uint32_t)SERVICES_MAX + vips[s];
        snprintf(service->name, sizeof service->name, "s%u", names[s]);
        service->vips[service->vip_count++] = support_addr_v4(0x30000 + other);
        if (below(life, 4)) {
            snprintf(six, sizeof six, "2001:db8::%u", 1U + sixes[s]);
            service->vips[service->vip_count++] = support_addr(six);
        }
        service->mode =
            (vips[s] + (below(life, 20) == 0)) % 2 ? CONFIG_MODE_FULL_NAT : CONFIG_MODE_TRANSPARENT;
        service->schedule = (enum config_schedule)below(life, 4);
        service->persistence = (struct config_persistence){
            .idle_timeout_ms = 10000 + below(life, 50000),
            .half_open_timeout_ms = 1000 + below(life, 5000),
            .spread_nat = vips[s] > 1,
        };
        service->snats = calloc(1, sizeof *service->snats);
        assert_non_null(service->snats);
        service->snat_count = service->mode == CONFIG_MODE_FULL_NAT;
        service->snats[0] = support_addr_v4(0x40000 + below(life, 3));
        make_backends(life, service);
    }
    return config;
}

/* Where each pin and flow leads, by its index; POOL_NONE: there is none. */
struct bonds {
    uint16_t pins[MAX_CLIENTS];
    uint16_t flows[MAX_CLIENTS * BINDINGS_FLOWS_PER_CLIENT];
    uint32_t count;
};

static void find_bonds(struct bindings *b, struct bonds *bonds)
{
    uint32_t cursor = 0, budget = UINT32_MAX, index;

    memset(bonds, 0xff, sizeof *bonds);
    bonds->count = 0;
    for (; (index = pins_next(b->pins, &cursor, &budget)) != PIN_NONE; bonds->count++)
        bonds->pins[index] = pins_get(b->pins, index)->backend;
    for (cursor = 0, budget = UINT32_MAX; (index = flows_next(b->flows, &cursor, &budget)) != FLOW_NONE;
         bonds->count++)
        bonds->flows[index] = flows_get(b->flows, index)->backend;
}

/* Each backend of the configuration is there once, in its order, as the file says, and then come others. */
static void check_backends(const struct pool *pool, uint16_t s, const struct config_service *config)
{
    uint16_t index = pool->services[s].first_backend;

    for (size_t i = 0; i < config->backend_count; i++, index = pool->backends[index].next) {
        assert_int_not_equal(index, POOL_NONE);
        const struct backend *backend = &pool->backends[index];
        assert_true(backend->used && !backend->removed);
        assert_string_equal(backend->name, config->backends[i].name);
        assert_true(addr_equal(&backend->addr, &config->backends[i].address));
        assert_int_equal(backend->weight, config->backends[i].weight);
        assert_int_equal(backend->configured, config->backends[i].state);
    }
    for (; index != POOL_NONE; index = pool->backends[index].next)
        assert_true(pool->backends[index].used && pool->backends[index].removed);
}

static void check_services(const struct pool *pool, const struct config *config)
{
    uint16_t s = pool->first_service;

    for (size_t i = 0; i < config->service_count; i++, s = pool->services[s].next) {
        assert_int_not_equal(s, POOL_NONE);
        assert_true(pool->services[s].used && !pool->services[s].removed);
        assert_string_equal(pool->services[s].name, config->services[i].name);
        check_backends(pool, s, &config->services[i]);
    }
    for (; s != POOL_NONE; s = pool->services[s].next) {
        assert_true(pool->services[s].used && pool->services[s].removed);
        check_backends(pool, s, &(struct config_service){0});
    }
}

/* Whatever is in use is in a list, is found by its names, which nobody else has, and by its address. */
static void check_lists(const struct pool *pool)
{
    uint32_t listed = 0, used = 0;

    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        assert_int_equal(pool_find_service(pool, pool->services[s].name), s);
        for (uint16_t i = pool->services[s].first_backend; i != POOL_NONE; i = pool->backends[i].next) {
            const struct backend *backend = &pool->backends[i];
            assert_int_equal(backend->service, s);
            assert_int_equal(pool_find_backend(pool, s, backend->name), i);
            assert_int_equal(pool_find_server(pool, &backend->addr), backend->server);
            assert_true(pool->servers[backend->server].used);
            listed++;
        }
    }
    for (size_t i = 0; i < pool->backend_count; i++)
        used += pool->backends[i].used;
    assert_int_equal(listed, used);
}

/* What has gone, come back and goes on; for the figures, which show that the test reaches all of it. */
static void count_changes(struct life *life, const struct pool *before)
{
    const struct pool *pool = life->net.pool;

    for (size_t i = 0; i < before->backend_count; i++) {
        const struct backend *was = &before->backends[i], *is = &pool->backends[i];
        life->removed += was->used && !was->removed && is->removed && is->clients;
        life->revived += was->used && was->removed && !is->removed;
        if (was->used && !was->removed && !is->removed && was->configured == is->configured)
            assert_int_equal(was->state, is->state);
    }
}

static void step_reload(struct life *life)
{
    struct bindings *b = &life->net.dp.bindings;
    struct config *config = make_config(life);
    struct pool *before = pool_copy(life->net.pool);
    struct bonds bonds, after;

    find_bonds(b, &bonds);
    const int err = pool_config_apply(life->net.pool, config, NULL);
    life->reloads++;
    life->held += bonds.count;
    if (err) {
        assert_int_equal(err, ERR_EXISTS);
        assert_true(support_pools_alike(life->net.pool, before));
        life->refused++;
    } else {
        check_services(life->net.pool, config);
        count_changes(life, before);
        if (below(life, 10) == 0) /* the kernel has refused it */
            pool_restore(life->net.pool, before);
    }
    assert_int_equal(dataplane_refresh(&life->net.dp), 0);
    check_lists(life->net.pool);
    find_bonds(b, &after);
    assert_memory_equal(&bonds, &after, sizeof bonds);
    support_check_bindings(b);
    config_destroy(config);
    pool_destroy(before);
}

static void count_gone(void *ctx, uint16_t backend)
{
    struct life *life = ctx;

    assert_true(pool_is_left(&life->net.pool->backends[backend]));
    life->gone++;
}

static void step_collect(struct life *life)
{
    if (!pool_config_collect(life->net.pool, count_gone, life))
        return;
    assert_int_equal(dataplane_refresh(&life->net.dp), 0);
    check_lists(life->net.pool);
    support_check_bindings(&life->net.dp.bindings);
}

static const struct {
    enum support_kind asked;
    enum support_kind answered;
} talks[] = {
    {SUPPORT_INIT, SUPPORT_INIT_ANSWER},  {SUPPORT_INIT, SUPPORT_COOKIE},
    {SUPPORT_AUTH, SUPPORT_AUTH_ANSWER},  {SUPPORT_INFORMATIONAL, SUPPORT_INFORMATIONAL_ANSWER},
    {SUPPORT_V1_INIT, SUPPORT_V1_ANSWER}, {SUPPORT_V1_ENCRYPTED, SUPPORT_V1_ENCRYPTED},
    {SUPPORT_ESP, SUPPORT_ESP},           {SUPPORT_KEEPALIVE, SUPPORT_ESP},
};

static void step_packet(struct life *life)
{
    const struct pool *pool = life->net.pool;
    const uint32_t talk = below(life, sizeof talks / sizeof talks[0]);
    const enum ike_port port =
        below(life, 3) || talks[talk].asked == SUPPORT_ESP || talks[talk].asked == SUPPORT_KEEPALIVE
            ? IKE_PORT_4500
            : IKE_PORT_500;
    const struct endpoint client = {.addr = support_addr_v4(below(life, CLIENTS)),
                                    .port = (uint16_t)(4500 + below(life, 3))};
    uint16_t service = pool->first_service;

    for (uint32_t steps = below(life, SERVICES_MAX + 1); steps && pool->services[service].next != POOL_NONE;
         steps--)
        service = pool->services[service].next;
    life->net.handshake = below(life, 2);
    const struct verdict v = support_from_client(&life->net, service, client, port, talks[talk].asked);
    if (v.action != VERDICT_TO_BACKEND)
        return;
    assert_true(pool->backends[v.backend].used);
    assert_true(addr_equal(&v.dst.addr, &pool->backends[v.backend].addr));
    life->draining += pool->backends[v.backend].removed;
    if (below(life, 4) == 0)
        return;
    const struct verdict reply = support_reply(&life->net, &v, talks[talk].answered);
    if (reply.action == VERDICT_TO_CLIENT)
        assert_true(pool->services[reply.service].used);
}

/* A packet that nobody has asked for, be it of a server that is not there any more. */
static void step_stray(struct life *life)
{
    const struct endpoint to = {.addr = support_addr_v4(below(life, CLIENTS)),
                                .port = (uint16_t)(4500 + below(life, 3))};
    const enum support_kind kind = talks[below(life, sizeof talks / sizeof talks[0])].answered;
    const struct verdict v =
        support_from_backend(&life->net, server(below(life, SERVERS)), to, IKE_PORT_4500, kind);

    if (v.action == VERDICT_TO_CLIENT)
        assert_true(life->net.pool->backends[v.backend].used && life->net.pool->services[v.service].used);
}

static void step(struct life *life)
{
    const uint32_t dice = below(life, 1000);

    if (dice < 10)
        step_reload(life);
    else if (dice < 30)
        step_collect(life);
    else if (dice < 40)
        life->net.pool->backends[below(life, (uint32_t)life->net.pool->backend_count)].health =
            below(life, 4) ? HEALTH_UP : (enum health_state)below(life, 3);
    else if (dice < 45)
        pool_set_state(&life->net.pool->backends[below(life, (uint32_t)life->net.pool->backend_count)],
                       (enum config_state)below(life, 3));
    else if (dice < 47)
        life->net.now_ms += 5000 + below(life, 30000);
    else if (dice < 150)
        life->net.now_ms += below(life, 500);
    else if (dice < 250)
        dataplane_sweep(&life->net.dp, life->net.now_ms, 64 + below(life, 512));
    else if (dice < 300)
        step_stray(life);
    else
        step_packet(life);
}

static void test_random_reloads(void **state)
{
    struct life life = {.random = support_seed(), .net = {.pool = pool_create(), .now_ms = 1000000}};
    const struct dataplane_settings settings = {.max_clients = MAX_CLIENTS, .seed = 77};

    (void)state;
    assert_int_equal(dataplane_init(&life.net.dp, life.net.pool, &settings), 0);
    while (life.net.pool->backend_count == 0)
        step_reload(&life);
    for (int i = 0; i < STEPS; i++) {
        step(&life);
        if (i % CHECK_EVERY == 0)
            support_check_bindings(&life.net.dp.bindings);
    }
    print_message(
        "%u reloads, %u refused; %u pins and flows kept; %u backends with clients removed, %u revived, %u "
        "gone; %u packets to removed ones\n",
        life.reloads, life.refused, life.held, life.removed, life.revived, life.gone, life.draining);
    assert_true(life.refused && life.held && life.removed && life.revived && life.gone && life.draining);
    support_net_deinit(&life.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_reloads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
