#include "tests/unit/unit.h"

#include "base/err.h"
#include "tests/unit/some_sessions.h"
#include "tests/unit/support.h"

/* The obvious model: one row a slot, with numbers that tell who began, and who came to its pin, later. */
#define CAPACITY 60
#define SHARE    25
#define PINS     6
#define SPIS     14

struct row {
    bool used;
    bool confirmed;
    uint16_t service;
    uint8_t spi_i;
    uint8_t spi_r;
    uint32_t pin;
    uint32_t begun;
    uint32_t came;
};

struct model {
    struct row rows[CAPACITY];
    uint32_t count;
    uint32_t unconfirmed;
};

static void step_insert(struct model *m, struct sessions *s, uint64_t *random, uint32_t step)
{
    const struct row row = {
        .used = true,
        .confirmed = support_random_below(random, 3) == 0,
        .service = (uint16_t)support_random_below(random, 2),
        .spi_i = (uint8_t)support_random_below(random, SPIS),
        .spi_r = (uint8_t)support_random_below(random, 3),
        .pin = support_random_below(random, PINS),
        .begun = step,
        .came = step,
    };
    struct story story = story_of(row.spi_i, row.spi_r);
    uint32_t index = SESSION_NONE, same = 0;

    story.service = row.service;
    for (uint32_t i = 0; i < CAPACITY; i++)
        same += m->rows[i].used && m->rows[i].spi_i == row.spi_i;
    const bool room = m->count < CAPACITY && (row.confirmed || m->unconfirmed < SHARE);
    assert_int_equal(sessions_has_room(s, row.confirmed), room);

    const int err = sessions_insert(s, row.pin, &story, row.confirmed, &index);
    assert_int_equal(err, room && same < SESSIONS_SAME_SPI_MAX ? 0 : ERR_FULL);
    if (err)
        return;
    assert_true(index < CAPACITY && !m->rows[index].used);
    m->rows[index] = row;
    m->count++;
    m->unconfirmed += !row.confirmed;
}

static void step_model(struct model *m, struct sessions *s, uint64_t *random, uint32_t step)
{
    const uint32_t index = support_random_below(random, CAPACITY);
    const uint32_t what = support_random_below(random, 8);
    struct row *row = &m->rows[index];

    if (what < 4) {
        step_insert(m, s, random, step);
    } else if (!row->used) {
        return;
    } else if (what == 4) {
        sessions_confirm(s, index);
        m->unconfirmed -= !row->confirmed;
        row->confirmed = true;
    } else if (what == 5) {
        row->pin = support_random_below(random, PINS);
        row->came = step;
        sessions_move(s, index, row->pin);
    } else if (what == 6) {
        row->spi_r = (uint8_t)support_random_below(random, 3);
        sessions_get(s, index)->story.spi_r = spi(row->spi_r);
    } else {
        sessions_remove(s, index);
        m->count--;
        m->unconfirmed -= !row->confirmed;
        row->used = false;
    }
}

static void check_finds(const struct model *m, const struct sessions *s, uint8_t spi_i)
{
    for (uint16_t service = 0; service < 2; service++) {
        for (uint8_t spi_r = 0; spi_r < 3; spi_r++) {
            uint32_t first = SESSION_NONE;
            for (uint32_t i = 0; i < CAPACITY; i++) {
                const struct row *row = &m->rows[i];
                if (row->used && row->service == service && row->spi_i == spi_i && row->spi_r == spi_r &&
                    spi_r != 0 && (first == SESSION_NONE || row->begun < m->rows[first].begun))
                    first = i;
            }
            assert_int_equal(find(s, service, spi_i, spi_r), first);
        }
    }
    for (uint32_t pin = 0; pin < PINS; pin++) {
        uint32_t youngest = SESSION_NONE;
        for (uint32_t i = 0; i < CAPACITY; i++) {
            const struct row *row = &m->rows[i];
            if (row->used && row->pin == pin && row->spi_i == spi_i &&
                (youngest == SESSION_NONE || row->begun > m->rows[youngest].begun))
                youngest = i;
        }
        assert_int_equal(find_begun(s, pin, spi_i), youngest);
    }
}

static void check_lists(const struct model *m, struct sessions *s)
{
    for (uint32_t pin = 0; pin < PINS; pin++) {
        uint32_t want[CAPACITY], count = 0, before = UINT32_MAX;
        /* The next older one, again and again. */
        for (;;) {
            uint32_t next = SESSION_NONE;
            for (uint32_t i = 0; i < CAPACITY; i++) {
                const struct row *row = &m->rows[i];
                if (row->used && row->pin == pin && row->came < before &&
                    (next == SESSION_NONE || row->came > m->rows[next].came))
                    next = i;
            }
            if (next == SESSION_NONE)
                break;
            want[count++] = next;
            before = m->rows[next].came;
        }
        check_list(s, pin, want, count);
    }
}

static void check_model(const struct model *m, struct sessions *s)
{
    uint32_t oldest = SESSION_NONE, cursor = 0, budget = UINT32_MAX, walked = 0, index;

    for (uint8_t spi_i = 0; spi_i < SPIS; spi_i++)
        check_finds(m, s, spi_i);
    check_lists(m, s);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        const struct row *row = &m->rows[i];
        if (!row->used)
            continue;
        assert_int_equal(sessions_get(s, i)->confirmed, row->confirmed);
        if (!row->confirmed && (oldest == SESSION_NONE || row->begun < m->rows[oldest].begun))
            oldest = i;
    }
    assert_int_equal(sessions_oldest_unconfirmed(s), oldest);
    assert_int_equal(sessions_count(s), m->count);
    assert_int_equal(sessions_unconfirmed_count(s), m->unconfirmed);
    while ((index = sessions_next(s, &cursor, &budget)) != SESSION_NONE) {
        assert_true(m->rows[index].used);
        walked++;
    }
    assert_int_equal(walked, m->count);
}

static void test_random(void **state)
{
    uint64_t random = support_seed();
    struct sessions *s = sessions_create(CAPACITY, SHARE, PINS, support_random(&random));
    struct model m = {0};

    (void)state;
    assert_non_null(s);
    for (uint32_t step = 1; step <= 100000; step++) {
        step_model(&m, s, &random, step);
        if (step % 16 == 0)
            check_model(&m, s);
    }
    sessions_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
