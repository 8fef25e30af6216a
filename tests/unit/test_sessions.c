#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/err.h"
#include "tests/unit/some_sessions.h"

static int try_insert(struct sessions *s, uint32_t pin, uint8_t spi_i, bool confirmed, uint32_t *index)
{
    const struct story story = story_of(spi_i, 0);

    return sessions_insert(s, pin, &story, confirmed, index);
}

static uint32_t insert(struct sessions *s, uint32_t pin, uint8_t spi_i, bool confirmed)
{
    uint32_t index = SESSION_NONE;

    assert_int_equal(try_insert(s, pin, spi_i, confirmed, &index), 0);
    return index;
}

static void test_creation(void **state)
{
    (void)state;
    assert_null(sessions_create(0, 0, 8, 1));
    assert_null(sessions_create(8, 4, 0, 1));
    struct sessions *s = sessions_create(1000, 250, 100, 1);
    assert_non_null(s);
    assert_int_equal(sessions_capacity(s), 1000);
    assert_int_equal(sessions_count(s), 0);
    assert_int_equal(sessions_unconfirmed_count(s), 0);
    assert_int_equal(sessions_oldest_unconfirmed(s), SESSION_NONE);
    assert_int_equal(sessions_of_pin(s, 99), SESSION_NONE);
    sessions_destroy(s);
    sessions_destroy(NULL);
}

static void test_a_fresh_session(void **state)
{
    struct sessions *s = sessions_create(8, 4, 8, 1);
    const struct story story = story_of(1, 2);
    uint32_t index = SESSION_NONE;

    (void)state;
    assert_int_equal(sessions_insert(s, 7, &story, false, &index), 0);
    const struct session *session = sessions_get(s, index);
    assert_memory_equal(&session->story, &story, sizeof story);
    assert_int_equal(session->pin, 7);
    assert_int_equal(session->next_id, 0);
    assert_int_equal(session->moves_left, SESSION_MOVES_MAX);
    assert_false(session->confirmed);
    assert_int_equal(sessions_count(s), 1);
    assert_int_equal(sessions_unconfirmed_count(s), 1);
    assert_int_equal(sessions_oldest_unconfirmed(s), index);
    sessions_confirm(s, index);
    assert_true(session->confirmed);
    assert_int_equal(sessions_unconfirmed_count(s), 0);
    sessions_destroy(s);
}

static void test_found_by_the_full_pair(void **state)
{
    struct sessions *s = sessions_create(8, 8, 8, 1);
    const struct story story = story_of(1, 2);
    uint32_t index = SESSION_NONE;

    (void)state;
    assert_int_equal(find(s, SERVICE, 1, 2), SESSION_NONE);
    assert_int_equal(sessions_insert(s, 0, &story, false, &index), 0);
    assert_int_equal(find(s, SERVICE, 1, 2), index);
    assert_int_equal(find(s, SERVICE + 1, 1, 2), SESSION_NONE);
    assert_int_equal(find(s, SERVICE, 2, 2), SESSION_NONE);
    assert_int_equal(find(s, SERVICE, 1, 3), SESSION_NONE);
    assert_int_equal(find(s, SERVICE, 2, 1), SESSION_NONE);
    assert_int_equal(find(s, SERVICE, 1, 0), SESSION_NONE);

    /* Without the server's SPI it is not found, until that is known. */
    const uint32_t begun = insert(s, 0, 4, false);
    assert_int_equal(find(s, SERVICE, 4, 0), SESSION_NONE);
    sessions_get(s, begun)->story.spi_r = spi(5);
    assert_int_equal(find(s, SERVICE, 4, 5), begun);

    sessions_remove(s, index);
    assert_int_equal(find(s, SERVICE, 1, 2), SESSION_NONE);
    assert_int_equal(find(s, SERVICE, 4, 5), begun);
    sessions_destroy(s);
}

/* Who repeats an IKE_SA_INIT that he has seen, and gets the same answer, does not hide the session. */
static void test_of_one_pair_the_first_counts(void **state)
{
    struct sessions *s = sessions_create(8, 8, 8, 1);
    const struct story story = story_of(1, 2);
    uint32_t index[3];

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(sessions_insert(s, i, &story, false, &index[i]), 0);
    assert_int_equal(find(s, SERVICE, 1, 2), index[0]);
    sessions_confirm(s, index[1]);
    sessions_move(s, index[0], 4);
    assert_int_equal(find(s, SERVICE, 1, 2), index[0]);
    sessions_remove(s, index[0]);
    assert_int_equal(find(s, SERVICE, 1, 2), index[1]);
    sessions_remove(s, index[1]);
    assert_int_equal(find(s, SERVICE, 1, 2), index[2]);
    sessions_destroy(s);
}

