#include "tests/unit/unit.h"

#include "lb/kernel.h"
#include "lb/nft.h"
#include "lb/pool_config.h"
#include "tests/unit/support.h"

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10", "2001:db8::10"},
     .backends = {{"one", "10.0.0.1", 0, CONFIG_STATE_ENABLED},
                  {"two", "10.0.0.2", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8::1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "also",
     .vips = {"203.0.113.11"},
     .backends = {{"uno", "10.0.0.2", 0, CONFIG_STATE_ENABLED},
                  {"due", "10.0.0.3", 0, CONFIG_STATE_ENABLED}}},
};

static const struct io_return_ports both = {.v4 = 1001, .v6 = 1002};

static void apply(struct pool *pool, const struct support_service *changed, size_t count)
{
    struct config *config = support_config(changed, count);

    assert_int_equal(pool_config_apply(pool, config, NULL), 0);
    config_destroy(config);
}

/* What is nothing to the kernel leaves it in peace. */
static void test_alike(void **state)
{
    struct support_service changed[] = {services[1], services[0]};
    struct pool *pool = support_pool(services, 2);
    const uint64_t before = nft_fingerprint(pool, both);

    (void)state;
    assert_true(before != 0);
    assert_true(kernel_fingerprint(pool, both) == before);
    changed[0].name = "renamed";
    changed[0].backends[0].name = "renamed";
    changed[0].schedule = CONFIG_SCHEDULE_ROUND_ROBIN;
    changed[0].idle_timeout_ms = 77;
    changed[1].backends[0] = services[0].backends[1];
    changed[1].backends[1] = services[0].backends[0];
    changed[1].backends[1].weight = 3;
    changed[1].backends[1].state = CONFIG_STATE_DRAIN;
    apply(pool, changed, 2);
    assert_true(nft_fingerprint(pool, both) == before);
    apply(pool, changed, 1); /* what is removed is there until it goes */
    assert_true(nft_fingerprint(pool, both) == before);
    pool_destroy(pool);
}

static void check_different(const struct support_service *changed, size_t count, struct io_return_ports ports)
{
    struct pool *pool = support_pool(services, 2), *other = support_pool(changed, count);

    assert_true(nft_fingerprint(pool, both) != nft_fingerprint(other, ports));
    pool_destroy(pool);
    pool_destroy(other);
}

static void test_different(void **state)
{
    struct support_service changed[] = {services[0], services[1]};

    (void)state;
    check_different(changed, 2, (struct io_return_ports){.v4 = 1001, .v6 = 1003});
    check_different(changed, 2, (struct io_return_ports){.v4 = 1001});
    check_different(changed, 1, both);
    changed[0].vips[1] = "2001:db8::11";
    check_different(changed, 2, both);
    changed[0] = services[0];
    changed[1].backends[0].address = "10.0.0.4";
    check_different(changed, 2, both);
    changed[1] = services[1];
    changed[1].mode = CONFIG_MODE_FULL_NAT;
    check_different(changed, 2, both);
}

/* A server that nobody has any more is not told of, nor is a VIP. */
static void test_gone(void **state)
{
    struct pool *pool = support_pool(services, 2), *small = support_pool(services, 1);

    (void)state;
    apply(pool, services, 1);
    assert_true(nft_fingerprint(pool, both) != nft_fingerprint(small, both));
    pool->services[1].used = false;
    pool->backends[3].used = pool->backends[4].used = false;
    pool_index_servers(pool);
    assert_true(nft_fingerprint(pool, both) == nft_fingerprint(small, both));
    pool_destroy(pool);
    pool_destroy(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alike),
        cmocka_unit_test(test_different),
        cmocka_unit_test(test_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
