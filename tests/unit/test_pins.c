#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/err.h"
#include "persist/pins.h"
#include "tests/unit/support.h"

static struct pin_key key_of(uint32_t client, uint16_t service, uint16_t part)
{
    return (struct pin_key){.client = support_addr_v4(client), .service = service, .part = part};
}

static int try_insert(struct pins *pins, uint32_t client, bool confirmed, uint32_t *index)
{
    const struct pin_key key = key_of(client, 0, 0);

    return pins_insert(pins, &key, 1, confirmed, 5, index);
}

static uint32_t insert(struct pins *pins, uint32_t client, bool confirmed)
{
    uint32_t index = PIN_NONE;

    assert_int_equal(try_insert(pins, client, confirmed, &index), 0);
    return index;
}

static void test_a_fresh_pin(void **state)
{
    struct pins *pins = pins_create(8, 4, 1);
    const struct pin_key key = {.client = support_addr("2001:db8::1"), .service = 3, .part = 2};
    uint32_t index = PIN_NONE;

    (void)state;
    assert_non_null(pins);
    assert_int_equal(pins_find(pins, &key), PIN_NONE);
    assert_int_equal(pins_oldest_unconfirmed(pins), PIN_NONE);
    /* Times are kept in 32 bits: this one is beyond. */
    assert_int_equal(pins_insert(pins, &key, 7, false, UINT64_C(0x100000002), &index), 0);
    const struct pin *pin = pins_get(pins, index);
    assert_true(addr_equal(&pin->client, &key.client));
    assert_int_equal(pin->service, 3);
    assert_int_equal(pin->part, 2);
    assert_int_equal(pin->backend, 7);
    assert_int_equal(pin->created_ms, 2);
    assert_int_equal(pin->seen_ms, 2);
    assert_int_equal(pin->stage, STAGE_NONE);
    assert_int_equal(pin->flags, 0);
    assert_int_equal(pin->flow_count, 0);
    assert_int_equal(pin->roams, 0);
    assert_int_equal(pin->ports[0] + pin->ports[1], 0);
    assert_int_equal(pins_find(pins, &key), index);
    assert_int_equal(pins_oldest_unconfirmed(pins), index);
    pins_remove(pins, index);
    assert_int_equal(pins_find(pins, &key), PIN_NONE);
    assert_int_equal(pins_count(pins), 0);
    pins_destroy(pins);
    pins_destroy(NULL);
}

/* As many keys as there are buckets, so that some share one; they differ by the steps. */
static void check_keys(struct pin_key key, uint8_t client_step, uint16_t service_step, uint16_t part_step)
{
    struct pins *pins = pins_create(16, 16, 1);
    struct pin_key keys[16];
    uint32_t index[16];

    for (uint32_t i = 0; i < 16; i++) {
        keys[i] = key;
        assert_int_equal(pins_find(pins, &key), PIN_NONE);
        assert_int_equal(pins_insert(pins, &key, 1, false, 5, &index[i]), 0);
        key.client.bytes[15] = (uint8_t)(key.client.bytes[15] + client_step);
        key.service = (uint16_t)(key.service + service_step);
        key.part = (uint16_t)(key.part + part_step);
    }
    for (uint32_t gone = 0; gone < 16; gone++) {
        assert_int_equal(pins_find(pins, &keys[gone]), index[gone]);
        pins_remove(pins, index[gone]);
        for (uint32_t i = 0; i < 16; i++)
            assert_int_equal(pins_find(pins, &keys[i]), i <= gone ? PIN_NONE : index[i]);
    }
    pins_destroy(pins);
}

/* What differs in one part of the key is another pin: found, kept and removed by itself. */
static void test_each_part_of_the_key_counts(void **state)
{
    (void)state;
    check_keys(key_of(1, 1, 1), 1, 0, 0);
    check_keys(key_of(1, 1, 1), 0, 1, 0);
    check_keys(key_of(1, 1, 1), 0, 0, 1);
    check_keys(key_of(1, 1, 1), 0, 0, 0x1000); /* the upper bits, too */
}

