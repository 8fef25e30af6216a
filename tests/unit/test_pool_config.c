#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "lb/pool_config.h"
#include "tests/unit/support.h"

#define VPN                                                                                                  \
    {                                                                                                        \
        "203.0.113.10", "2001:db8::10"                                                                       \
    }
#define FULL                                                                                                 \
    {                                                                                                        \
        "203.0.113.11"                                                                                       \
    }

static const struct support_service vpn = {
    .name = "vpn",
    .vips = VPN,
    .backends = {{"one", "10.0.0.1", 50, CONFIG_STATE_ENABLED}, {"two", "10.0.0.2", 0, CONFIG_STATE_ENABLED}},
};
static const struct support_service full = {
    .name = "full",
    .vips = FULL,
    .mode = CONFIG_MODE_FULL_NAT,
    .snats = {"10.0.0.200"},
    .backends = {{"uno", "10.0.0.2", 0, CONFIG_STATE_ENABLED}},
};

/* A pool with the two services, and what it has noted since. */
struct fixture {
    struct pool *pool;
    size_t notes;
    char last[256];
    uint16_t gone[8];
    size_t gone_count;
};

static void begin(struct fixture *f)
{
    const struct support_service services[] = {vpn, full};

    *f = (struct fixture){.pool = support_pool(services, 2)};
}

static void hear(void *ctx, const char *text)
{
    struct fixture *f = ctx;

    snprintf(f->last, sizeof f->last, "%s", text);
    f->notes++;
}

static int apply(struct fixture *f, const struct support_service *services, size_t count)
{
    const struct pool_config_notes notes = {.note = hear, .ctx = f};
    struct config *config = support_config(services, count);

    f->notes = 0;
    const int err = pool_config_apply(f->pool, config, &notes);
    config_destroy(config);
    return err;
}

static void hear_gone(void *ctx, uint16_t backend)
{
    struct fixture *f = ctx;

    assert_true(f->gone_count < sizeof f->gone / sizeof f->gone[0]);
    assert_true(f->pool->backends[backend].used); /* yet: its names can be told */
    f->gone[f->gone_count++] = backend;
}

static bool collect(struct fixture *f)
{
    f->gone_count = 0;
    return pool_config_collect(f->pool, hear_gone, f);
}

/* "vpn: one two; full: uno (due)": the lists in their order, what is removed in brackets. */
static const char *listed(const struct pool *pool, char text[static 512])
{
    size_t len = 0;

    text[0] = '\0';
    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const struct service *service = &pool->services[s];
        assert_true(service->used);
        len += (size_t)snprintf(text + len, 512 - len,
                                service->removed ? "%s(%s):" : "%s%s:", len ? "; " : "", service->name);
        for (uint16_t i = service->first_backend; i != POOL_NONE; i = pool->backends[i].next) {
            const struct backend *backend = &pool->backends[i];
            assert_true(backend->used && backend->service == s);
            assert_int_equal(pool_find_server(pool, &backend->addr), backend->server);
            assert_true(addr_equal(&pool->servers[backend->server].addr, &backend->addr));
            len += (size_t)snprintf(text + len, 512 - len, backend->removed ? " (%s)" : " %s", backend->name);
        }
    }
    return text;
}

static void check_listed(const struct pool *pool, const char *wanted)
{
    char text[512];

    assert_string_equal(listed(pool, text), wanted);
}

static uint16_t backend_at(const struct fixture *f, const char *service, const char *name)
{
    const uint16_t s = pool_find_service(f->pool, service);

    assert_int_not_equal(s, POOL_NONE);
    const uint16_t i = pool_find_backend(f->pool, s, name);
    assert_int_not_equal(i, POOL_NONE);
    return i;
}

