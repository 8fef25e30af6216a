#include "tests/unit/unit.h"

#include <stdlib.h>

#include "persist/journal.h"
#include "tests/unit/support.h"

#define HALF (JOURNAL_ENTRIES_MAX / 2)

static struct journal_entry ended(uint32_t client, enum stage stage, uint64_t at_ms)
{
    return (struct journal_entry){
        .event = JOURNAL_ENDED,
        .client = {.addr = support_addr_v4(client), .port = 4500},
        .service = 1,
        .at_ms = at_ms,
        .story = {.service = 1, .backend = 3, .stage = (uint8_t)stage},
    };
}

static struct journal_entry refused(uint32_t client, uint16_t reason, uint64_t at_ms)
{
    return (struct journal_entry){
        .event = JOURNAL_REFUSED,
        .client = {.addr = support_addr_v4(client), .port = 500},
        .service = 1,
        .reason = reason,
        .count = 1,
        .at_ms = at_ms,
        .since_ms = at_ms,
    };
}

static void note_ended(struct journal *journal, uint32_t client, enum stage stage, uint64_t at_ms)
{
    const struct journal_entry entry = ended(client, stage, at_ms);

    journal_note(journal, &entry);
}

static void note_refused(struct journal *journal, uint32_t client, uint16_t reason, uint64_t at_ms)
{
    const struct journal_entry entry = refused(client, reason, at_ms);

    journal_note(journal, &entry);
}

static size_t find(const struct journal *journal, uint32_t client,
                   struct journal_entry out[static JOURNAL_ENTRIES_MAX])
{
    const struct addr a = support_addr_v4(client);

    return journal_find(journal, &a, out);
}

static void test_found_as_noted(void **state)
{
    struct journal *journal = journal_create(1);
    struct journal_entry out[JOURNAL_ENTRIES_MAX];
    const struct addr client = support_addr("2001:db8::1");
    struct journal_entry left = {
        .event = JOURNAL_LEFT,
        .client = {.addr = client, .port = 4500},
        .service = 2,
        .at_ms = UINT64_C(0x100000007),
        .other = support_endpoint("2001:db8::2", 4501),
        .story = {.spi_i = {{1, 2, 3}}, .backend = 9, .roams = 1},
    };

    (void)state;
    assert_non_null(journal);
    assert_int_equal(journal_find(journal, &client, out), 0);
    journal_note(journal, &left);
    assert_int_equal(journal_find(journal, &client, out), 1);
    assert_int_equal(out[0].event, JOURNAL_LEFT);
    assert_true(endpoint_equal(&out[0].client, &left.client));
    assert_true(endpoint_equal(&out[0].other, &left.other));
    assert_int_equal(out[0].service, 2);
    assert_int_equal(out[0].at_ms, UINT64_C(0x100000007));
    assert_memory_equal(&out[0].story, &left.story, sizeof left.story);

    /* Another service and port are still the same client. */
    left.service = 3;
    left.client.port = 500;
    left.at_ms++;
    journal_note(journal, &left);
    assert_int_equal(journal_find(journal, &client, out), 2);
    assert_int_equal(out[0].service, 3);
    assert_int_equal(out[1].service, 2);
    assert_int_equal(find(journal, 1, out), 0);
    journal_destroy(journal);
    journal_destroy(NULL);
}

