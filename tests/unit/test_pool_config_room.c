#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "tests/unit/configured_pool.h"

/* What was removed has its place until it is collected, and whether there is one for what comes. */

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
        cmocka_unit_test(test_room_for_backends),           cmocka_unit_test(test_room_for_services),
        cmocka_unit_test(test_collected_at_the_end),        cmocka_unit_test(test_server_indices_stay),
        cmocka_unit_test(test_indices_are_used_again_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
