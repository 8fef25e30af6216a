#include "tests/unit/unit.h"

#include "lb/tracking.h"
#include "tests/unit/support.h"

enum { ONE, TWO }; /* backends */

#define IDLE_MS      60000
#define HALF_OPEN_MS 3000
#define CAPACITY     64
#define UNCONFIRMED  4

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .idle_timeout_ms = IDLE_MS,
    .half_open_timeout_ms = HALF_OPEN_MS,
    .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"two", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
};

struct fixture {
    struct pool *pool;
    struct pins *pins;
    struct tracking t;
};

static void set_up(struct fixture *f)
{
    f->pool = support_pool(&service, 1);
    f->pins = pins_create(CAPACITY, CAPACITY, 1);
    assert_non_null(f->pins);
    assert_int_equal(tracking_init(&f->t, f->pool, f->pins, CAPACITY, UNCONFIRMED, 7), 0);
}

static void tear_down(struct fixture *f)
{
    tracking_deinit(&f->t);
    pins_destroy(f->pins);
    pool_destroy(f->pool);
}

static uint32_t pin_of(struct fixture *f, uint32_t client)
{
    const struct pin_key key = {.client = support_addr_v4(client)};
    uint32_t pin = pins_find(f->pins, &key);

    if (pin == PIN_NONE) {
        assert_int_equal(pins_insert(f->pins, &key, ONE, true, 0, &pin), 0);
        f->pool->backends[ONE].clients_at[STAGE_NONE]++;
    }
    return pin;
}

static struct story story_of(uint32_t number, uint64_t now_ms)
{
    struct story story = story_begin(0, ONE, 500, now_ms);

    story.spi_i = (struct ike_spi){.bytes = {1, (uint8_t)(number >> 8), (uint8_t)number}};
    story.spi_r = (struct ike_spi){.bytes = {2, (uint8_t)(number >> 8), (uint8_t)number}};
    return story;
}

/* A session of the client, which has SPIs of that number. */
static uint32_t begin(struct fixture *f, uint32_t client, uint32_t number, bool confirmed, uint64_t now_ms)
{
    const struct story story = story_of(number, now_ms);
    const uint32_t index = tracking_begin(&f->t, pin_of(f, client), &story, confirmed, now_ms);

    assert_int_not_equal(index, SESSION_NONE);
    return index;
}

static bool is_live(const struct fixture *f, uint32_t number)
{
    const struct story story = story_of(number, 0);

    return sessions_find(f->t.sessions, 0, &story.spi_i, &story.spi_r) != SESSION_NONE;
}

static struct story *story_at(struct fixture *f, uint32_t index)
{
    return &sessions_get(f->t.sessions, index)->story;
}

static struct handshake_counts *counts(struct fixture *f, int backend)
{
    return &f->pool->backends[backend].handshakes;
}

/* The number of its entries in the journal, which are copied to `entries`. */
static size_t journal_of(struct fixture *f, uint32_t client,
                         struct journal_entry entries[JOURNAL_ENTRIES_MAX])
{
    const struct addr addr = support_addr_v4(client);

    return journal_find(f->t.journal, &addr, entries);
}

static void test_the_oldest_unconfirmed_gives_way(void **state)
{
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];
    struct fixture f;

    (void)state;
    set_up(&f);
    begin(&f, 100, 100, true, 10);
    for (uint32_t i = 0; i < UNCONFIRMED; i++)
        begin(&f, i, i, false, 20 + i);
    assert_int_equal(sessions_count(f.t.sessions), UNCONFIRMED + 1);
    begin(&f, 50, 50, false, 30);
    assert_int_equal(sessions_count(f.t.sessions), UNCONFIRMED + 1);
    assert_false(is_live(&f, 0));
    assert_true(is_live(&f, 1) && is_live(&f, 50) && is_live(&f, 100));
    assert_int_equal(counts(&f, ONE)->unanswered_total, 1); /* it is counted, and its story is kept */
    assert_int_equal(journal_of(&f, 0, entries), 1);
    assert_int_equal(entries[0].event, JOURNAL_ENDED);
    assert_int_equal(entries[0].at_ms, 30);
    assert_int_equal(entries[0].client.port, 500);
    tear_down(&f);
}

