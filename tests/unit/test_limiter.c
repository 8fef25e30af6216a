/* Tokens per source address: exact rates, bursts, who shares a bucket and who is forgotten. */
#include "tests/unit/unit.h"

#include "lb/limiter.h"
#include "tests/unit/support.h"

#define SEED     0x5eed
#define SECOND   1000ULL
#define HOUR     (3600 * SECOND)
#define WAYS     8U /* addresses that compete for a place */
#define CROWD    200000U
#define WRAP32   (1ULL << 32)
#define YEARS500 (500ULL * 365 * 24 * HOUR)

static struct limiter *created(uint32_t rate_per_s, uint32_t burst)
{
    struct limiter *limiter = limiter_create(rate_per_s, burst, SEED);

    assert_non_null(limiter);
    return limiter;
}

/* Takes until there is nothing left; how many it were. */
static uint64_t drain(struct limiter *limiter, const struct addr *client, uint64_t now_ms)
{
    uint64_t taken = 0;

    while (limiter_take(limiter, client, now_ms))
        taken++;
    return taken;
}

/* Whoever takes all there is, at whatever pace, gets the burst and then the rate, to the token. (One more may
 * be there because the bucket was full for some time before.) */
static void test_exact_rate(void **state)
{
    static const struct {
        uint32_t rate_per_s;
        uint32_t burst;
        uint64_t begin_ms;
        uint64_t step_ms;
        uint64_t steps;
    } CASES[] = {
        {1, 1, 0, 1, HOUR / 4},
        {1, 1, 12345, 250, 48 * HOUR / 250},
        {1, 5, 0, 999, 100000},
        {3, 1, 1, 1, HOUR / 4},
        {7, 2, 77, 13, 200000},
        {999, 1, 0, 1, 600 * SECOND},
        {1000, 1, 0, 1, 600 * SECOND},
        {1001, 2, 0, 1, 600 * SECOND},
        {200, 2000, 0, 7, 100000},
        {LIMITER_RATE_MAX, 1000, 5, 1, SECOND},
        {LIMITER_RATE_MAX, 3333, 5, 3, SECOND / 4},
        {3, 1, WRAP32 - 10 * SECOND, 1, 20 * SECOND},
        {1, 3, WRAP32 / 2 - 10 * SECOND, 3, 20 * SECOND},
        {LIMITER_RATE_MAX, 5000, WRAP32 - 50, 1, 100},
        {LIMITER_RATE_MAX, 5000, YEARS500, 1, 100},
    };
    const struct addr client = support_addr("192.0.2.1");

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct limiter *limiter = created(CASES[i].rate_per_s, CASES[i].burst);
        const uint64_t expected =
            CASES[i].burst + CASES[i].steps * CASES[i].step_ms * CASES[i].rate_per_s / SECOND;
        uint64_t taken = 0;

        for (uint64_t step = 0; step <= CASES[i].steps; step++)
            taken += drain(limiter, &client, CASES[i].begin_ms + step * CASES[i].step_ms);
        if (taken < expected || taken > expected + 1)
            fail_msg("case %zu: %llu tokens instead of %llu", i, (unsigned long long)taken,
                     (unsigned long long)expected);
        limiter_destroy(limiter);
    }
}