/* Unconfirmed pins have their share, and never take what confirmed ones could have. */
static void test_bounds(void **state)
{
    struct pins *pins = pins_create(4, 2, 1);
    uint32_t index[4], more;

    (void)state;
    assert_int_equal(pins_capacity(pins), 4);
    index[0] = insert(pins, 0, false);
    assert_true(pins_has_room(pins));
    index[1] = insert(pins, 1, false);
    assert_false(pins_has_room(pins));
    assert_int_equal(try_insert(pins, 2, false, &more), ERR_FULL);
    index[2] = insert(pins, 2, true);
    pins_confirm(pins, index[0]);
    pins_confirm(pins, index[0]); /* again: nothing more happens */
    assert_int_equal(pins_unconfirmed_count(pins), 1);
    assert_true(pins_has_room(pins));
    index[3] = insert(pins, 3, false);
    assert_int_equal(try_insert(pins, 4, false, &more), ERR_FULL);
    assert_int_equal(try_insert(pins, 4, true, &more), ERR_FULL);
    pins_confirm(pins, index[1]);
    pins_confirm(pins, index[3]);
    assert_false(pins_has_room(pins)); /* full, though nothing is unconfirmed */
    assert_int_equal(try_insert(pins, 4, true, &more), ERR_FULL);
    pins_remove(pins, index[2]);
    assert_int_equal(try_insert(pins, 4, true, &more), 0);
    pins_destroy(pins);
}

static void test_the_oldest_is_known(void **state)
{
    struct pins *pins = pins_create(8, 8, 1);
    uint32_t index[4];

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        index[i] = insert(pins, i, false);
    pins_remove(pins, index[1]);
    assert_int_equal(pins_oldest_unconfirmed(pins), index[0]);
    pins_confirm(pins, index[0]);
    assert_int_equal(pins_oldest_unconfirmed(pins), index[2]);
    pins_remove(pins, index[2]);
    assert_int_equal(pins_oldest_unconfirmed(pins), index[3]);
    pins_remove(pins, index[3]);
    assert_int_equal(pins_oldest_unconfirmed(pins), PIN_NONE);
    pins_destroy(pins);
}

static void test_walk_in_slices(void **state)
{
    struct pins *pins = pins_create(16, 16, 1);
    uint32_t cursor = 0, budget = 100;

    (void)state;
    assert_int_equal(pins_next(pins, &cursor, &budget), PIN_NONE);
    assert_int_equal(budget, 100); /* nothing was looked at: the end */
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(insert(pins, i, false), i);
    pins_remove(pins, 1);
    pins_remove(pins, 2);
    budget = 2;
    assert_int_equal(pins_next(pins, &cursor, &budget), 0);
    assert_int_equal(pins_next(pins, &cursor, &budget), PIN_NONE);
    assert_int_equal(budget, 0); /* used up at a free slot */
    budget = 2;
    assert_int_equal(pins_next(pins, &cursor, &budget), 3); /* the last slot of a budget counts, too */
    budget = 9;
    assert_int_equal(pins_next(pins, &cursor, &budget), 4);
    assert_int_equal(pins_next(pins, &cursor, &budget), 5);
    assert_int_equal(pins_next(pins, &cursor, &budget), PIN_NONE);
    assert_int_equal(budget, 7);
    pins_destroy(pins);
}

static void test_creation(void **state)
{
    (void)state;
    assert_null(pins_create(0, 0, 1));
    struct pins *pins = pins_create(1000, 250, 1);
    pins_destroy(pins);
}

/* The slow, obvious model: one row a client, service and part, and the order in which pins were made. */
#define CLIENTS         48
#define SERVICES        2
#define PARTS           2
#define CAPACITY        100
#define UNCONFIRMED_MAX 30

struct row {
    bool used;
    bool confirmed;
    uint16_t backend;
    uint32_t index;
    uint64_t made;
};

