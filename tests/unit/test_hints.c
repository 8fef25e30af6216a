#include "tests/unit/unit.h"

#include "lb/hints.h"
#include "tests/unit/support.h"

static struct hint_key key_of(uint32_t client, uint16_t port, uint16_t server, uint16_t ike_port)
{
    return (struct hint_key){
        .client = {.addr = support_addr_v4(client), .port = port}, .server = server, .port = ike_port};
}

static void test_the_latest_counts(void **state)
{
    struct hints *hints = hints_create(1);
    const struct hint_key key = key_of(1, 500, 3, 0);

    (void)state;
    assert_non_null(hints);
    assert_int_equal(hints_find(hints, &key), HINTS_NONE);
    hints_note(hints, &key, 0);
    assert_int_equal(hints_find(hints, &key), 0);
    hints_note(hints, &key, 7);
    assert_int_equal(hints_find(hints, &key), 7);
    hints_destroy(hints);
}

/* Every part of the key tells. */
static void test_others_are_not_meant(void **state)
{
    struct hints *hints = hints_create(1);
    const struct hint_key noted = key_of(1, 500, 3, 0);
    const struct hint_key others[] = {key_of(2, 500, 3, 0), key_of(1, 501, 3, 0), key_of(1, 500, 4, 0),
                                      key_of(1, 500, 3, 1)};

    (void)state;
    hints_note(hints, &noted, 5);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(hints_find(hints, &others[i]), HINTS_NONE);
    hints_destroy(hints);
}

/* Full, it forgets, but never tells one client's backend for another's. */
static void test_many_clients(void **state)
{
    struct hints *hints = hints_create(1);
    uint32_t remembered = 0;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        const struct hint_key key = key_of(i, 500, 3, 0);
        hints_note(hints, &key, (uint16_t)(i % 1000));
    }
    for (uint32_t i = 0; i < 200000; i++) {
        const struct hint_key key = key_of(i, 500, 3, 0);
        const uint16_t found = hints_find(hints, &key);
        assert_true(found == HINTS_NONE || found == i % 1000);
        remembered += found != HINTS_NONE;
    }
    assert_in_range(remembered, 50000, 65536);
    hints_destroy(hints);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_latest_counts),
        cmocka_unit_test(test_others_are_not_meant),
        cmocka_unit_test(test_many_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