/* What there is after the bucket was emptied and left alone: not one too early, not one over the burst. */
static void test_refill(void **state)
{
    static const struct {
        uint32_t rate_per_s;
        uint32_t burst;
        uint64_t idle_ms;
        uint64_t left;
    } CASES[] = {
        {1, 1, 0, 0},
        {1, 1, 999, 0},
        {1, 1, 1000, 1},
        {1, 1, 1000000, 1},
        {1, 3, 1999, 1},
        {1, 3, 2999, 2},
        {1, 3, 3000, 3},
        {1, 3, 4000, 3},
        {3, 10, 332, 0},
        {3, 10, 333, 1},
        {3, 10, 665, 1},
        {3, 10, 666, 2},
        {200, 2000, 4, 0},
        {200, 2000, 5, 1},
        {200, 2000, 9994, 1998},
        {200, 2000, 9999, 1999},
        {200, 2000, 10000, 2000},
        {200, 2000, 365ULL * 24 * HOUR, 2000},
        {LIMITER_RATE_MAX, LIMITER_BURST_MAX, 1, 1000},
        {LIMITER_RATE_MAX, 999, 1, 999},
        {1, 2, WRAP32, 2},
        {1, 2, WRAP32 + 500, 2},
        {1, 3, YEARS500, 3},
    };
    const struct addr client = support_addr("2001:db8::1");

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct limiter *limiter = created(CASES[i].rate_per_s, CASES[i].burst);
        uint64_t left;

        assert_int_equal(drain(limiter, &client, 42), CASES[i].burst);
        left = drain(limiter, &client, 42 + CASES[i].idle_ms);
        if (left != CASES[i].left)
            fail_msg("case %zu: %llu tokens instead of %llu", i, (unsigned long long)left,
                     (unsigned long long)CASES[i].left);
        limiter_destroy(limiter);
    }
}

/* A hundred thousand packets a second in vain do not delay the next token, nor hasten it. */
static void test_no_starvation(void **state)
{
    struct limiter *limiter = created(1, 1);
    const struct addr client = support_addr("192.0.2.1");

    (void)state;
    for (uint64_t now_ms = 0; now_ms <= 5 * SECOND; now_ms++) {
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(limiter_take(limiter, &client, now_ms), now_ms % SECOND == 0 && i == 0);
    }
    limiter_destroy(limiter);
}

/* Against the textbook bucket, which holds tokens (and what comes in the millisecond in which it gets full).
 */
static void test_against_a_plain_bucket(void **state)
{
    const struct addr client = support_addr("198.51.100.7");
    uint64_t random = support_seed();

    (void)state;
    for (unsigned run = 0; run < 300; run++) {
        const uint32_t rate_per_s = 1 + support_random_below(&random, run % 2 ? 20 : 5000);
        const uint32_t burst = 1 + support_random_below(&random, 50);
        struct limiter *limiter = created(rate_per_s, burst);
        const uint64_t most = burst * SECOND + (rate_per_s < SECOND ? rate_per_s : SECOND) - 1;
        uint64_t thousandths = most;
        uint64_t now_ms = support_random(&random) % (2 * WRAP32);

        for (unsigned i = 0; i < 2000; i++) {
            const uint64_t pause_ms =
                support_random_below(&random, 4) ? 0 : support_random_below(&random, 300);
            thousandths += pause_ms * rate_per_s;
            thousandths = thousandths > most ? most : thousandths;
            now_ms += pause_ms;
            if (limiter_take(limiter, &client, now_ms) != (thousandths >= SECOND))
                fail_msg("run %u, packet %u", run, i);
            thousandths -= thousandths >= SECOND ? SECOND : 0;
        }
        limiter_destroy(limiter);
    }
}

