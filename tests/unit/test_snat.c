#include "tests/unit/unit.h"

#include "base/err.h"
#include "lb/ports.h"
#include "lb/snat.h"
#include "tests/unit/support.h"

#define SERVERS 3

static void test_addresses(void **state)
{
    struct snat *snat = snat_create(SERVERS, 0);
    const struct addr v6 = support_addr("2001:db8::1");
    struct addr a = support_addr_v4(0);

    (void)state;
    assert_non_null(snat);
    assert_int_equal(snat_find(snat, &a), SNAT_NONE);
    for (uint32_t i = 0; i < SNAT_MAX - 1; i++) {
        a = support_addr_v4(i);
        assert_int_equal(snat_add(snat, &a), i);
    }
    assert_int_equal(snat_find(snat, &v6), SNAT_NONE);
    assert_int_equal(snat_add(snat, &v6), SNAT_MAX - 1);
    assert_int_equal(snat_count(snat), SNAT_MAX);
    for (uint32_t i = 0; i < SNAT_MAX - 1; i++) {
        a = support_addr_v4(i);
        assert_int_equal(snat_find(snat, &a), i);
        assert_int_equal(snat_add(snat, &a), i); /* again: the same */
        assert_true(addr_equal(snat_addr(snat, (uint16_t)i), &a));
    }
    a = support_addr_v4(SNAT_MAX);
    assert_int_equal(snat_find(snat, &a), SNAT_NONE);
    assert_int_equal(snat_add(snat, &a), SNAT_NONE);
    assert_int_equal(snat_count(snat), SNAT_MAX);
    snat_destroy(snat);
    snat_destroy(NULL);
}

/* All ports of one (address, server, port) may be gone while every other combination still has all. */
static void test_ports_are_apart(void **state)
{
    struct snat *snat = snat_create(SERVERS, 0x1234);
    uint16_t first[2][SERVERS][2];
    uint16_t port = 0;

    (void)state;
    assert_non_null(snat);
    for (uint32_t i = 0; i < 2; i++) {
        const struct addr a = support_addr_v4(i);
        assert_int_equal(snat_add(snat, &a), i);
    }
    for (uint32_t n = 0; n < PORTS_COUNT; n++)
        assert_int_equal(snat_take(snat, 1, 2, 1, &port), 0);
    assert_int_equal(snat_take(snat, 1, 2, 1, &port), ERR_FULL);
    for (uint16_t source = 0; source < 2; source++)
        for (uint16_t server = 0; server < SERVERS; server++)
            for (uint16_t at = 0; at < 2; at++)
                if (source != 1 || server != 2 || at != 1)
                    assert_int_equal(snat_take(snat, source, server, at, &first[source][server][at]), 0);
    snat_release(snat, 0, 2, 1, port);
    assert_int_equal(snat_take(snat, 1, 2, 1, &port), ERR_FULL);
    snat_release(snat, 1, 2, 1, 5555);
    assert_int_equal(snat_take(snat, 1, 2, 1, &port), 0);
    assert_int_equal(port, 5555);
    snat_destroy(snat);
}

/* A claimed port is not handed out again, and belongs to one source, server and port only. */
static void test_claims(void **state)
{
    struct snat *snat = snat_create(SERVERS, 0);
    uint16_t port = 0;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        const struct addr a = support_addr_v4(i);
        assert_int_equal(snat_add(snat, &a), i);
    }
    assert_int_equal(snat_claim(snat, 1, 2, 1, PORTS_FIRST), 0);
    assert_int_equal(snat_claim(snat, 1, 2, 1, PORTS_FIRST), ERR_EXISTS);
    assert_int_equal(snat_claim(snat, 1, 2, 1, 80), ERR_RANGE);
    assert_int_equal(snat_claim(snat, 0, 2, 1, PORTS_FIRST), 0);
    assert_int_equal(snat_claim(snat, 1, 1, 1, PORTS_FIRST), 0);
    assert_int_equal(snat_claim(snat, 1, 2, 0, PORTS_FIRST), 0);
    assert_int_equal(snat_take(snat, 1, 2, 1, &port), 0);
    assert_int_equal(port, PORTS_FIRST + 1);
    snat_destroy(snat);
}

/* A new start of the daemon does not begin with the ports that it used last. */
static void test_the_seed_says_where_ports_begin(void **state)
{
    uint16_t port = 0;

    (void)state;
    for (uint32_t seed = 0; seed < 3; seed++) {
        struct snat *snat = snat_create(1, seed * 1000);
        const struct addr a = support_addr_v4(1);
        assert_int_equal(snat_add(snat, &a), 0);
        assert_int_equal(snat_take(snat, 0, 0, 0, &port), 0);
        assert_int_equal(port, PORTS_FIRST + seed * 1000);
        snat_destroy(snat);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_ports_are_apart),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_the_seed_says_where_ports_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