/* Confirmed sessions take their place from the whole table, at last from unconfirmed ones, never from one
 * another. */
static void test_without_room(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    begin(&f, 1, 1000, false, 5);
    for (uint32_t i = 0; i < CAPACITY; i++)
        begin(&f, 2, i, true, 10);
    assert_false(is_live(&f, 1000));
    assert_int_equal(sessions_count(f.t.sessions), CAPACITY);
    const struct story story = story_of(2000, 20);
    assert_int_equal(tracking_begin(&f.t, pin_of(&f, 3), &story, true, 20), SESSION_NONE);
    assert_int_equal(tracking_begin(&f.t, pin_of(&f, 3), &story, false, 20), SESSION_NONE);
    assert_int_equal(sessions_count(f.t.sessions), CAPACITY);
    tear_down(&f);
}

static void test_stages_are_counted_once(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    const uint32_t index = begin(&f, 1, 1, false, 10);
    const struct pin *pin = pins_get(f.pins, pin_of(&f, 1));
    for (int again = 0; again < 2; again++) {
        tracking_reach(&f.t, index, STAGE_INIT_SENT, 10);
        tracking_reach(&f.t, index, STAGE_AUTH_SENT, 20);
        tracking_reach(&f.t, index, STAGE_INIT_ANSWERED, 30); /* late: counted, but nothing is taken back */
        assert_int_equal(story_at(&f, index)->stage, STAGE_AUTH_SENT);
        assert_int_equal(pin->stage, STAGE_AUTH_SENT);
        assert_int_equal(counts(&f, ONE)->reached[STAGE_INIT_SENT], 1);
        assert_int_equal(counts(&f, ONE)->reached[STAGE_INIT_ANSWERED], 1);
        assert_int_equal(counts(&f, ONE)->reached[STAGE_AUTH_SENT], 1);
    }
    /* A client's stage is that of its latest handshake. */
    const uint32_t younger = begin(&f, 1, 2, false, 40);
    tracking_reach(&f.t, younger, STAGE_INIT_SENT, 40);
    tracking_reach(&f.t, index, STAGE_ESTABLISHED, 50);
    assert_int_equal(pin->stage, STAGE_INIT_SENT);
    tracking_reach(&f.t, younger, STAGE_INIT_ANSWERED, 60);
    assert_int_equal(pin->stage, STAGE_INIT_ANSWERED);
    assert_int_equal(counts(&f, ONE)->reached[STAGE_INIT_SENT], 2);
    for (int stage = STAGE_NONE; stage < STAGE_COUNT; stage++)
        assert_int_equal(f.pool->backends[ONE].clients_at[stage], stage == STAGE_INIT_ANSWERED);

    /* What came of rekeying is no handshake. */
    const uint32_t rekeyed = begin(&f, 1, 3, true, 70);
    story_at(&f, rekeyed)->flags = STORY_REKEYED;
    tracking_reach(&f.t, rekeyed, STAGE_ESTABLISHED, 70);
    assert_int_equal(counts(&f, ONE)->reached[STAGE_ESTABLISHED], 1);
    assert_int_equal(pin->stage, STAGE_ESTABLISHED);
    tear_down(&f);
}

static void test_answers_are_counted_once(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    const uint32_t index = begin(&f, 1, 1, false, 10);
    tracking_answered(&f.t, index, TWO);
    assert_true(story_at(&f, index)->flags & STORY_ANSWERED);
    tracking_answered(&f.t, index, TWO);
    tracking_answered(&f.t, index, ONE);
    assert_int_equal(counts(&f, TWO)->answered_total, 1);
    assert_int_equal(counts(&f, ONE)->answered_total, 0);
    tear_down(&f);
}