/* Which half an entry counts to. */
static void test_proof(void **state)
{
    static const struct {
        enum journal_event event;
        enum stage stage;
        bool proven;
    } cases[] = {
        {JOURNAL_ENDED, STAGE_NONE, false},
        {JOURNAL_ENDED, STAGE_INIT_SENT, false},
        {JOURNAL_ENDED, STAGE_INIT_ANSWERED, false},
        {JOURNAL_ENDED, STAGE_AUTH_SENT, true},
        {JOURNAL_ENDED, STAGE_AUTH_ANSWERED, true},
        {JOURNAL_ENDED, STAGE_ESTABLISHED, true},
        {JOURNAL_LEFT, STAGE_NONE, true},
        {JOURNAL_CAME, STAGE_NONE, true},
        {JOURNAL_REFUSED, STAGE_ESTABLISHED, false},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct journal *journal = journal_create(1);
        struct journal_entry out[JOURNAL_ENTRIES_MAX];
        struct journal_entry entry = ended(1, cases[c].stage, 5);
        entry.event = cases[c].event;
        journal_note(journal, &entry);
        /* It outlives a flood of those without proof exactly if it is not one of them. */
        for (uint64_t i = 0; i < 100; i++)
            note_ended(journal, 1, STAGE_INIT_SENT, 10 + i);
        const size_t count = find(journal, 1, out);
        assert_int_equal(count, HALF + cases[c].proven);
        assert_int_equal(out[count - 1].at_ms == 5, cases[c].proven);
        /* And the other way round. */
        for (uint64_t i = 0; i < 100; i++)
            note_ended(journal, 1, STAGE_ESTABLISHED, 200 + i);
        assert_int_equal(find(journal, 1, out), JOURNAL_ENTRIES_MAX);
        for (uint64_t i = 0; i < HALF; i++) {
            assert_int_equal(out[i].at_ms, 299 - i);
            assert_int_equal(out[HALF + i].at_ms, 109 - i);
        }
        journal_destroy(journal);
    }
}

static void test_refusals_add_up(void **state)
{
    struct journal *journal = journal_create(1);
    struct journal_entry out[JOURNAL_ENTRIES_MAX];
    struct journal_entry again = refused(1, 7, 40);

    (void)state;
    note_refused(journal, 1, 7, 10);
    note_refused(journal, 1, 8, 20); /* another reason */
    note_ended(journal, 1, STAGE_ESTABLISHED, 30);
    again.count = 5;
    again.client.port = 4500;
    journal_note(journal, &again);
    assert_int_equal(find(journal, 1, out), 3);
    assert_int_equal(out[0].reason, 7); /* now the youngest */
    assert_int_equal(out[0].count, 6);
    assert_int_equal(out[0].at_ms, 40);
    assert_int_equal(out[0].since_ms, 10);
    assert_int_equal(out[0].client.port, 4500);
    assert_int_equal(out[1].event, JOURNAL_ENDED);
    assert_int_equal(out[2].reason, 8);

    again.service = 2; /* another service */
    again.at_ms = again.since_ms = 50;
    journal_note(journal, &again);
    assert_int_equal(find(journal, 1, out), 4);
    assert_int_equal(out[0].count, 5);
    assert_int_equal(out[0].since_ms, 50);

    again.count = UINT32_MAX;
    journal_note(journal, &again);
    assert_int_equal(find(journal, 1, out), 4);
    assert_int_equal(out[0].count, UINT32_MAX); /* the count ends there */
    journal_destroy(journal);
}

/* An ended session of the same service is not taken for a refusal, though its `reason` is the same. */
static void test_only_refusals_add_up(void **state)
{
    struct journal *journal = journal_create(1);
    struct journal_entry out[JOURNAL_ENTRIES_MAX];

    (void)state;
    note_ended(journal, 1, STAGE_INIT_SENT, 1);
    note_ended(journal, 1, STAGE_INIT_SENT, 2);
    note_refused(journal, 1, 0, 3);
    note_ended(journal, 1, STAGE_INIT_SENT, 4);
    assert_int_equal(find(journal, 1, out), 4);
    journal_destroy(journal);
}

#define SPOOFED 200000
#define REAL    500