static void test_who_shares_a_bucket(void **state)
{
    static const struct {
        const char *first;
        const char *second;
        bool shared;
    } CASES[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "192.0.3.1", false},
        {"192.0.2.1", "193.0.2.1", false},
        {"192.0.2.1", "192.1.2.1", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"::1", "192.0.2.1", false},
        {"::ffff", "0.0.255.255", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::2", true},
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
        {"2001:db8::1", "2001:db8:0:0:8000::1", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"2001:db8::1", "2001:db9::1", false},
        {"2001:db8::1", "a001:db8::1", false},
        {"2001:db8::ffff:c000:201", "2001:db8::ffff:c000:202", true},
        {"2001:db8::ffff:c000:201", "192.0.2.1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct limiter *limiter = created(1, 3);
        const struct addr first = support_addr(CASES[i].first);
        const struct addr second = support_addr(CASES[i].second);

        assert_int_equal(drain(limiter, &first, 0), 3);
        if (drain(limiter, &second, 0) != (CASES[i].shared ? 0 : 3))
            fail_msg("%s and %s", CASES[i].first, CASES[i].second);
        limiter_destroy(limiter);
    }
}

/* Many addresses at their own pace, one that floods: it alone is held back, and it is. */
static void test_the_noisy_alone(void **state)
{
    struct limiter *limiter = created(10, 20);
    const struct addr noisy = support_addr("203.0.113.66");
    uint64_t noisy_taken = 0;

    (void)state;
    for (uint64_t now_ms = 0; now_ms <= 10 * SECOND; now_ms++) {
        for (unsigned i = 0; i < 50; i++)
            noisy_taken += limiter_take(limiter, &noisy, now_ms);
        /* Each of 1,000 addresses ten times a second, which is just what it may. */
        for (uint32_t i = 0; i < 10; i++) {
            const struct addr quiet = support_addr_v4((uint32_t)(now_ms % 100) * 10 + i);
            assert_true(limiter_take(limiter, &quiet, now_ms));
        }
    }
    assert_int_equal(noisy_taken, 20 + 10 * 10);
    limiter_destroy(limiter);
}

/* Nor do any that lie in one place of the table: each has its own tokens. */
static void test_many_share_nothing(void **state)
{
    struct limiter *limiter = created(1, 1);

    (void)state;
    for (uint32_t i = 0; i < CROWD; i++) {
        struct addr network = {.bytes = {0x20, 0x01, 0x0d, (uint8_t)(i >> 16)}};
        const struct addr v4 = support_addr_v4(i);

        /* The number stands in either half of the network's 64 bits. */
        network.bytes[i % 2 ? 4 : 6] = (uint8_t)(i >> 8);
        network.bytes[i % 2 ? 5 : 7] = (uint8_t)i;
        assert_true(limiter_take(limiter, &network, 0));
        assert_true(limiter_take(limiter, &v4, 0));
    }
    limiter_destroy(limiter);
}

/* Addresses that compete for a place: those whose hash is alike in its lowest bits. */
static void find_rivals(struct addr *rivals, unsigned count)
{
    const struct addr first = support_addr_v4(1);
    unsigned found = 0;

    for (uint32_t i = 1; found < count; i++) {
        const struct addr a = support_addr_v4(i);
        if ((addr_hash(&a, SEED) ^ addr_hash(&first, SEED)) % (LIMITER_ADDRESSES / WAYS) == 0)
            rivals[found++] = a;
    }
}

static void test_the_oldest_is_forgotten(void **state)
{
    struct limiter *limiter = created(1, 1);
    struct addr rivals[WAYS + 2];

    (void)state;
    find_rivals(rivals, WAYS + 2);
    for (unsigned i = 0; i < WAYS; i++)
        assert_true(limiter_take(limiter, &rivals[i], i));
    /* There is room for so many. */
    for (unsigned i = 0; i < WAYS; i++)
        assert_false(limiter_take(limiter, &rivals[i], WAYS));
    assert_true(limiter_take(limiter, &rivals[WAYS], 10));
    assert_true(limiter_take(limiter, &rivals[WAYS + 1], 11));
    for (unsigned i = 2; i < WAYS + 2; i++)
        assert_false(limiter_take(limiter, &rivals[i], 12));
    /* Forgotten means a full bucket, and the place of the next in turn. */
    assert_true(limiter_take(limiter, &rivals[0], 13));
    assert_false(limiter_take(limiter, &rivals[0], 13));
    assert_false(limiter_take(limiter, &rivals[3], 14));
    assert_true(limiter_take(limiter, &rivals[2], 15));
    limiter_destroy(limiter);
}

/* The place of a full bucket is free, whoever had it and whenever. */
static void test_full_buckets_give_way_first(void **state)
{
    struct limiter *limiter = created(1, 10);
    struct addr rivals[WAYS + 1];

    (void)state;
    find_rivals(rivals, WAYS + 1);
    for (unsigned i = 0; i < WAYS; i++) {
        if (i == 5)
            assert_true(limiter_take(limiter, &rivals[i], 0));
        else
            assert_int_equal(drain(limiter, &rivals[i], 0), 10);
    }
    assert_int_equal(drain(limiter, &rivals[WAYS], 1000), 10);
    for (unsigned i = 0; i < WAYS; i++) {
        if (i != 5)
            assert_int_equal(drain(limiter, &rivals[i], 1000), 1);
    }
    limiter_destroy(limiter);
}

/* A flood from random addresses, more than the table holds: no one in it is refused, and the noisy address is
 * not forgotten over it. */
static void test_a_crowd(void **state)
{
    struct limiter *limiter = created(200, 2000);
    const struct addr noisy = support_addr("203.0.113.66");

    (void)state;
    assert_int_equal(drain(limiter, &noisy, 0), 2000);
    for (uint32_t i = 0; i < CROWD; i++) {
        const struct addr a = support_addr_v4(i);
        assert_true(limiter_take(limiter, &a, 4));
    }
    assert_int_equal(drain(limiter, &noisy, 4), 0);
    assert_int_equal(drain(limiter, &noisy, 5), 1);
    limiter_destroy(limiter);
}

/* How many may be active before any is forgotten, and that the whole table is used. Who is asked about and is
 * forgotten takes a place; as all are of the same age here, it is always the same one of the eight. */
static void test_room(void **state)
{
    static const struct {
        uint32_t active;
        uint32_t at_least;
        uint32_t at_most;
    } CASES[] = {
        {LIMITER_ADDRESSES / 8, LIMITER_ADDRESSES / 8 - 2, LIMITER_ADDRESSES / 8},
        {LIMITER_ADDRESSES / 4, LIMITER_ADDRESSES / 4 - 20, LIMITER_ADDRESSES / 4},
        {LIMITER_ADDRESSES / 2, LIMITER_ADDRESSES / 2 - 1000, LIMITER_ADDRESSES / 2},
        {4 * LIMITER_ADDRESSES, LIMITER_ADDRESSES / WAYS * (WAYS - 1) - 100, LIMITER_ADDRESSES},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct limiter *limiter = created(1, 1);
        uint32_t remembered = 0;

        for (uint32_t j = 0; j < CASES[i].active; j++) {
            const struct addr a = support_addr_v4(j);
            (void)limiter_take(limiter, &a, 0);
        }
        for (uint32_t j = 0; j < CASES[i].active; j++) {
            const struct addr a = support_addr_v4(j);
            remembered += !limiter_take(limiter, &a, 0);
        }
        assert_in_range(remembered, CASES[i].at_least, CASES[i].at_most);
        limiter_destroy(limiter);
    }
}

/* Where an address lies cannot be known from outside: another seed has other rivals. */
static void test_seed(void **state)
{
    struct limiter *limiter = limiter_create(1, 1, SEED + 1);
    struct addr rivals[2 * WAYS];

    (void)state;
    assert_non_null(limiter);
    find_rivals(rivals, 2 * WAYS);
    for (unsigned i = 0; i < 2 * WAYS; i++)
        assert_true(limiter_take(limiter, &rivals[i], i));
    for (unsigned i = 0; i < 2 * WAYS; i++)
        assert_false(limiter_take(limiter, &rivals[i], 2ULL * WAYS));
    limiter_destroy(limiter);
    limiter_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_rate),
        cmocka_unit_test(test_refill),
        cmocka_unit_test(test_no_starvation),
        cmocka_unit_test(test_against_a_plain_bucket),
        cmocka_unit_test(test_who_shares_a_bucket),
        cmocka_unit_test(test_the_noisy_alone),
        cmocka_unit_test(test_many_share_nothing),
        cmocka_unit_test(test_the_oldest_is_forgotten),
        cmocka_unit_test(test_full_buckets_give_way_first),
        cmocka_unit_test(test_a_crowd),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
