#include "tests/unit/unit.h"

#include "lb/passive.h"
#include "tests/unit/support.h"

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"two", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
};

enum event { END, ASKED, ANSWERED, HEARD, PROBED, BACK, REVIEW };

/* What happens at a time, by which client, and what is thought of the backend then. */
struct step {
    enum event event;
    uint32_t at_ms;
    uint32_t client;
    enum suspicion suspicion;
    bool avoided;
};
#define STEPS_MAX 14

struct course {
    const char *label;
    struct step steps[STEPS_MAX];
};

/* A fourth client, if it comes, comes when nothing depends on its coming. */
#define THREE_ASK                                                                                            \
    {ASKED, 1000, 1, SUSPICION_NONE, false}, {ASKED, 1050, 2, SUSPICION_NONE, false},                        \
    {                                                                                                        \
        ASKED, 1100, 3, SUSPICION_NONE, false                                                                \
    }

#define ONE_ASKS_FIVE_TIMES                                                                                  \
    {ASKED, 1000, 1, SUSPICION_NONE, false}, {ASKED, 1010, 1, SUSPICION_NONE, false},                        \
        {ASKED, 1020, 1, SUSPICION_NONE, false}, {ASKED, 1030, 1, SUSPICION_NONE, false},                    \
    {                                                                                                        \
        ASKED, 1040, 1, SUSPICION_NONE, false                                                                \
    }