static void test_fail_over(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    const uint32_t index = begin(&f, 1, 1, false, 10);
    tracking_reach(&f.t, index, STAGE_INIT_SENT, 10);
    tracking_fail_over(&f.t, index, TWO);
    assert_int_equal(story_at(&f, index)->backend, TWO);
    assert_int_equal(story_at(&f, index)->failovers, 1);
    assert_int_equal(counts(&f, ONE)->unanswered_total, 1);
    assert_int_equal(counts(&f, ONE)->reached[STAGE_INIT_SENT], 1);
    assert_int_equal(counts(&f, TWO)->reached[STAGE_INIT_SENT], 1); /* once at each */
    assert_int_equal(f.pool->services[0].failovers_total, 1);
    tracking_end(&f.t, index, 20);
    assert_int_equal(counts(&f, ONE)->unanswered_total, 1);
    assert_int_equal(counts(&f, TWO)->unanswered_total, 1);

    const uint32_t other = begin(&f, 2, 2, false, 30);
    story_at(&f, other)->failovers = UINT8_MAX;
    tracking_fail_over(&f.t, other, TWO);
    assert_int_equal(story_at(&f, other)->failovers, UINT8_MAX);
    tear_down(&f);
}

struct end_case {
    const char *label;
    uint16_t flags;
    enum stage stage;
    uint32_t unanswered, stalled, auth_unanswered;
};

static const struct end_case end_cases[] = {
    {"never answered", 0, STAGE_INIT_SENT, 1, 0, 0},
    {"a cookie, and nothing more", STORY_ANSWERED, STAGE_INIT_SENT, 0, 0, 0},
    {"answered, but no IKE_AUTH", STORY_ANSWERED, STAGE_INIT_ANSWERED, 0, 1, 0},
    {"IKE_AUTH without an answer", STORY_ANSWERED, STAGE_AUTH_SENT, 0, 0, 1},
    {"done", STORY_ANSWERED, STAGE_AUTH_ANSWERED, 0, 0, 0},
    {"established", STORY_ANSWERED, STAGE_ESTABLISHED, 0, 0, 0},
    {"rekeyed", STORY_REKEYED, STAGE_NONE, 0, 0, 0},
};

static void test_how_handshakes_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof end_cases / sizeof end_cases[0]; i++) {
        const struct end_case *t = &end_cases[i];
        struct journal_entry entries[JOURNAL_ENTRIES_MAX];
        struct fixture f;
        set_up(&f);
        const uint32_t index = begin(&f, 1, 1, false, 10);
        story_at(&f, index)->flags = t->flags;
        tracking_reach(&f.t, index, t->stage, 20);
        tracking_end(&f.t, index, 30);
        const struct handshake_counts *c = counts(&f, ONE);
        if (c->unanswered_total != t->unanswered || c->stalled_total != t->stalled ||
            c->auth_unanswered_total != t->auth_unanswered)
            fail_msg("%s", t->label);
        assert_int_equal(sessions_count(f.t.sessions), 0);
        assert_int_equal(journal_of(&f, 1, entries), 1);
        assert_int_equal(entries[0].story.stage, t->stage);
        tear_down(&f);
    }
}

/* Of SAs that follow one another by rekeying only the last is news. */
static void test_what_is_news(void **state)
{
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];
    struct fixture f;

    (void)state;
    set_up(&f);
    const uint32_t first = begin(&f, 1, 1, true, 10);
    const uint32_t second = begin(&f, 1, 2, true, 20);
    story_at(&f, second)->flags = STORY_REKEYED;
    const uint32_t third = begin(&f, 1, 3, true, 30);
    story_at(&f, third)->flags = STORY_REKEYED;
    tracking_end(&f.t, second, 40);
    assert_int_equal(journal_of(&f, 1, entries), 0);
    tracking_end(&f.t, third, 50);
    assert_int_equal(journal_of(&f, 1, entries), 1);
    tracking_end(&f.t, first, 60); /* a handshake always is */
    assert_int_equal(journal_of(&f, 1, entries), 2);

    const uint32_t rekeyed = begin(&f, 2, 4, true, 70);
    story_at(&f, rekeyed)->flags = STORY_REKEYED;
    begin(&f, 2, 5, true, 80); /* followed by a handshake, which may be another tunnel's */
    tracking_end(&f.t, rekeyed, 90);
    assert_int_equal(journal_of(&f, 2, entries), 1);
    tear_down(&f);
}

