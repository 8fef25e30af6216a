#include "tests/unit/configured_pool.h"

#include "lb/settle.h"

/* The configuration of these services after the pool has taken it; to be destroyed. */
static struct config *settled(struct fixture *f, const struct support_service *services, size_t count)
{
    struct config *config = support_config(services, count);

    assert_int_equal(apply(f, services, count), 0);
    settle_config(f->pool, config);
    return config;
}

static void test_what_stays_is_written(void **state)
{
    struct support_service changed[] = {full, vpn}; /* the order changes as well */
    struct fixture f;

    (void)state;
    begin(&f);
    changed[0].mode = CONFIG_MODE_TRANSPARENT;
    changed[0].snats[0] = NULL;
    changed[1].mode = CONFIG_MODE_FULL_NAT;
    changed[1].snats[0] = "10.0.0.77";
    changed[1].spread_nat = true;
    changed[1].vips[0] = "203.0.113.99"; /* another, which waits for a restart ... */
    changed[1].idle_timeout_ms = 77;
    struct config *config = settled(&f, changed, 2);
    const struct config_service *nat = &config->services[0], *open = &config->services[1];

    assert_int_equal(nat->mode, CONFIG_MODE_FULL_NAT);
    assert_int_equal(nat->snat_count, 0);
    assert_int_equal(open->mode, CONFIG_MODE_TRANSPARENT);
    assert_int_equal(open->snat_count, 0);
    assert_false(open->persistence.spread_nat);
    assert_int_equal(open->vip_count, 2);
    assert_true(addr_equal(&open->vips[0], &f.pool->services[0].vips[0])); /* ... where this one goes on */
    assert_int_equal(open->persistence.idle_timeout_ms, 77);
    config_destroy(config);
    pool_destroy(f.pool);
}

/* One that the file has no more and that has clients yet is in the pool alone. */
static void test_removed_service(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    struct config *config = settled(&f, &full, 1);
    assert_int_equal(config->service_count, 1);
    assert_int_equal(config->services[0].mode, CONFIG_MODE_FULL_NAT);
    assert_int_equal(config->services[0].snat_count, 1);
    assert_true(addr_equal(&config->services[0].vips[0], &f.pool->services[1].vips[0]));
    config_destroy(config);
    pool_destroy(f.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_stays_is_written),
        cmocka_unit_test(test_removed_service),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