static const struct course courses[] = {
    {"silent three seconds after the first of three clients",
     {THREE_ASK, {REVIEW, 3999, 0, SUSPICION_NONE, false}, {REVIEW, 4000, 0, SUSPICION_SILENT, true}}},
    {"a client that comes in time shows it without a review",
     {THREE_ASK, {ASKED, 4000, 4, SUSPICION_SILENT, true}}},
    {"two clients are not enough, however long",
     {{ASKED, 1000, 1, SUSPICION_NONE, false},
      {ASKED, 1200, 2, SUSPICION_NONE, false},
      {REVIEW, 61199, 0, SUSPICION_NONE, false}}},
    {"handshakes of one address count half",
     {{ASKED, 1000, 1, SUSPICION_NONE, false},
      {ASKED, 1200, 1, SUSPICION_NONE, false},
      {ASKED, 3000, 1, SUSPICION_NONE, false},
      {ASKED, 5000, 1, SUSPICION_NONE, false},
      {REVIEW, 9000, 0, SUSPICION_NONE, false},
      {ASKED, 9000, 1, SUSPICION_SILENT, true}}},
    {"an answer in between begins the count anew, and the time",
     {{ASKED, 1000, 1, SUSPICION_NONE, false},
      {ASKED, 1100, 2, SUSPICION_NONE, false},
      {ANSWERED, 1200, 0, SUSPICION_NONE, false},
      {ASKED, 3000, 2, SUSPICION_NONE, false},
      {ASKED, 3100, 1, SUSPICION_NONE, false},
      {REVIEW, 9000, 0, SUSPICION_NONE, false},
      {ASKED, 9000, 3, SUSPICION_SILENT, true}}},
    {"the time runs from the first since the answer",
     {{ASKED, 1000, 1, SUSPICION_NONE, false},
      {ANSWERED, 1200, 0, SUSPICION_NONE, false},
      {ASKED, 3000, 1, SUSPICION_NONE, false},
      {ASKED, 3000, 2, SUSPICION_NONE, false},
      {ASKED, 3000, 3, SUSPICION_NONE, false},
      {REVIEW, 5999, 0, SUSPICION_NONE, false},
      {REVIEW, 6000, 0, SUSPICION_SILENT, true}}},

    /* It refuses. */
    {"tunnels show that it is alive: it refuses, a second after the first",
     {THREE_ASK,
      {HEARD, 1101, 0, SUSPICION_NONE, false},
      {REVIEW, 1999, 0, SUSPICION_NONE, false},
      {REVIEW, 2000, 0, SUSPICION_REFUSING, true}}},
    {"so does a probe",
     {THREE_ASK,
      {PROBED, 1101, 0, SUSPICION_NONE, false},
      {REVIEW, 1999, 0, SUSPICION_NONE, false},
      {REVIEW, 2000, 0, SUSPICION_REFUSING, true}}},
    {"what was heard about when it fell silent shows nothing",
     {THREE_ASK,
      {HEARD, 1100, 0, SUSPICION_NONE, false},
      {PROBED, 1100, 0, SUSPICION_NONE, false},
      {REVIEW, 3999, 0, SUSPICION_NONE, false},
      {REVIEW, 4000, 0, SUSPICION_SILENT, true}}},
    {"one address alone is never refused by a backend that is alive",
     {ONE_ASKS_FIVE_TIMES,
      {HEARD, 1500, 0, SUSPICION_NONE, false},
      {REVIEW, 2000, 0, SUSPICION_NONE, false},
      {ASKED, 2100, 2, SUSPICION_NONE, false}, /* and was forgotten */
      {REVIEW, 9000, 0, SUSPICION_NONE, false}}},
    {"two are",
     {ONE_ASKS_FIVE_TIMES,
      {ASKED, 1050, 2, SUSPICION_NONE, false},
      {HEARD, 1500, 0, SUSPICION_NONE, false},
      {REVIEW, 2000, 0, SUSPICION_REFUSING, true}}},
    {"but not those before its latest answer",
     {THREE_ASK,
      {ANSWERED, 1200, 0, SUSPICION_NONE, false},
      {ASKED, 2000, 1, SUSPICION_NONE, false},
      {ASKED, 2000, 1, SUSPICION_NONE, false},
      {ASKED, 2000, 1, SUSPICION_NONE, false},
      {ASKED, 2000, 1, SUSPICION_NONE, false},
      {ASKED, 2000, 1, SUSPICION_NONE, false},
      {HEARD, 2500, 0, SUSPICION_NONE, false},
      {REVIEW, 3000, 0, SUSPICION_NONE, false}}},

    /* How a suspicion ends. */
    {"a silent one that is heard is forgiven",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {HEARD, 4500, 0, SUSPICION_NONE, false},
      {REVIEW, 5000, 0, SUSPICION_NONE, false},
      {REVIEW, 9000, 0, SUSPICION_NONE, false}}},
    {"or answers a probe",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {PROBED, 4500, 0, SUSPICION_NONE, false},
      {ASKED, 4600, 4, SUSPICION_NONE, false},
      {REVIEW, 9000, 0, SUSPICION_NONE, false}}},
    {"a refusing one is not",
     {THREE_ASK,
      {HEARD, 1500, 0, SUSPICION_NONE, false},
      {REVIEW, 2000, 0, SUSPICION_REFUSING, true},
      {HEARD, 2100, 0, SUSPICION_REFUSING, true},
      {PROBED, 2200, 0, SUSPICION_REFUSING, true},
      {REVIEW, 2300, 0, SUSPICION_REFUSING, true}}},
    {"an answer clears it",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {ANSWERED, 4100, 0, SUSPICION_NONE, false},
      {REVIEW, 4200, 0, SUSPICION_NONE, false}}},
    {"so does its coming back after it was down",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {BACK, 4100, 0, SUSPICION_NONE, false},
      {ASKED, 4200, 4, SUSPICION_NONE, false},
      {REVIEW, 9000, 0, SUSPICION_NONE, false}}},
    {"without another handshake a silent one is forgotten",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {REVIEW, 61099, 0, SUSPICION_SILENT, false},
      {REVIEW, 61100, 0, SUSPICION_NONE, false},
      {ASKED, 61200, 4, SUSPICION_NONE, false},
      {REVIEW, 69000, 0, SUSPICION_NONE, false}}},
    {"and a refusing one, so long after the last",
     {THREE_ASK,
      {HEARD, 1500, 0, SUSPICION_NONE, false},
      {REVIEW, 2000, 0, SUSPICION_REFUSING, true},
      {ASKED, 31100, 4, SUSPICION_REFUSING, true},
      {REVIEW, 91099, 0, SUSPICION_REFUSING, false},
      {REVIEW, 91100, 0, SUSPICION_NONE, false}}},
    {"and what was not enough",
     {{ASKED, 1000, 1, SUSPICION_NONE, false},
      {ASKED, 1200, 2, SUSPICION_NONE, false},
      {ASKED, 61200, 3, SUSPICION_NONE, false},
      {REVIEW, 69000, 0, SUSPICION_NONE, false}}},
    {"which is not so a moment before",
     {{ASKED, 1000, 1, SUSPICION_NONE, false},
      {ASKED, 1200, 2, SUSPICION_NONE, false},
      {ASKED, 61199, 3, SUSPICION_SILENT, true}}},

    /* Trials. */
    {"a trial is due five seconds after it became suspect",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {REVIEW, 8999, 0, SUSPICION_SILENT, true},
      {REVIEW, 9000, 0, SUSPICION_SILENT, false},
      {REVIEW, 10000, 0, SUSPICION_SILENT, false}}},
    {"the trial's client makes it avoided again, until the next",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {REVIEW, 9000, 0, SUSPICION_SILENT, false},
      {ASKED, 9500, 4, SUSPICION_SILENT, true},
      {REVIEW, 14499, 0, SUSPICION_SILENT, true},
      {REVIEW, 14500, 0, SUSPICION_SILENT, false}}},
    {"so does the same client's",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {REVIEW, 9000, 0, SUSPICION_SILENT, false},
      {ASKED, 9500, 3, SUSPICION_SILENT, true}}},
    {"the trial's answer clears it, and what follows is judged anew",
     {THREE_ASK,
      {REVIEW, 4000, 0, SUSPICION_SILENT, true},
      {REVIEW, 9000, 0, SUSPICION_SILENT, false},
      {ASKED, 9500, 4, SUSPICION_SILENT, true},
      {ANSWERED, 9510, 0, SUSPICION_NONE, false},
      {ASKED, 10000, 1, SUSPICION_NONE, false},
      {ASKED, 10000, 2, SUSPICION_NONE, false},
      {ASKED, 10000, 3, SUSPICION_NONE, false},
      {REVIEW, 12999, 0, SUSPICION_NONE, false},
      {REVIEW, 13000, 0, SUSPICION_SILENT, true},
      {REVIEW, 17999, 0, SUSPICION_SILENT, true}}},
};

