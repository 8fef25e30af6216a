#include "tests/unit/unit.h"

#include "persist/story.h"

static void test_begin(void **state)
{
    /* Times are kept in 32 bits: this one is beyond. */
    const struct story story = story_begin(3, 4, 4500, UINT64_C(0x100000009));

    (void)state;
    assert_int_equal(story.service, 3);
    assert_int_equal(story.backend, 4);
    assert_int_equal(story.client_port, 4500);
    assert_int_equal(story.stage, STAGE_NONE);
    assert_int_equal(story.reached, 1);
    assert_int_equal(story.stage_ms[STAGE_NONE], 9);
    assert_int_equal(story.seen_ms, 9);
    for (int stage = STAGE_NONE + 1; stage < STAGE_COUNT; stage++)
        assert_int_equal(story.stage_ms[stage], 0);
    assert_true(header_spi_is_zero(&story.spi_i) && header_spi_is_zero(&story.spi_r));
    assert_int_equal(story.error + story.flags + story.init_count + story.auth_count, 0);
    assert_int_equal(story.failovers + story.roams, 0);
}

/* One after another, on one story: what is told back, and what the story says then. */
static void test_reach(void **state)
{
    static const struct {
        enum stage reach;
        bool further;
        enum stage stage;
        uint8_t reached;
        uint32_t first_ms; /* of the stage that is reached */
    } steps[] = {
        {STAGE_INIT_SENT, true, STAGE_INIT_SENT, 0x03, 100},
        {STAGE_INIT_SENT, false, STAGE_INIT_SENT, 0x03, 100}, /* the first time stays */
        {STAGE_AUTH_SENT, true, STAGE_AUTH_SENT, 0x0b, 102},
        {STAGE_INIT_ANSWERED, false, STAGE_AUTH_SENT, 0x0f, 103}, /* noted, but no step forward */
        {STAGE_INIT_ANSWERED, false, STAGE_AUTH_SENT, 0x0f, 103},
        {STAGE_NONE, false, STAGE_AUTH_SENT, 0x0f, 50},
        {STAGE_ESTABLISHED, true, STAGE_ESTABLISHED, 0x2f, 106},
        {STAGE_AUTH_ANSWERED, false, STAGE_ESTABLISHED, 0x3f, 107},
    };
    struct story story = story_begin(0, 0, 500, 50);

    (void)state;
    for (uint32_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const uint64_t now_ms = UINT64_C(0x100000000) + 100 + i;
        assert_int_equal(story_reach(&story, steps[i].reach, now_ms), steps[i].further);
        assert_int_equal(story.stage, steps[i].stage);
        assert_int_equal(story.reached, steps[i].reached);
        assert_int_equal(story.stage_ms[steps[i].reach], steps[i].first_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_reach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