struct model {
    struct row rows[SERVICES][PARTS][CLIENTS];
    uint32_t count;
    uint32_t unconfirmed;
};

static void step_insert(struct model *m, struct pins *pins, uint64_t *random, struct row *row,
                        const struct pin_key *key, uint64_t step)
{
    const bool confirmed = support_random_below(random, 3) == 0;
    const uint16_t backend = (uint16_t)support_random_below(random, 5);
    const bool fits = m->count < CAPACITY && (confirmed || m->unconfirmed < UNCONFIRMED_MAX);

    assert_int_equal(pins_has_room(pins), m->count < CAPACITY && m->unconfirmed < UNCONFIRMED_MAX);
    const int err = pins_insert(pins, key, backend, confirmed, step, &row->index);
    assert_int_equal(err, fits ? 0 : ERR_FULL);
    if (err)
        return;
    *row = (struct row){true, confirmed, backend, row->index, step};
    m->count++;
    m->unconfirmed += !confirmed;
}

static void step_model(struct model *m, struct pins *pins, uint64_t *random, uint64_t step)
{
    const uint16_t service = (uint16_t)support_random_below(random, SERVICES);
    const uint16_t part = (uint16_t)support_random_below(random, PARTS);
    const uint32_t client = support_random_below(random, CLIENTS);
    const struct pin_key key = key_of(client, service, part);
    struct row *row = &m->rows[service][part][client];

    if (!row->used) {
        step_insert(m, pins, random, row, &key, step);
    } else if (support_random_below(random, 3) == 0) {
        pins_confirm(pins, row->index);
        m->unconfirmed -= !row->confirmed;
        row->confirmed = true;
    } else {
        pins_remove(pins, row->index);
        m->unconfirmed -= !row->confirmed;
        m->count--;
        *row = (struct row){0};
    }
    assert_int_equal(pins_count(pins), m->count);
    assert_int_equal(pins_unconfirmed_count(pins), m->unconfirmed);
}

static void check_model(const struct model *m, struct pins *pins)
{
    uint32_t oldest = PIN_NONE, cursor = 0, budget = UINT32_MAX, walked = 0;
    uint64_t oldest_made = UINT64_MAX;

    for (uint32_t i = 0; i < SERVICES * PARTS * CLIENTS; i++) {
        const uint16_t service = (uint16_t)(i % SERVICES), part = (uint16_t)(i / SERVICES % PARTS);
        const uint32_t client = i / SERVICES / PARTS;
        const struct row *row = &m->rows[service][part][client];
        const struct pin_key key = key_of(client, service, part);
        assert_int_equal(pins_find(pins, &key), row->used ? row->index : PIN_NONE);
        if (!row->used)
            continue;
        assert_int_equal(pins_get(pins, row->index)->backend, row->backend);
        assert_int_equal(pins_get(pins, row->index)->flags & PIN_CONFIRMED, row->confirmed);
        if (!row->confirmed && row->made < oldest_made) {
            oldest = row->index;
            oldest_made = row->made;
        }
    }
    assert_int_equal(pins_oldest_unconfirmed(pins), oldest);
    while (pins_next(pins, &cursor, &budget) != PIN_NONE)
        walked++;
    assert_int_equal(walked, m->count);
}

static void test_random(void **state)
{
    uint64_t random = support_seed();
    struct pins *pins = pins_create(CAPACITY, UNCONFIRMED_MAX, support_random(&random));
    struct model *m = calloc(1, sizeof *m);

    (void)state;
    assert_true(pins && m);
    for (uint64_t step = 1; step <= 400000; step++) {
        step_model(m, pins, &random, step);
        if (step % 64 == 0)
            check_model(m, pins);
    }
    pins_destroy(pins);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_pin),    cmocka_unit_test(test_each_part_of_the_key_counts),
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_the_oldest_is_known),
        cmocka_unit_test(test_walk_in_slices), cmocka_unit_test(test_creation),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