static void tell(struct pool *pool, const struct step *step)
{
    struct backend *backend = &pool->backends[1];
    const struct addr client = support_addr_v4(step->client);

    switch (step->event) {
    case ASKED:
        passive_asked(backend, &client, step->at_ms);
        break;
    case ANSWERED:
        passive_answered(backend, false);
        break;
    case HEARD:
        passive_heard(backend, step->at_ms);
        break;
    case PROBED:
        passive_probed(backend, step->at_ms);
        break;
    case BACK:
        passive_forget(backend);
        break;
    case REVIEW:
    case END:
    default:
        passive_review(pool, step->at_ms);
        break;
    }
}

static void test_courses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof courses / sizeof courses[0]; i++) {
        const struct course *course = &courses[i];
        struct pool *pool = support_pool(&service, 1);
        const struct passive *p = &pool->backends[1].passive;
        for (size_t k = 0; k < STEPS_MAX && course->steps[k].event != END; k++) {
            const struct step *step = &course->steps[k];
            tell(pool, step);
            if (p->suspicion != step->suspicion || p->avoided != step->avoided)
                fail_msg("%s, step %zu: suspicion %d, avoided %d", course->label, k, (int)p->suspicion,
                         p->avoided);
        }
        assert_int_equal(pool->backends[0].passive.suspicion, SUSPICION_NONE); /* it had no part in this */
        assert_false(pool->backends[0].passive.avoided);
        pool_destroy(pool);
    }
}

/* Clients that take turns are as many as they are turns: more is not remembered, and none of them answered.
 */
static void test_the_count_ends(void **state)
{
    struct pool *pool = support_pool(&service, 1);
    struct backend *backend = &pool->backends[0];
    const struct addr one = support_addr_v4(1), two = support_addr_v4(2);

    (void)state;
    for (int i = 0; i < 3; i++)
        passive_asked(backend, i % 2 ? &two : &one, 1000);
    assert_int_equal(backend->passive.evidence, PASSIVE_EVIDENCE);
    for (int i = 0; i < 100; i++)
        passive_asked(backend, i % 2 ? &one : &two, 1000 + PASSIVE_SILENT_MS);
    assert_int_equal(backend->passive.evidence, PASSIVE_EVIDENCE);
    assert_int_equal(backend->passive.suspicion, SUSPICION_SILENT);
    pool_destroy(pool);
}

/* That a backend knows IKEv1 is no evidence: it stays known. */
static void test_ikev1_is_remembered(void **state)
{
    struct pool *pool = support_pool(&service, 1);
    struct backend *backend = &pool->backends[0];

    (void)state;
    passive_answered(backend, false);
    assert_false(backend->passive.answers_v1);
    passive_answered(backend, true);
    assert_true(backend->passive.answers_v1);
    passive_answered(backend, false);
    passive_forget(backend);
    assert_true(backend->passive.answers_v1);
    assert_false(pool->backends[1].passive.answers_v1);
    pool_destroy(pool);
}

static void test_names(void **state)
{
    (void)state;
    assert_null(passive_suspicion_name(SUSPICION_NONE));
    assert_string_equal(passive_suspicion_name(SUSPICION_SILENT), "silent");
    assert_string_equal(passive_suspicion_name(SUSPICION_REFUSING), "refusing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courses),
        cmocka_unit_test(test_the_count_ends),
        cmocka_unit_test(test_ikev1_is_remembered),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
