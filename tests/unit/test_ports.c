#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/err.h"
#include "lb/ports.h"
#include "tests/unit/support.h"

#define SPAN (PORTS_LAST - PORTS_FIRST + 1)

static void test_each_port_once(void **state)
{
    static const uint32_t starts[] = {0,        1,    63,         64,        PORTS_RESERVED - PORTS_FIRST,
                                      SPAN - 1, SPAN, 0xdeadbeef, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct ports *ports = ports_create(starts[i]);
        bool *seen = calloc(65536, sizeof *seen);
        uint16_t port = 0;
        assert_true(ports && seen);
        uint32_t expected = PORTS_FIRST + starts[i] % SPAN;
        for (uint32_t n = 0; n < PORTS_COUNT; n++) {
            if (expected == PORTS_RESERVED)
                expected++;
            assert_int_equal(ports_taken(ports), n);
            assert_int_equal(ports_take(ports, &port), 0);
            assert_int_equal(port, expected);
            expected = expected == PORTS_LAST ? PORTS_FIRST : expected + 1;
            assert_false(seen[port]);
            seen[port] = true;
        }
        assert_int_equal(ports_take(ports, &port), ERR_FULL);
        assert_int_equal(ports_taken(ports), PORTS_COUNT);
        ports_destroy(ports);
        free(seen);
    }
}

/* A port that was given back comes again only after all others that are free. */
static void test_a_released_port_rests(void **state)
{
    struct ports *ports = ports_create(100);
    uint16_t first = 0, port = 0;

    (void)state;
    assert_non_null(ports);
    assert_int_equal(ports_take(ports, &first), 0);
    ports_release(ports, first);
    for (uint32_t n = 1; n < PORTS_COUNT; n++) {
        assert_int_equal(ports_take(ports, &port), 0);
        assert_int_not_equal(port, first);
    }
    assert_int_equal(ports_take(ports, &port), 0);
    assert_int_equal(port, first);
    ports_destroy(ports);
}

/* A given port, each of them once; the rotation goes on around what was claimed. */
static void test_claims(void **state)
{
    static const uint16_t never[] = {0, 1, PORTS_FIRST - 1, PORTS_RESERVED, PORTS_LAST + 1, UINT16_MAX};
    struct ports *ports = ports_create(0);
    uint16_t port = 0;

    (void)state;
    assert_non_null(ports);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        assert_int_equal(ports_claim(ports, never[i]), ERR_RANGE);
    assert_int_equal(ports_claim(ports, PORTS_FIRST + 1), 0);
    assert_int_equal(ports_claim(ports, PORTS_FIRST + 1), ERR_EXISTS);
    assert_int_equal(ports_claim(ports, PORTS_LAST), 0);
    assert_int_equal(ports_taken(ports), 2);
    assert_int_equal(ports_take(ports, &port), 0);
    assert_int_equal(port, PORTS_FIRST);
    assert_int_equal(ports_claim(ports, port), ERR_EXISTS);
    assert_int_equal(ports_take(ports, &port), 0);
    assert_int_equal(port, PORTS_FIRST + 2);
    ports_release(ports, PORTS_LAST);
    assert_int_equal(ports_claim(ports, PORTS_LAST), 0);
    for (uint32_t n = 4; n < PORTS_COUNT; n++)
        assert_int_equal(ports_take(ports, &port), 0);
    assert_int_equal(ports_take(ports, &port), ERR_FULL);
    ports_destroy(ports);
}

static void test_release_of_what_is_not_taken(void **state)
{
    static const uint16_t strangers[] = {0, 500, 1023, PORTS_FIRST + 5, PORTS_LAST, PORTS_LAST + 1, 65535};
    struct ports *ports = ports_create(0);
    uint16_t port = 0;

    (void)state;
    assert_non_null(ports);
    assert_int_equal(ports_take(ports, &port), 0);
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        ports_release(ports, strangers[i]);
    assert_int_equal(ports_taken(ports), 1);
    ports_release(ports, port);
    ports_release(ports, port);
    assert_int_equal(ports_taken(ports), 0);
    ports_destroy(ports);
    ports_destroy(NULL);
}

/* Nearly full and then nearly empty, against a plain array. */
static void test_random(void **state)
{
    uint64_t random = support_seed();
    struct ports *ports = ports_create((uint32_t)support_random(&random));
    uint16_t *held = calloc(PORTS_COUNT, sizeof *held);
    bool *taken = calloc(65536, sizeof *taken);
    uint32_t count = 0;

    (void)state;
    assert_true(ports && held && taken);
    for (int step = 0; step < 300000; step++) {
        const bool grow = support_random_below(&random, 100) < (step / 100000 == 1 ? 20U : 80U);
        if (grow) {
            uint16_t port = 0;
            const int err = ports_take(ports, &port);
            assert_int_equal(err, count == PORTS_COUNT ? ERR_FULL : 0);
            if (err)
                continue;
            assert_in_range(port, PORTS_FIRST, PORTS_LAST);
            assert_false(taken[port]);
            taken[port] = true;
            held[count++] = port;
        } else if (count) {
            const uint32_t at = support_random_below(&random, count);
            ports_release(ports, held[at]);
            taken[held[at]] = false;
            held[at] = held[--count];
        }
        assert_int_equal(ports_taken(ports), count);
    }
    ports_destroy(ports);
    free(held);
    free(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_port_once), cmocka_unit_test(test_a_released_port_rests),
        cmocka_unit_test(test_claims),         cmocka_unit_test(test_release_of_what_is_not_taken),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
