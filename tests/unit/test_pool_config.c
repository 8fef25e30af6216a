#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "tests/unit/configured_pool.h"

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