static void test_a_pin_ends_in_slices(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (uint32_t i = 0; i < 40; i++)
        begin(&f, 1, i, true, 10);
    begin(&f, 2, 100, true, 10);
    assert_false(tracking_end_of_pin(&f.t, pin_of(&f, 1), 20));
    assert_int_equal(sessions_count(f.t.sessions), 9);
    assert_true(tracking_end_of_pin(&f.t, pin_of(&f, 1), 20));
    assert_int_equal(sessions_count(f.t.sessions), 1);
    assert_true(is_live(&f, 100));
    assert_true(tracking_end_of_pin(&f.t, pin_of(&f, 1), 20)); /* there is none */
    for (uint32_t i = 0; i < 32; i++)
        begin(&f, 1, i, true, 10);
    assert_true(tracking_end_of_pin(&f.t, pin_of(&f, 1), 20)); /* just as many as may be ended */
    tear_down(&f);
}

/* After a failover there may be two sessions of one SPIi: the one that the client goes on with stays. */
static void test_chosen(void **state)
{
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];

    (void)state;
    for (int failed_over = 0; failed_over < 2; failed_over++) {
        struct fixture f;
        set_up(&f);
        const uint32_t a = begin(&f, 1, 1, false, 10);
        struct story story = *story_at(&f, a);
        story.spi_r.bytes[7] = 9;
        story.failovers = (uint8_t)failed_over;
        const uint32_t b = tracking_begin(&f.t, pin_of(&f, 1), &story, false, 10);
        begin(&f, 1, 2, false, 10); /* of another SPIi */
        struct story elsewhere = story_of(1, 10);
        elsewhere.spi_r.bytes[7] = 8;
        assert_int_not_equal(tracking_begin(&f.t, pin_of(&f, 3), &elsewhere, false, 10), SESSION_NONE);
        tracking_chosen(&f.t, b);
        assert_int_equal(sessions_count(f.t.sessions), failed_over ? 3 : 4);
        assert_int_equal(is_live(&f, 1), !failed_over);
        assert_int_equal(sessions_find(f.t.sessions, 0, &story.spi_i, &story.spi_r), b);
        assert_true(is_live(&f, 2));
        assert_int_equal(counts(&f, ONE)->unanswered_total, 0); /* one handshake, which is not over */
        assert_int_equal(journal_of(&f, 1, entries), 0);
        tear_down(&f);
    }
}

static void test_refusals_are_noted(void **state)
{
    const struct endpoint client = {.addr = support_addr_v4(1), .port = 1234};
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];
    struct fixture f;

    (void)state;
    set_up(&f);
    tracking_refused(&f.t, 0, &client, 5, 100);
    tracking_refused(&f.t, 0, &client, 5, 200);
    assert_int_equal(journal_of(&f, 1, entries), 1);
    assert_int_equal(entries[0].event, JOURNAL_REFUSED);
    assert_int_equal(entries[0].reason, 5);
    assert_int_equal(entries[0].count, 2);
    assert_int_equal(entries[0].since_ms, 100);
    assert_int_equal(entries[0].at_ms, 200);
    assert_int_equal(entries[0].client.port, 1234);
    tear_down(&f);
}

struct sweep_case {
    const char *label;
    bool confirmed;
    bool has_younger; /* its pin has a younger session */
    enum stage stage;
    uint32_t seen_ms;      /* after the start: its latest message */
    uint32_t due_after_ms; /* after the start; 0: never */
};