static void test_found_by_its_begin(void **state)
{
    struct sessions *s = sessions_create(8, 8, 8, 1);

    (void)state;
    const uint32_t first = insert(s, 0, 1, false);
    const uint32_t other_pin = insert(s, 1, 1, false);
    const uint32_t other_spi = insert(s, 0, 2, false);
    assert_int_equal(find_begun(s, 0, 1), first);
    assert_int_equal(find_begun(s, 1, 1), other_pin);
    assert_int_equal(find_begun(s, 0, 2), other_spi);
    assert_int_equal(find_begun(s, 1, 2), SESSION_NONE);
    assert_int_equal(find_begun(s, 2, 1), SESSION_NONE);

    const uint32_t second = insert(s, 0, 1, false);
    assert_int_equal(find_begun(s, 0, 1), second);
    sessions_get(s, second)->story.spi_r = spi(9); /* whatever the server's SPI */
    assert_int_equal(find_begun(s, 0, 1), second);
    sessions_move(s, second, 2);
    assert_int_equal(find_begun(s, 0, 1), first);
    assert_int_equal(find_begun(s, 2, 1), second);
    sessions_remove(s, first);
    assert_int_equal(find_begun(s, 0, 1), SESSION_NONE);
    sessions_destroy(s);
}

static void test_lists(void **state)
{
    struct sessions *s = sessions_create(8, 8, 4, 1);
    uint32_t a[5];

    (void)state;
    for (uint8_t i = 0; i < 5; i++)
        a[i] = insert(s, 1, i, false);
    const uint32_t b = insert(s, 3, 5, false);
    check_list(s, 1, (uint32_t[]){a[4], a[3], a[2], a[1], a[0]}, 5);
    check_list(s, 3, (uint32_t[]){b}, 1);
    check_list(s, 0, NULL, 0);
    sessions_remove(s, a[2]); /* in the middle, at the end, at the head */
    check_list(s, 1, (uint32_t[]){a[4], a[3], a[1], a[0]}, 4);
    sessions_remove(s, a[0]);
    check_list(s, 1, (uint32_t[]){a[4], a[3], a[1]}, 3);
    sessions_remove(s, a[4]);
    check_list(s, 1, (uint32_t[]){a[3], a[1]}, 2);

    sessions_move(s, a[1], 3);
    check_list(s, 1, (uint32_t[]){a[3]}, 1);
    check_list(s, 3, (uint32_t[]){a[1], b}, 2);
    sessions_move(s, b, 3); /* to where it is: now the youngest */
    check_list(s, 3, (uint32_t[]){b, a[1]}, 2);
    sessions_move(s, a[3], 0);
    check_list(s, 1, NULL, 0);
    check_list(s, 0, (uint32_t[]){a[3]}, 1);
    sessions_remove(s, a[3]);
    check_list(s, 0, NULL, 0);
    assert_int_equal(sessions_count(s), 2);
    sessions_destroy(s);
}

static void test_is_of(void **state)
{
    struct sessions *s = sessions_create(4, 4, 4, 1);

    (void)state;
    assert_false(sessions_is_of(s, 0, 0)); /* never used, though its page says pin 0 */
    const uint32_t index = insert(s, 2, 1, false);
    assert_true(sessions_is_of(s, index, 2));
    assert_false(sessions_is_of(s, index, 1));
    assert_false(sessions_is_of(s, SESSION_NONE, 2));
    assert_false(sessions_is_of(s, 4, 2)); /* beyond the table */
    sessions_move(s, index, 1);
    assert_true(sessions_is_of(s, index, 1));
    assert_false(sessions_is_of(s, index, 2));
    sessions_remove(s, index);
    assert_false(sessions_is_of(s, index, 1));
    sessions_destroy(s);
}

/* One SPIi cannot be used to make chains long, whatever client and service it is sent from. */
static void test_one_spi_many_times(void **state)
{
    struct sessions *s = sessions_create(32, 32, 16, 1);
    uint32_t index[SESSIONS_SAME_SPI_MAX], more;

    (void)state;
    for (uint32_t i = 0; i < SESSIONS_SAME_SPI_MAX; i++) {
        struct story story = story_of(1, (uint8_t)i);
        story.service = (uint16_t)i;
        assert_int_equal(sessions_insert(s, i, &story, i % 2, &index[i]), 0);
    }
    assert_true(sessions_has_room(s, false));
    assert_int_equal(try_insert(s, 9, 1, false, &more), ERR_FULL);
    assert_int_equal(try_insert(s, 9, 1, true, &more), ERR_FULL);
    assert_int_equal(sessions_count(s), SESSIONS_SAME_SPI_MAX);
    assert_int_equal(sessions_of_pin(s, 9), SESSION_NONE);
    assert_int_equal(try_insert(s, 9, 2, false, &more), 0);
    sessions_remove(s, index[3]);
    assert_int_equal(try_insert(s, 9, 1, false, &more), 0);
    assert_int_equal(try_insert(s, 9, 1, false, &more), ERR_FULL);
    sessions_destroy(s);
}