static void test_the_same_again_changes_nothing(void **state)
{
    const struct support_service services[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    f.pool->backends[0].clients = 3;
    f.pool->backends[1].round_robin = -50;
    struct pool *before = pool_copy(f.pool);
    assert_int_equal(apply(&f, services, 2), 0);
    assert_int_equal(f.notes, 0);
    assert_true(support_pools_alike(f.pool, before));
    assert_false(collect(&f));
    assert_true(support_pools_alike(f.pool, before));
    pool_destroy(before);
    pool_destroy(f.pool);
}

/* Names, order and all values may change: what tells is the VIP, and the address in its service. */
static void test_known_by_vip_and_address(void **state)
{
    const struct support_service renamed[] = {
        {.name = "vpn", /* the names have been exchanged */
         .vips = FULL,
         .mode = CONFIG_MODE_FULL_NAT,
         .snats = {"10.0.0.201", "10.0.0.202"},
         .backends = {{"eins", "10.0.0.2", 7, CONFIG_STATE_DRAIN}}},
        {.name = "full",
         .vips = VPN,
         .schedule = CONFIG_SCHEDULE_LEAST_CLIENTS,
         .idle_timeout_ms = 1234,
         .half_open_timeout_ms = 56,
         .backends = {{"one", "10.0.0.2", 0, CONFIG_STATE_ENABLED},
                      {"new", "10.0.0.3", 0, CONFIG_STATE_DISABLED},
                      {"two", "10.0.0.1", 9, CONFIG_STATE_ENABLED}}},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    f.pool->backends[0].clients = 3;
    const uint64_t seed_of_one = f.pool->backends[0].seed;
    assert_int_equal(apply(&f, renamed, 2), 0);
    assert_int_equal(f.notes, 0);
    check_listed(f.pool, "vpn: eins; full: one new two");
    const struct pool *p = f.pool;
    assert_string_equal(p->services[0].name, "full");
    assert_int_equal(p->services[0].schedule, CONFIG_SCHEDULE_LEAST_CLIENTS);
    assert_int_equal(p->services[0].persistence.idle_timeout_ms, 1234);
    assert_int_equal(p->services[0].persistence.half_open_timeout_ms, 56);
    assert_int_equal(p->services[1].snat_count, 2);
    assert_string_equal(p->backends[0].name, "two");
    assert_int_equal(p->backends[0].weight, 9);
    assert_int_equal(p->backends[0].clients, 3);
    assert_string_equal(p->backends[1].name, "one");
    assert_true(p->backends[1].seed == seed_of_one); /* it goes with the name, as on every other node */
    assert_string_equal(p->backends[2].name, "eins");
    assert_int_equal(p->backends[2].state, CONFIG_STATE_DRAIN);
    assert_int_equal(p->backends[3].health, HEALTH_UNKNOWN);
    assert_int_equal(p->backends[3].state, CONFIG_STATE_DISABLED);
    assert_int_equal(p->backends[3].source, POOL_NONE);
    pool_destroy(f.pool);
}

/* One VIP of two is enough, be it the other's family that is new. */
static void test_known_by_one_vip(void **state)
{
    struct support_service changed[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    changed[1].vips[1] = "2001:db8::11";
    changed[0].vips[0] = "2001:db8::10";
    changed[0].vips[1] = NULL;
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_int_equal(f.notes, 1);
    assert_string_equal(f.last,
                        "services.vpn.vip: the VIP that is not in the file any more goes only at a restart");
    check_listed(f.pool, "vpn: one two; full: uno");
    assert_int_equal(f.pool->services[0].vip_count, 2);
    assert_int_equal(f.pool->services[1].vip_count, 2); /* that one is served from now on */
    changed[0].vips[0] = "2001:db8::10";
    changed[0].vips[1] = "203.0.113.77";
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_int_equal(f.notes, 1);
    assert_string_equal(f.last,
                        "services.vpn.vip: 203.0.113.77 takes the place of the other VIP only at a restart");
    const struct addr kept = support_addr("203.0.113.10");
    assert_int_not_equal(pool_find_vip(f.pool, &kept), POOL_NONE);
    pool_destroy(f.pool);
}

/* With no VIP of the service that runs it is another one, whatever its name. */
static void test_another_vip_is_another_service(void **state)
{
    struct support_service changed[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    changed[0].vips[0] = "203.0.113.77";
    changed[0].vips[1] = NULL;
    assert_int_equal(apply(&f, changed, 2), 0);
    check_listed(f.pool, "vpn: one two; full: uno; (vpn@203.0.113.10): (one) (two)");
    const uint16_t fresh = backend_at(&f, "vpn", "one"), old = backend_at(&f, "vpn@203.0.113.10", "one");
    assert_int_equal(f.pool->backends[fresh].server, f.pool->backends[old].server);
    assert_int_equal(old, 0);
    changed[0].vips[0] = "203.0.113.10"; /* back again: now the younger one is in the way of the name */
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_int_equal(f.notes, 1);
    check_listed(f.pool, "vpn: one two; full: uno; (vpn@203.0.113.77): (one) (two)");
    assert_int_equal(backend_at(&f, "vpn", "one"), 0);
    pool_destroy(f.pool);
}

static void test_removed_and_revived(void **state)
{
    struct support_service changed[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    f.pool->backends[0].clients = 1;
    changed[0].backends[0].address = "10.0.0.9"; /* the name is another's now */
    assert_int_equal(apply(&f, changed, 2), 0);
    check_listed(f.pool, "vpn: one two (one@10.0.0.1); full: uno");
    assert_int_equal(pool_fitness(&f.pool->backends[0]), 0);
    assert_true(pool_is_draining(&f.pool->backends[0]));
    assert_false(pool_is_lost(&f.pool->backends[0]));
    changed[0].backends[0].name = "ten";
    assert_int_equal(apply(&f, changed, 2), 0);
    check_listed(f.pool, "vpn: ten two (one@10.0.0.1); full: uno");
    changed[0].backends[2] = (struct support_backend){"eleven", "10.0.0.1", 3, CONFIG_STATE_ENABLED};
    assert_int_equal(apply(&f, changed, 2), 0);
    check_listed(f.pool, "vpn: ten two eleven; full: uno");
    assert_int_equal(f.pool->backends[0].clients, 1);
    assert_int_equal(f.pool->backends[0].weight, 3);
    assert_int_equal(pool_fitness(&f.pool->backends[0]), 4);
    pool_destroy(f.pool);
}

/* Removed ones keep their names as long as nobody else needs them, also beside each other. */
static void test_names_stay_unique(void **state)
{
    struct support_service changed[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    changed[0].backends[0].name = "gone";
    changed[0].backends[1].name = "also";
    assert_int_equal(apply(&f, changed, 2), 0);
    changed[0].backends[0] = (struct support_backend){"gone", "10.0.0.3", 0, CONFIG_STATE_ENABLED};
    changed[0].backends[1].name = NULL;
    assert_int_equal(apply(&f, changed, 2), 0);
    check_listed(f.pool, "vpn: gone (gone@10.0.0.1) (also); full: uno");
    changed[0].backends[0] = (struct support_backend){"gone", "10.0.0.4", 0, CONFIG_STATE_ENABLED};
    assert_int_equal(apply(&f, changed, 2), 0);
    check_listed(f.pool, "vpn: gone (gone@10.0.0.1) (also) (gone@10.0.0.3); full: uno");
    changed[0].backends[0] = (struct support_backend){"other", "10.0.0.5", 0, CONFIG_STATE_ENABLED};
    assert_int_equal(apply(&f, changed, 2), 0);
    check_listed(f.pool, "vpn: other (gone@10.0.0.1) (also) (gone@10.0.0.3) (gone); full: uno");
    pool_destroy(f.pool);
}

/* The longest names and addresses have room. */
static void test_longest_names(void **state)
{
    static char longest[CONFIG_NAME_MAX];
    struct support_service changed[] = {vpn};
    char wanted[POOL_NAME_MAX];
    struct fixture f;

    (void)state;
    memset(longest, 'n', sizeof longest - 1);
    f = (struct fixture){.pool = pool_create()};
    changed[0].name = longest;
    changed[0].vips[0] = "2001:db8:1111:2222:3333:4444:5555:6666";
    changed[0].vips[1] = NULL;
    changed[0].backends[0] =
        (struct support_backend){longest, "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 0, CONFIG_STATE_ENABLED};
    assert_int_equal(apply(&f, changed, 1), 0);
    changed[0].vips[0] = "2001:db8:1111:2222:3333:4444:5555:7777";
    assert_int_equal(apply(&f, changed, 1), 0);
    changed[0].backends[0].address = "2001:db8::1";
    assert_int_equal(apply(&f, changed, 1), 0);
    snprintf(wanted, sizeof wanted, "%s@2001:db8:1111:2222:3333:4444:5555:6666", longest);
    assert_int_not_equal(pool_find_service(f.pool, wanted), POOL_NONE);
    snprintf(wanted, sizeof wanted, "%s@2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", longest);
    (void)backend_at(&f, longest, wanted);
    pool_destroy(f.pool);
}

/* Neither of two equals gets a thousand clients one after the other, only because both had more weight. */
static void test_other_weights_begin_turns_anew(void **state)
{
    struct support_service changed[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    f.pool->backends[0].round_robin = 1000;
    f.pool->backends[1].round_robin = -1000;
    f.pool->backends[2].round_robin = 5;
    changed[0].backends[0].weight = changed[0].backends[1].weight = 1;
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_int_equal(f.pool->backends[0].round_robin, 0);
    assert_int_equal(f.pool->backends[1].round_robin, 0);
    assert_int_equal(f.pool->backends[2].round_robin, 5); /* the other service's go on */
    pool_destroy(f.pool);
}

struct state_case {
    enum config_state file;     /* at first */
    enum config_state operator; /* what is said then */
    enum config_state reloaded; /* in the changed file */
    enum config_state wanted;
};

/* An operator's word holds until the file says something else than before. */
static const struct state_case state_cases[] = {
    {CONFIG_STATE_ENABLED, CONFIG_STATE_DRAIN, CONFIG_STATE_ENABLED, CONFIG_STATE_DRAIN},
    {CONFIG_STATE_ENABLED, CONFIG_STATE_DRAIN, CONFIG_STATE_DISABLED, CONFIG_STATE_DISABLED},
    {CONFIG_STATE_DRAIN, CONFIG_STATE_ENABLED, CONFIG_STATE_DRAIN, CONFIG_STATE_ENABLED},
    {CONFIG_STATE_DRAIN, CONFIG_STATE_ENABLED, CONFIG_STATE_ENABLED, CONFIG_STATE_ENABLED},
    {CONFIG_STATE_DISABLED, CONFIG_STATE_DRAIN, CONFIG_STATE_ENABLED, CONFIG_STATE_ENABLED},
    {CONFIG_STATE_DISABLED, CONFIG_STATE_ENABLED, CONFIG_STATE_DRAIN, CONFIG_STATE_DRAIN},
};

static void test_state_of_operator_and_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof state_cases / sizeof state_cases[0]; i++) {
        const struct state_case *t = &state_cases[i];
        struct support_service changed[] = {vpn, full};
        struct fixture f = {.pool = pool_create()};
        struct backend *backend = &f.pool->backends[0];
        changed[0].backends[0].state = t->file;
        assert_int_equal(apply(&f, changed, 2), 0);
        assert_int_equal(backend->state, t->file);
        pool_set_state(backend, t->operator);
        changed[0].backends[0].state = t->reloaded;
        assert_int_equal(apply(&f, changed, 2), 0);
        assert_int_equal(backend->state, t->wanted);
        assert_int_equal(apply(&f, changed, 2), 0); /* once more */
        assert_int_equal(backend->state, t->wanted);

        pool_set_state(backend, CONFIG_STATE_DRAIN); /* not remembered of one that comes back */
        assert_int_equal(apply(&f, &changed[1], 1), 0);
        assert_int_equal(apply(&f, changed, 2), 0);
        assert_int_equal(backend->state, t->reloaded);
        pool_destroy(f.pool);
    }
}

static void test_what_stays_is_noted(void **state)
{
    struct support_service changed[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    changed[0].mode = CONFIG_MODE_FULL_NAT;
    changed[0].snats[0] = "10.0.0.77";
    changed[0].idle_timeout_ms = 77;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(apply(&f, changed, 2), 0);
        assert_int_equal(f.notes, 1);
        assert_string_equal(f.last, "services.vpn.mode: it stays transparent until a restart");
        assert_int_equal(f.pool->services[0].mode, CONFIG_MODE_TRANSPARENT);
        assert_int_equal(f.pool->services[0].snat_count, 0);
        assert_int_equal(f.pool->services[0].persistence.idle_timeout_ms, 77); /* the rest is applied */
    }
    changed[0] = vpn;
    changed[0].spread_nat = true;
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_int_equal(f.notes, 1);
    assert_int_equal(strncmp(f.last, "services.vpn.persistence.spread_nat: it stays ", 46), 0);
    assert_false(f.pool->services[0].persistence.spread_nat);
    changed[0] = vpn;
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_int_equal(f.notes, 0);
    changed[1].mode = CONFIG_MODE_TRANSPARENT;
    changed[1].snats[0] = NULL;
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_string_equal(f.last, "services.full.mode: it stays full-nat until a restart");
    assert_int_equal(f.pool->services[1].snat_count, 0); /* the route's address then */
    pool_destroy(f.pool);
}

/* Nothing is changed, and somebody is told. */
static void check_refused(struct fixture *f, const struct support_service *services, size_t count, int err,
                          const char *words)
{
    struct pool *before = pool_copy(f->pool);

    assert_int_equal(apply(f, services, count), err);
    assert_int_equal(f->notes, 1);
    if (!strstr(f->last, words))
        fail_msg("\"%s\" does not say \"%s\"", f->last, words);
    assert_true(support_pools_alike(f->pool, before));
    pool_destroy(before);
}

static void test_services_neither_join_nor_part(void **state)
{
    struct support_service joined = vpn, parted[2] = {vpn, vpn}, extra[3] = {vpn, full, full};
    struct fixture f;

    (void)state;
    begin(&f);
    joined.vips[0] = full.vips[0];
    check_refused(&f, &joined, 1, ERR_EXISTS, "services.vpn.vip: this VIP is of service full as it runs;");
    parted[0].vips[1] = NULL;
    parted[1].name = "six";
    parted[1].vips[0] = vpn.vips[1];
    parted[1].vips[1] = NULL;
    check_refused(&f, parted, 2, ERR_EXISTS, "services.six.vip: this VIP is of service vpn as it runs;");
    extra[0].name = "first"; /* one that is new has been given an index by then */
    extra[0].vips[0] = "203.0.113.50";
    extra[0].vips[1] = NULL;
    extra[1] = parted[0];
    extra[2] = parted[1];
    check_refused(&f, extra, 3, ERR_EXISTS, "six");
    assert_int_equal(apply(&f, &full, 1), 0); /* nor when they are only waiting for their end */
    check_refused(&f, &joined, 1, ERR_EXISTS, "as it runs");
    pool_destroy(f.pool);
}

/* As many backends as a file may have, all of one service. */
static int apply_crowd(struct fixture *f, const char *vip, uint32_t first)
{
    struct config_service service = {.name = "crowd", .vips = {support_addr(vip)}, .vip_count = 1};
    const struct config config = {.services = &service, .service_count = 1};
    const struct pool_config_notes notes = {.note = hear, .ctx = f};

    f->notes = 0;
    service.backends = calloc(CONFIG_BACKENDS_MAX, sizeof *service.backends);
    assert_non_null(service.backends);
    for (; service.backend_count < CONFIG_BACKENDS_MAX; service.backend_count++) {
        struct config_backend *backend = &service.backends[service.backend_count];
        snprintf(backend->name, sizeof backend->name, "c%zu", service.backend_count);
        backend->address = support_addr_v4(first + (uint32_t)service.backend_count);
        backend->weight = 1;
    }
    const int err = pool_config_apply(f->pool, &config, &notes);
    free(service.backends);
    return err;
}

/* Twice as many fit, but no more; and again when the first have gone. */
static void test_room_for_backends(void **state)
{
    struct fixture f = {.pool = pool_create()};

    (void)state;
    assert_int_equal(apply_crowd(&f, "203.0.113.10", 0x10000), 0);
    for (size_t i = 0; i < f.pool->backend_count; i++)
        f.pool->backends[i].clients = 1;
    assert_int_equal(apply_crowd(&f, "203.0.113.10", 0x20000), 0);
    assert_int_equal(f.pool->backend_count, POOL_BACKENDS_MAX);
    assert_int_equal(f.pool->server_count, POOL_BACKENDS_MAX);
    struct pool *before = pool_copy(f.pool);
    assert_int_equal(apply_crowd(&f, "203.0.113.10", 0x30000), ERR_FULL);
    assert_true(support_pools_alike(f.pool, before));
    assert_int_equal(f.notes, 1);
    assert_non_null(strstr(f.last, "services.crowd.backends.c0: no room for it"));
    assert_int_equal(apply_crowd(&f, "203.0.113.10", 0x20000), 0); /* what is there needs none */
    f.pool->backends[5].clients = 0;
    assert_true(collect(&f));
    assert_int_equal(f.gone_count, 1);
    assert_int_equal(apply_crowd(&f, "203.0.113.10", 0x20001), 0);
    assert_true(f.pool->backends[5].used);
    const struct addr last = support_addr_v4(0x20000 + CONFIG_BACKENDS_MAX);
    assert_true(addr_equal(&f.pool->backends[5].addr, &last));
    pool_destroy(before);
    pool_destroy(f.pool);
}

static int apply_services(struct fixture *f, uint32_t first)
{
    static struct config_service services[CONFIG_SERVICES_MAX];
    const struct config config = {.services = services, .service_count = CONFIG_SERVICES_MAX};
    const struct pool_config_notes notes = {.note = hear, .ctx = f};
    struct config_backend backend = {.name = "b", .weight = 1, .address = support_addr("10.0.0.1")};

    f->notes = 0;
    for (uint32_t s = 0; s < CONFIG_SERVICES_MAX; s++) {
        services[s] = (struct config_service){
            .vips = {support_addr_v4(first + s)}, .vip_count = 1, .backends = &backend, .backend_count = 1};
        snprintf(services[s].name, sizeof services[s].name, "s%u", s);
    }
    return pool_config_apply(f->pool, &config, &notes);
}

static void test_room_for_services(void **state)
{
    struct fixture f = {.pool = pool_create()};

    (void)state;
    assert_int_equal(apply_services(&f, 0x10000), 0);
    for (size_t i = 0; i < f.pool->backend_count; i++)
        f.pool->backends[i].flows = 1;
    assert_int_equal(apply_services(&f, 0x20000), 0);
    assert_int_equal(f.pool->service_count, POOL_SERVICES_MAX);
    assert_int_equal(f.pool->server_count, 1); /* of all 512 backends */
    struct pool *before = pool_copy(f.pool);
    assert_int_equal(apply_services(&f, 0x30000), ERR_FULL);
    assert_true(support_pools_alike(f.pool, before));
    assert_string_equal(f.last, "services.s0: no room for it beside the removed services that have clients "
                                "yet; wait until they have gone, or restart");
    pool_destroy(before);
    pool_destroy(f.pool);
}

/* What is removed goes when nothing refers to it any more, be it a pin, a flow or a session. */
static void test_collected_at_the_end(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    struct backend *one = &f.pool->backends[0], *two = &f.pool->backends[1];
    one->clients = one->flows = one->sessions = 1;
    two->flows = 1;
    assert_int_equal(apply(&f, &full, 1), 0);
    check_listed(f.pool, "full: uno; (vpn): (one) (two)");
    assert_false(collect(&f));
    one->clients = 0;
    assert_false(collect(&f));
    one->flows = 0;
    assert_true(pool_is_left(one));
    assert_false(collect(&f));
    one->sessions = 0;
    assert_true(collect(&f));
    assert_int_equal(f.gone_count, 1);
    assert_int_equal(f.gone[0], 0);
    check_listed(f.pool, "full: uno; (vpn): (two)");
    const struct addr addr = support_addr("10.0.0.1");
    assert_int_equal(pool_find_server(f.pool, &addr), POOL_NONE);
    assert_false(one->used);
    two->flows = 0;
    assert_true(collect(&f));
    check_listed(f.pool, "full: uno");
    assert_false(f.pool->services[0].used);
    assert_false(collect(&f));
    pool_destroy(f.pool);
}

/* In use, however many come and go. */
static void test_server_indices_stay(void **state)
{
    struct support_service changed[] = {vpn, full};
    struct fixture f;

    (void)state;
    begin(&f);
    const uint16_t shared = f.pool->backends[1].server;
    assert_int_equal(f.pool->backends[2].server, shared);
    changed[0].backends[0].address = "10.0.0.3";
    changed[0].backends[1].address = "10.0.0.4"; /* the shared one is the other service's alone */
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_true(collect(&f));
    assert_int_equal(f.pool->backends[2].server, shared);
    changed[0].backends[2] = (struct support_backend){"back", "10.0.0.2", 0, CONFIG_STATE_ENABLED};
    assert_int_equal(apply(&f, changed, 2), 0);
    assert_int_equal(f.pool->backends[backend_at(&f, "vpn", "back")].server, shared);
    check_listed(f.pool, "vpn: one two back; full: uno");
    pool_destroy(f.pool);
}

/* The journal, and whoever reads it, still finds the right name at an index that became free. */
static void test_indices_are_used_again_late(void **state)
{
    static char address[POOL_BACKENDS_MAX][ADDR_TEXT_MAX], vip[POOL_SERVICES_MAX][ADDR_TEXT_MAX];
    struct support_service changed = full;
    struct fixture f = {.pool = pool_create()};

    (void)state;
    for (int i = 0; i < POOL_BACKENDS_MAX; i++) {
        snprintf(address[i], sizeof address[i], "10.2.%d.%d", i / 256, i % 256);
        changed.backends[0].address = address[i];
        assert_int_equal(apply(&f, &changed, 1), 0);
        assert_int_equal(backend_at(&f, "full", "uno"), i);
        assert_int_equal(collect(&f), i > 0);
    }
    for (int i = 1; i < POOL_SERVICES_MAX; i++) {
        snprintf(vip[i], sizeof vip[i], "10.3.%d.%d", i / 256, i % 256);
        changed.vips[0] = vip[i];
        assert_int_equal(apply(&f, &changed, 1), 0);
        assert_int_equal(pool_find_service(f.pool, "full"), i);
        assert_true(collect(&f));
    }
    changed.vips[0] = "10.4.0.1";
    assert_int_equal(apply(&f, &changed, 1), 0);
    assert_int_equal(pool_find_service(f.pool, "full"), 0); /* all others have had their turn */
    pool_destroy(f.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_again_changes_nothing),
        cmocka_unit_test(test_known_by_vip_and_address),
        cmocka_unit_test(test_known_by_one_vip),
        cmocka_unit_test(test_another_vip_is_another_service),
        cmocka_unit_test(test_removed_and_revived),
        cmocka_unit_test(test_names_stay_unique),
        cmocka_unit_test(test_longest_names),
        cmocka_unit_test(test_other_weights_begin_turns_anew),
        cmocka_unit_test(test_state_of_operator_and_file),
        cmocka_unit_test(test_what_stays_is_noted),
        cmocka_unit_test(test_services_neither_join_nor_part),
        cmocka_unit_test(test_room_for_backends),
        cmocka_unit_test(test_room_for_services),
        cmocka_unit_test(test_collected_at_the_end),
        cmocka_unit_test(test_server_indices_stay),
        cmocka_unit_test(test_indices_are_used_again_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