static const struct sweep_case sweep_cases[] = {
    {"unconfirmed", false, false, STAGE_INIT_SENT, 0, HALF_OPEN_MS},
    {"unconfirmed, and asked again and again", false, false, STAGE_INIT_SENT, 2900, HALF_OPEN_MS},
    {"confirmed: as long as its pin", true, false, STAGE_ESTABLISHED, 0, 0},
    {"the same, without a tunnel", true, false, STAGE_AUTH_ANSWERED, 0, 0},
    {"confirmed, with a younger one beside it", true, true, STAGE_ESTABLISHED, 0, IDLE_MS},
    {"the same, but not idle", true, true, STAGE_ESTABLISHED, 5000, 5000 + IDLE_MS},
    {"the same, without a tunnel", true, true, STAGE_AUTH_ANSWERED, 5000, 5000 + HALF_OPEN_MS},
};

static void test_sweep_to_the_millisecond(void **state)
{
    static const uint64_t starts_ms[] = {1000, UINT64_C(0x1ffffffff) - 1500}; /* across the wrap, too */

    (void)state;
    for (size_t i = 0; i < 2 * sizeof sweep_cases / sizeof sweep_cases[0]; i++) {
        const struct sweep_case *t = &sweep_cases[i / 2];
        const uint64_t start_ms = starts_ms[i % 2];
        struct fixture f;
        set_up(&f);
        const uint32_t index = begin(&f, 1, 1, t->confirmed, start_ms);
        story_at(&f, index)->seen_ms = (uint32_t)(start_ms + t->seen_ms);
        story_at(&f, index)->stage = (uint8_t)t->stage;
        if (t->has_younger)
            begin(&f, 1, 2, true, start_ms);
        if (t->due_after_ms == 0) {
            tracking_sweep(&f.t, start_ms + 100 * IDLE_MS, 1000);
            if (!is_live(&f, 1))
                fail_msg("%s: ended", t->label);
        } else {
            tracking_sweep(&f.t, start_ms + t->due_after_ms - 1, 1000);
            if (!is_live(&f, 1))
                fail_msg("%s: too early", t->label);
            tracking_sweep(&f.t, start_ms + t->due_after_ms, 1000);
            if (is_live(&f, 1))
                fail_msg("%s: too late", t->label);
            assert_int_equal(is_live(&f, 2), t->has_younger);
        }
        tear_down(&f);
    }
}

/* A call ends few, the next one goes on, and all of the table is come to again and again. */
static void test_sweep_goes_in_slices(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (uint32_t i = 0; i < 40; i++)
        begin(&f, 1, i, true, 10);
    tracking_sweep(&f.t, 10 + IDLE_MS, 2);
    assert_int_equal(sessions_count(f.t.sessions), 39);
    tracking_sweep(&f.t, 10 + IDLE_MS, 2);
    assert_int_equal(sessions_count(f.t.sessions), 38);
    for (int i = 0; i < 200; i++)
        tracking_sweep(&f.t, 10 + IDLE_MS, 2);
    assert_int_equal(sessions_count(f.t.sessions), 1); /* the youngest stays with its pin */
    for (uint32_t i = 100; i < 104; i++)
        begin(&f, 2, i, false, 70000);
    tracking_sweep(&f.t, 73000, 4); /* unconfirmed ones are due in the order of their age: one, or a few */
    assert_int_equal(sessions_unconfirmed_count(f.t.sessions), 3);
    tracking_sweep(&f.t, 73000, 64);
    assert_int_equal(sessions_unconfirmed_count(f.t.sessions), 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_unconfirmed_gives_way),
        cmocka_unit_test(test_without_room),
        cmocka_unit_test(test_stages_are_counted_once),
        cmocka_unit_test(test_answers_are_counted_once),
        cmocka_unit_test(test_fail_over),
        cmocka_unit_test(test_how_handshakes_end),
        cmocka_unit_test(test_what_is_news),
        cmocka_unit_test(test_a_pin_ends_in_slices),
        cmocka_unit_test(test_chosen),
        cmocka_unit_test(test_refusals_are_noted),
        cmocka_unit_test(test_sweep_to_the_millisecond),
        cmocka_unit_test(test_sweep_goes_in_slices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
