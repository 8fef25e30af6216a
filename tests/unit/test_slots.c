#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/slots.h"
#include "tests/unit/support.h"

static void test_bounds(void **state)
{
    struct slots s;

    (void)state;
    assert_int_equal(slots_init(&s, 4, 2), 0);
    assert_int_equal(slots_oldest(&s), SLOT_NONE);
    assert_int_equal(slots_take(&s, false), 0);
    assert_int_equal(slots_take(&s, false), 1);
    assert_false(slots_has_room(&s, false)); /* the unconfirmed share is used up ... */
    assert_int_equal(slots_take(&s, false), SLOT_NONE);
    assert_int_equal(slots_take(&s, true), 2); /* ... which does not matter to the confirmed */
    slots_confirm(&s, 0);
    slots_confirm(&s, 0);
    assert_int_equal(s.unconfirmed, 1);
    assert_int_equal(slots_oldest(&s), 1);
    assert_int_equal(slots_take(&s, false), 3);
    assert_false(slots_has_room(&s, true));
    assert_int_equal(slots_take(&s, true), SLOT_NONE);
    slots_release(&s, 2);
    assert_int_equal(s.count, 3);
    assert_int_equal(slots_take(&s, true), 2);
    slots_deinit(&s);
}

static void test_renew(void **state)
{
    struct slots s;

    (void)state;
    assert_int_equal(slots_init(&s, 4, 4), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(slots_take(&s, false), i);
    slots_renew(&s, 0);
    assert_int_equal(slots_oldest(&s), 1);
    assert_int_equal(slots_younger(&s, 1), 2);
    assert_int_equal(slots_younger(&s, 2), 0);
    assert_int_equal(slots_younger(&s, 0), SLOT_NONE);
    slots_renew(&s, 0); /* the youngest already */
    assert_int_equal(slots_oldest(&s), 1);
    assert_int_equal(slots_younger(&s, 2), 0);
    slots_renew(&s, 2); /* from the middle */
    assert_int_equal(slots_younger(&s, 1), 0);
    assert_int_equal(slots_younger(&s, 0), 2);
    slots_confirm(&s, 1);
    slots_renew(&s, 1); /* is not among them any more, and does not come back */
    assert_int_equal(slots_oldest(&s), 0);
    assert_int_equal(slots_younger(&s, 2), SLOT_NONE);
    assert_int_equal(s.unconfirmed, 2);
    slots_deinit(&s);
}

/* Places in the list of age are given back, however a slot leaves it, and none is used twice. */
static void test_unconfirmed_come_and_go(void **state)
{
    struct slots s;

    (void)state;
    assert_int_equal(slots_init(&s, 1000, 3), 0);
    for (uint32_t i = 0; i < 300; i++) {
        const uint32_t a = slots_take(&s, false), b = slots_take(&s, false), c = slots_take(&s, false);
        assert_int_equal(slots_take(&s, false), SLOT_NONE);
        assert_int_equal(slots_oldest(&s), a);
        assert_int_equal(slots_younger(&s, a), b);
        assert_int_equal(slots_younger(&s, b), c);
        slots_confirm(&s, i % 2 ? a : b);
        slots_release(&s, i % 2 ? b : a);
        assert_int_equal(slots_oldest(&s), c);
        slots_release(&s, c);
        assert_int_equal(slots_oldest(&s), SLOT_NONE);
        assert_int_equal(s.unconfirmed, 0);
        assert_int_equal(s.count, i + 1);
    }
    slots_deinit(&s);
    assert_int_equal(slots_init(&s, UINT32_C(1) << 30, 1), -ENOMEM); /* too many to be named */
    assert_int_equal(slots_init(&s, 4, 0), 0);
    assert_int_equal(slots_take(&s, false), SLOT_NONE);
    assert_int_equal(slots_take(&s, true), 0);
    slots_deinit(&s);
}

static void test_walk_in_slices(void **state)
{
    struct slots s;
    uint32_t cursor = 0, budget = 3;

    (void)state;
    assert_int_equal(slots_init(&s, 10, 10), 0);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(slots_take(&s, i % 2), i);
    slots_release(&s, 1);
    assert_int_equal(slots_next(&s, &cursor, &budget), 0);
    assert_int_equal(slots_next(&s, &cursor, &budget), 2); /* two steps */
    assert_int_equal(budget, 0);
    assert_int_equal(slots_next(&s, &cursor, &budget), SLOT_NONE);
    budget = 10;
    for (uint32_t i = 3; i < 6; i++)
        assert_int_equal(slots_next(&s, &cursor, &budget), i);
    assert_int_equal(slots_next(&s, &cursor, &budget), SLOT_NONE);
    assert_int_equal(budget, 7);
    slots_deinit(&s);
}

static void test_is_used(void **state)
{
    struct slots s;

    (void)state;
    assert_int_equal(slots_init(&s, 4, 4), 0);
    assert_false(slots_is_used(&s, 0)); /* never used: its page is all zeroes */
    assert_int_equal(slots_take(&s, false), 0);
    assert_int_equal(slots_take(&s, true), 1);
    assert_true(slots_is_used(&s, 0));
    assert_true(slots_is_used(&s, 1));
    assert_false(slots_is_used(&s, 2));
    slots_confirm(&s, 0);
    assert_true(slots_is_used(&s, 0));
    slots_release(&s, 0);
    slots_release(&s, 1);
    assert_false(slots_is_used(&s, 0));
    assert_false(slots_is_used(&s, 1));
    for (uint32_t i = 0; i < 4; i++)
        slots_take(&s, false);
    assert_true(slots_is_used(&s, 3));
    assert_false(slots_is_used(&s, 4)); /* beyond the table */
    assert_false(slots_is_used(&s, SLOT_NONE));
    slots_deinit(&s);
}

#define CAPACITY 50
#define SHARE    20

enum use { FREE, CONFIRMED, UNCONFIRMED };

/* The obvious model: what each slot is, and the unconfirmed ones in order of age. */
struct model {
    enum use use[CAPACITY];
    uint32_t ages[CAPACITY];
    uint32_t unconfirmed;
    uint32_t count;
};

static void forget_age(struct model *m, uint32_t index)
{
    for (uint32_t i = 0; i < m->unconfirmed; i++) {
        if (m->ages[i] == index) {
            memmove(&m->ages[i], &m->ages[i + 1], (m->unconfirmed - i - 1) * sizeof m->ages[0]);
            m->unconfirmed--;
            return;
        }
    }
}

static void check(const struct slots *s, const struct model *m)
{
    uint32_t cursor = 0, budget = UINT32_MAX, found = 0, index;

    while ((index = slots_next(s, &cursor, &budget)) != SLOT_NONE) {
        assert_true(m->use[index] != FREE);
        found++;
    }
    assert_int_equal(found, m->count);
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_int_equal(slots_is_used(s, i), m->use[i] != FREE);
    assert_int_equal(s->count, m->count);
    assert_int_equal(s->unconfirmed, m->unconfirmed);
    index = slots_oldest(s);
    for (uint32_t i = 0; i < m->unconfirmed; i++) {
        assert_int_equal(index, m->ages[i]);
        index = slots_younger(s, index);
    }
    assert_int_equal(index, SLOT_NONE);
}

static void take(struct slots *s, struct model *m, bool confirmed)
{
    const bool room = m->count < CAPACITY && (confirmed || m->unconfirmed < SHARE);
    const uint32_t index = slots_take(s, confirmed);

    assert_int_equal(index != SLOT_NONE, room);
    if (!room)
        return;
    assert_true(index < CAPACITY && m->use[index] == FREE);
    m->use[index] = confirmed ? CONFIRMED : UNCONFIRMED;
    m->count++;
    if (!confirmed)
        m->ages[m->unconfirmed++] = index;
}

static void test_random(void **state)
{
    uint64_t random = support_seed();
    struct model m = {0};
    struct slots s;

    (void)state;
    assert_int_equal(slots_init(&s, CAPACITY, SHARE), 0);
    for (int step = 0; step < 100000; step++) {
        const uint32_t index = support_random_below(&random, CAPACITY);
        const uint32_t what = support_random_below(&random, 4);
        if (what < 2) {
            take(&s, &m, what);
        } else if (m.use[index] != FREE) {
            forget_age(&m, index);
            if (what == 2) {
                slots_confirm(&s, index);
                m.use[index] = CONFIRMED;
            } else {
                slots_release(&s, index);
                m.use[index] = FREE;
                m.count--;
            }
        }
        check(&s, &m);
    }
    slots_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_renew),
        cmocka_unit_test(test_unconfirmed_come_and_go),
        cmocka_unit_test(test_walk_in_slices),
        cmocka_unit_test(test_is_used),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