/* All that a flood can do is to fill its own half. */
static void test_flood(void **state)
{
    struct journal *journal = journal_create(1);
    struct journal_entry out[JOURNAL_ENTRIES_MAX];
    size_t spoofed = 0;

    (void)state;
    for (uint32_t i = 0; i < REAL; i++)
        note_ended(journal, i, STAGE_ESTABLISHED, i);
    for (uint32_t i = 0; i < SPOOFED; i++) {
        note_refused(journal, REAL + i, 1, REAL + i);
        note_ended(journal, REAL + i, STAGE_INIT_SENT, REAL + i);
    }
    for (uint32_t i = 0; i < REAL; i++) {
        assert_int_equal(find(journal, i, out), 1);
        assert_int_equal(out[0].at_ms, i);
    }
    for (uint32_t i = 0; i < SPOOFED; i++) {
        const size_t count = find(journal, REAL + i, out);
        for (size_t e = 0; e < count; e++) {
            assert_int_equal(out[e].at_ms, REAL + i); /* nobody else's, and nothing added from others */
            assert_int_equal(out[e].count, out[e].event == JOURNAL_REFUSED);
        }
        spoofed += count;
    }
    /* With so many addresses each set has got more than it can hold. */
    assert_int_equal(spoofed, 4096 * HALF);
    assert_int_equal(find(journal, REAL + SPOOFED - 1, out), 2);
    journal_destroy(journal);
}

/* The obvious model of one address: all that is remembered, the latest noted last. */
struct model {
    struct journal_entry entries[JOURNAL_ENTRIES_MAX + 1];
    size_t count;
};

static bool model_is_proven(const struct journal_entry *e)
{
    return e->event != JOURNAL_REFUSED && (e->event != JOURNAL_ENDED || e->story.stage >= STAGE_AUTH_SENT);
}

static void model_remove(struct model *m, size_t at)
{
    for (size_t i = at; i < JOURNAL_ENTRIES_MAX; i++) /* a bound that the compiler sees */
        m->entries[i] = m->entries[i + 1];
    m->count--;
}

static void model_note(struct model *m, struct journal_entry entry)
{
    size_t alike = 0, oldest = SIZE_MAX;

    for (size_t i = 0; i < m->count; i++) {
        const struct journal_entry e = m->entries[i];
        if (e.event == JOURNAL_REFUSED && entry.event == JOURNAL_REFUSED && e.reason == entry.reason) {
            entry.count += e.count;
            entry.since_ms = e.since_ms;
            model_remove(m, i--);
        }
    }
    for (size_t i = 0; i < m->count; i++) {
        if (model_is_proven(&m->entries[i]) != model_is_proven(&entry))
            continue;
        alike++;
        if (oldest == SIZE_MAX)
            oldest = i;
    }
    if (alike == HALF)
        model_remove(m, oldest);
    m->entries[m->count++] = entry;
}

static void check_model(const struct journal *journal, const struct model *m)
{
    struct journal_entry out[JOURNAL_ENTRIES_MAX];
    const size_t count = find(journal, 1, out);

    assert_int_equal(count, m->count);
    for (size_t i = 0; i < count; i++) {
        const struct journal_entry *want = &m->entries[count - 1 - i];
        assert_int_equal(out[i].event, want->event);
        assert_int_equal(out[i].at_ms, want->at_ms);
        assert_int_equal(out[i].since_ms, want->since_ms);
        assert_int_equal(out[i].count, want->count);
        assert_int_equal(out[i].reason, want->reason);
        assert_int_equal(out[i].story.stage, want->story.stage);
    }
}

static void test_random(void **state)
{
    uint64_t random = support_seed();
    struct journal *journal = journal_create(support_random(&random));
    struct model m = {0};

    (void)state;
    for (uint64_t step = 0; step < 50000; step++) {
        struct journal_entry entry = ended(1, (enum stage)support_random_below(&random, STAGE_COUNT), step);
        entry.event = (enum journal_event)support_random_below(&random, JOURNAL_REFUSED + 1);
        if (entry.event == JOURNAL_REFUSED)
            entry = refused(1, (uint16_t)support_random_below(&random, 6), step);
        journal_note(journal, &entry);
        model_note(&m, entry);
        check_model(journal, &m);
    }
    journal_destroy(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_as_noted),  cmocka_unit_test(test_proof),
        cmocka_unit_test(test_refusals_add_up), cmocka_unit_test(test_only_refusals_add_up),
        cmocka_unit_test(test_flood),           cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