static void test_bounds(void **state)
{
    struct sessions *s = sessions_create(4, 2, 4, 1);
    uint32_t index[4], more;

    (void)state;
    index[0] = insert(s, 0, 0, false);
    assert_true(sessions_has_room(s, false));
    index[1] = insert(s, 0, 1, false);
    assert_false(sessions_has_room(s, false));
    assert_true(sessions_has_room(s, true));
    assert_int_equal(try_insert(s, 0, 2, false, &more), ERR_FULL);
    index[2] = insert(s, 0, 2, true);
    assert_true(sessions_get(s, index[2])->confirmed);
    assert_int_equal(sessions_unconfirmed_count(s), 2);
    assert_int_equal(sessions_oldest_unconfirmed(s), index[0]);
    sessions_confirm(s, index[0]);
    sessions_confirm(s, index[0]); /* again: nothing more happens */
    assert_int_equal(sessions_unconfirmed_count(s), 1);
    assert_int_equal(sessions_oldest_unconfirmed(s), index[1]);
    index[3] = insert(s, 0, 3, false);
    assert_false(sessions_has_room(s, true));
    assert_int_equal(try_insert(s, 0, 4, true, &more), ERR_FULL);
    check_list(s, 0, (uint32_t[]){index[3], index[2], index[1], index[0]}, 4);
    sessions_remove(s, index[1]);
    assert_int_equal(sessions_oldest_unconfirmed(s), index[3]);
    assert_int_equal(try_insert(s, 0, 4, true, &more), 0);
    sessions_destroy(s);
}

static void test_walk(void **state)
{
    struct sessions *s = sessions_create(8, 8, 1, 1);
    uint32_t cursor = 0, budget = 2;

    (void)state;
    for (uint8_t i = 0; i < 4; i++)
        assert_int_equal(insert(s, 0, i, false), i);
    sessions_remove(s, 1);
    assert_int_equal(sessions_next(s, &cursor, &budget), 0);
    assert_int_equal(sessions_next(s, &cursor, &budget), SESSION_NONE);
    assert_int_equal(budget, 0);
    budget = 9;
    assert_int_equal(sessions_next(s, &cursor, &budget), 2);
    assert_int_equal(sessions_next(s, &cursor, &budget), 3);
    assert_int_equal(sessions_next(s, &cursor, &budget), SESSION_NONE);
    assert_int_equal(budget, 7);
    sessions_destroy(s);
}

/* From `start_ms` on: four moves at once, then one a second; what is not used is saved up to four. */
static void check_moves(uint64_t start_ms)
{
    static const struct {
        uint32_t after_ms;
        bool allowed;
    } tries[] = {
        {0, true},      {0, true},     {300, true},    {600, true},   {999, false},
        {1000, true},   {1000, false}, {1999, false},  {2000, true},  {2500, false},
        {4999, true},   {4999, true},  {4999, false},  {5000, true},  {5999, false}, /* 5.0 is not lost */
        {60000, true},  {60000, true}, {60000, true},  {60000, true}, {60000, false},
        {60999, false}, {61000, true}, {61001, false},
    };
    struct sessions *s = sessions_create(4, 4, 4, 1);
    const uint32_t index = insert(s, 0, 1, true);
    const uint32_t other = insert(s, 0, 2, true);

    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++)
        assert_int_equal(sessions_may_move(s, index, start_ms + tries[i].after_ms), tries[i].allowed);
    assert_true(sessions_may_move(s, other, start_ms + 61001)); /* each has its own */
    sessions_destroy(s);
}

static void test_moves_are_limited(void **state)
{
    (void)state;
    check_moves(0);
    check_moves(100);
    check_moves(UINT64_C(1) << 40);
    /* The 32 bits that are kept of the time run over in each phase. */
    for (uint32_t before_ms = 0; before_ms <= 62000; before_ms += 250)
        check_moves((UINT64_C(7) << 32) - before_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_creation),
        cmocka_unit_test(test_a_fresh_session),
        cmocka_unit_test(test_found_by_the_full_pair),
        cmocka_unit_test(test_of_one_pair_the_first_counts),
        cmocka_unit_test(test_found_by_its_begin),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_is_of),
        cmocka_unit_test(test_one_spi_many_times),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_moves_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
