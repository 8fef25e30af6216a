#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "lb/xdp/table.h"
#include "tests/unit/support.h"

/* The table on plain memory: it does not care whose that is. */

#define SEED UINT64_C(0x123456789abcdef)

static struct table make(uint32_t slots)
{
    struct table t = {
        .entries = calloc(slots + TABLE_TAIL, sizeof(struct xdp_entry)), .slots = slots, .seed = SEED};

    assert_non_null(t.entries);
    return t;
}

static uint32_t home_of(const struct table *t, const struct table_key *key)
{
    __u64 src[2], dst[2];

    table_put_addr(src, &key->src.addr);
    table_put_addr(dst, &key->dst.addr);
    return xdp_home(src, dst, htons(key->src.port), htons(key->dst.port), t->seed, t->slots);
}

/* The number-th client's packets to the VIP. */
static struct table_key key_of(uint32_t number)
{
    return (struct table_key){.src = {.addr = support_addr_v4(number), .port = 4500},
                              .dst = support_endpoint("203.0.113.10", 4500)};
}

/* The next key from *number on whose home that slot is. */
static struct table_key key_at(const struct table *t, uint32_t home, uint32_t *number)
{
    for (;;) {
        const struct table_key key = key_of((*number)++);
        if (home_of(t, &key) == home)
            return key;
    }
}

static const struct xdp_entry plain = {.state = XDP_IN, .new_port = 1};

static uint32_t insert(struct table *t, const struct table_key *key, uint32_t now)
{
    return table_insert(t, key, &plain, now);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *addr;
        uint8_t bytes[16];
    } rows[] = {
        {"198.51.100.7", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7}},
        {"2001:db8::7", {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct addr addr = support_addr(rows[i].addr);
        __u64 words[2];
        table_put_addr(words, &addr);
        assert_memory_equal(words, rows[i].bytes, 16);
        const struct addr back = table_addr(words);
        assert_true(addr_equal(&back, &addr));
    }
}

/* Towards us, the client sends to the VIP; and the server to whoever it takes for the client. */
static void test_keys_of_a_flow(void **state)
{
    const struct fastpath_binding binding = {
        .client = support_endpoint("198.51.100.7", 40000),
        .vip = support_endpoint("203.0.113.10", 4500),
        .source = support_endpoint("10.2.0.100", 2000),
        .server = support_endpoint("10.2.0.1", 4500),
    };
    const struct table_key in = table_key_in(&binding), out = table_key_out(&binding);

    (void)state;
    assert_true(endpoint_equal(&in.src, &binding.client) && endpoint_equal(&in.dst, &binding.vip));
    assert_true(endpoint_equal(&out.src, &binding.server) && endpoint_equal(&out.dst, &binding.source));
}

/* Every field comes in as the program is to read it; the slot's own reach is not the entry's affair. */
static void test_an_entry_in_and_out(void **state)
{
    static const char *const clients[] = {"198.51.100.7", "2001:db8::7"};
    const struct xdp_entry entry = {.state = XDP_OUT,
                                    .reach = 9,
                                    .new_port = 11,
                                    .seen = 12,
                                    .place = 13,
                                    .is_asked = 1,
                                    .client = {3, 4}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct table t = make(64);
        const struct table_key key = {.src = support_endpoint(clients[i], 0x1234),
                                      .dst = support_endpoint("2001:db8::10", 4500)};
        assert_int_equal(table_find(&t, &key), TABLE_NONE);
        const uint32_t at = table_insert(&t, &key, &entry, 20);
        assert_int_equal(at, home_of(&t, &key));
        assert_int_equal(table_find(&t, &key), at);
        const struct xdp_entry *made = &t.entries[at];
        assert_memory_equal(made->src, key.src.addr.bytes, 16);
        assert_memory_equal(made->dst, key.dst.addr.bytes, 16);
        assert_int_equal(ntohs(made->src_port), 0x1234);
        assert_int_equal(ntohs(made->dst_port), 4500);
        assert_int_equal(made->state, XDP_OUT);
        assert_int_equal(made->reach, 0);
        assert_int_equal(made->new_port, 11);
        assert_int_equal(made->seen, 12);
        assert_int_equal(made->place, 13);
        assert_int_equal(made->is_asked, 1);
        assert_memory_equal(made->client, entry.client, 16);
        assert_true(table_is_used(&t, at));
        assert_int_equal(t.count, 1);
        table_remove(&t, at, 30);
        assert_int_equal(table_find(&t, &key), TABLE_NONE);
        assert_false(table_is_used(&t, at));
        assert_int_equal(made->state, XDP_GONE);
        assert_int_equal(made->seen, 30);
        assert_int_equal(t.count, 0);
        free(t.entries);
    }
}

/* Keys that differ in one thing only; the first is the one that the others are compared with. */
static const struct {
    const char *src;
    uint16_t src_port;
    const char *dst;
    uint16_t dst_port;
} near_keys[] = {
    {"198.51.100.7", 4500, "203.0.113.10", 4500},
    {"198.51.100.8", 4500, "203.0.113.10", 4500},
    {"199.51.100.7", 4500, "203.0.113.10", 4500},
    {"198.51.100.7", 4501, "203.0.113.10", 4500},
    {"198.51.100.7", 4500, "203.0.113.11", 4500},
    {"198.51.100.7", 4500, "203.0.113.10", 4501},
    {"203.0.113.10", 4500, "198.51.100.7", 4500},
    {"::c633:6407", 4500, "203.0.113.10", 4500}, /* the same four bytes, but IPv6 */
    {"198.51.100.7", 4500, "::cb00:710a", 4500},
    {"2001:db8:1::1", 4500, "2001:db8:2::1", 4500},
    {"2001:db8:2::1", 4500, "2001:db8:1::1", 4500},
    {"2001:db9:1::1", 4500, "2001:db8:2::1", 4500},
    {"2001:db8:1::1", 4500, "2001:db8:3::1", 4500},
    /* of full NAT: one server, one source address, and the port tells the clients apart */
    {"10.2.0.1", 4500, "10.2.0.100", 1024},
    {"10.2.0.1", 4500, "10.2.0.100", 1025},
    {"10.2.0.2", 4500, "10.2.0.100", 1024},
};
#define NEAR_KEYS (sizeof near_keys / sizeof near_keys[0])

static struct table_key near_key(size_t i)
{
    return (struct table_key){.src = support_endpoint(near_keys[i].src, near_keys[i].src_port),
                              .dst = support_endpoint(near_keys[i].dst, near_keys[i].dst_port)};
}

static void check_near_keys(uint32_t slots)
{
    struct table t = make(slots);
    uint32_t at[NEAR_KEYS];

    for (size_t i = 0; i < NEAR_KEYS; i++) {
        const struct table_key key = near_key(i);
        assert_int_equal(table_find(&t, &key), TABLE_NONE);
        at[i] = insert(&t, &key, 0);
        assert_int_not_equal(at[i], TABLE_NONE);
    }
    for (size_t i = 0; i < NEAR_KEYS; i++) {
        const struct table_key key = near_key(i);
        assert_int_equal(table_find(&t, &key), at[i]);
        table_remove(&t, at[i], 0);
        for (size_t k = 0; k < NEAR_KEYS; k++) {
            const struct table_key other = near_key(k);
            assert_int_equal(table_find(&t, &other), k <= i ? TABLE_NONE : at[k]);
        }
    }
    free(t.entries);
}

/* In a table where they seldom meet, and in one where all of them do. */
static void test_keys_that_are_nearly_alike(void **state)
{
    (void)state;
    check_near_keys(4096);
    check_near_keys(1);
}

/* Everything in a key counts for its home: what did not would let strangers crowd one window. */
static void test_homes_are_spread(void **state)
{
    const struct table t = {.slots = 1U << 30, .seed = SEED};
    const struct table other = {.slots = t.slots, .seed = SEED + 1};

    (void)state;
    for (size_t i = 0; i < NEAR_KEYS; i++) {
        const struct table_key a = near_key(i);
        assert_true(home_of(&t, &a) < t.slots);
        assert_int_not_equal(home_of(&t, &a), home_of(&other, &a));
        for (size_t k = 0; k < i; k++) {
            const struct table_key b = near_key(k);
            assert_int_not_equal(home_of(&t, &a), home_of(&t, &b));
        }
    }
}

/* A window holds XDP_WINDOW entries and no more, also the last one, which ends in the tail. */
static void check_full_window(uint32_t slots, uint32_t home)
{
    struct table t = make(slots);
    struct table_key keys[XDP_WINDOW + 1];
    uint32_t number = 0;

    for (uint32_t i = 0; i <= XDP_WINDOW; i++)
        keys[i] = key_at(&t, home, &number);
    for (uint32_t i = 0; i < XDP_WINDOW; i++) {
        assert_int_equal(insert(&t, &keys[i], 0), home + i);
        assert_int_equal(t.entries[home].reach, i);
    }
    assert_int_equal(insert(&t, &keys[XDP_WINDOW], 0), TABLE_NONE);
    assert_int_equal(table_find(&t, &keys[XDP_WINDOW]), TABLE_NONE);
    assert_int_equal(t.count, XDP_WINDOW);
    for (uint32_t i = 0; i < XDP_WINDOW; i++)
        assert_int_equal(table_find(&t, &keys[i]), home + i);
    table_remove(&t, home + 5, 100); /* the first that is free is taken */
    assert_int_equal(t.entries[home].reach, XDP_WINDOW - 1);
    assert_int_equal(insert(&t, &keys[XDP_WINDOW], 100 + TABLE_REST), home + 5);
    free(t.entries);
}

static void test_a_full_window(void **state)
{
    (void)state;
    check_full_window(1, 0);
    check_full_window(64, 0);
    check_full_window(64, 30);
    check_full_window(64, 63); /* the end of the memory: its sanitizer watches */
}

/* A home's reach is that of its own entries, whoever stands between, and shrinks when the last one goes. */
static void test_reach(void **state)
{
    struct table t = make(64);
    uint32_t number = 0;
    const struct table_key a = key_at(&t, 10, &number), b = key_at(&t, 10, &number),
                           c = key_at(&t, 10, &number);
    const struct table_key other = key_at(&t, 11, &number);

    (void)state;
    assert_int_equal(insert(&t, &a, 0), 10);
    assert_int_equal(insert(&t, &other, 0), 11);
    assert_int_equal(insert(&t, &b, 0), 12);
    assert_int_equal(insert(&t, &c, 0), 13);
    assert_int_equal(t.entries[10].reach, 3);
    assert_int_equal(t.entries[11].reach, 0);
    table_remove(&t, 12, 0); /* the middle one: the last must still be found */
    assert_int_equal(t.entries[10].reach, 3);
    assert_int_equal(table_find(&t, &c), 13);
    table_remove(&t, 13, 0);
    assert_int_equal(t.entries[10].reach, 0); /* what stands at 11 is another's */
    assert_int_equal(table_find(&t, &a), 10);
    table_remove(&t, 10, 0);
    assert_int_equal(table_find(&t, &other), 11);
    /* The home itself is taken by a stranger, and its own entries stand further on. */
    assert_int_equal(insert(&t, &a, 0), 14); /* 10, 12 and 13 rest */
    assert_int_equal(t.entries[10].reach, 4);
    assert_int_equal(table_find(&t, &a), 14);
    free(t.entries);
}

/* What was removed is not used again for a while, by however much the clock has come round. */
static void test_rest(void **state)
{
    static const struct {
        uint32_t removed, now;
        bool is_free;
    } rows[] = {
        {5000, 5000, false},
        {5000, 5000 + TABLE_REST - 1, false},
        {5000, 5000 + TABLE_REST, true},
        {5000, 5000 + 100 * TABLE_REST, true},
        {UINT32_MAX - 10, TABLE_REST - 12, false},
        {UINT32_MAX - 10, TABLE_REST - 11, true},
        {0, 0, false},
        {0, UINT32_C(3000000000), true}, /* more than half way round */
        {5000, 4990, false},             /* a packet that was under way has left a later time */
        {5, UINT32_MAX - 50, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct table t = make(1);
        const struct table_key key = key_of(1);
        assert_int_equal(insert(&t, &key, 0), 0);
        table_remove(&t, 0, rows[i].removed);
        assert_int_equal(insert(&t, &key, rows[i].now), rows[i].is_free ? 0 : 1);
        assert_int_equal(table_find(&t, &key), rows[i].is_free ? 0 : 1);
        free(t.entries);
    }
}

#define DAY_NS UINT64_C(86400000000000)

static uint32_t ticks_of(uint64_t ns)
{
    return (uint32_t)(ns >> XDP_TICK_SHIFT);
}

/* Ticks come round after 52 days, and milliseconds that a flow's times are compared in after half of 49. */
static void test_ages(void **state)
{
    static const struct {
        uint64_t ago_ns;
        uint32_t age_ms;
    } rows[] = {
        {0, 0},
        {UINT64_C(1) << XDP_TICK_SHIFT, 1},
        {UINT64_C(1000) << XDP_TICK_SHIFT, 1048},
        {DAY_NS, 86399999}, /* in whole ticks */
        {24 * DAY_NS, 2073599999},
        {25 * DAY_NS, INT32_MAX},
        {26 * DAY_NS, INT32_MAX},
        {27 * DAY_NS, INT32_MAX},
        {45 * DAY_NS, INT32_MAX},
        {52 * DAY_NS, INT32_MAX},
    };
    static const uint32_t nows[] = {0, 1, 5, 0x7fffffff, 0x80000000, UINT32_MAX - 3, UINT32_MAX};

    (void)state;
    for (size_t k = 0; k < sizeof nows / sizeof nows[0]; k++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            const struct xdp_entry entry = {.seen = nows[k] - ticks_of(rows[i].ago_ns)};
            assert_int_equal(table_age_ms(&entry, nows[k]), rows[i].age_ms);
        }
        for (uint32_t ahead = 1; ahead <= XDP_AHEAD_MAX + 1; ahead++) { /* a packet has passed just now */
            const struct xdp_entry entry = {.seen = nows[k] + ahead};
            assert_int_equal(table_age_ms(&entry, nows[k]), ahead <= XDP_AHEAD_MAX ? 0 : INT32_MAX);
        }
    }
}

/* A window whose slots all rest is full, until they have. */
static void test_a_window_at_rest(void **state)
{
    struct table t = make(1);
    const struct table_key key = key_of(1);

    (void)state;
    for (uint32_t i = 0; i < XDP_WINDOW; i++) {
        assert_int_equal(insert(&t, &key, 0), i);
        table_remove(&t, i, 0);
    }
    assert_int_equal(insert(&t, &key, TABLE_REST - 1), TABLE_NONE);
    assert_int_equal(t.count, 0);
    assert_int_equal(insert(&t, &key, TABLE_REST), 0);
    free(t.entries);
}

/* A reference that is too simple to be wrong: who stands where, and since when who does not. */
#define MODEL_SLOTS 96
#define MODEL_KEYS  160

struct model {
    struct table t;
    struct table_key keys[MODEL_KEYS];
    uint32_t homes[MODEL_KEYS];
    uint32_t at[MODEL_KEYS];                       /* TABLE_NONE: not there */
    uint64_t free_since[MODEL_SLOTS + TABLE_TAIL]; /* UINT64_MAX: not free */
    uint64_t now;
    uint32_t count;
};

static uint32_t expected_slot(const struct model *m, uint32_t key)
{
    for (uint32_t i = m->homes[key]; i < m->homes[key] + XDP_WINDOW; i++)
        if (m->free_since[i] <= m->now)
            return i;
    return TABLE_NONE;
}

static void model_step(struct model *m, uint64_t *random)
{
    const uint32_t key = support_random_below(random, MODEL_KEYS);
    const uint32_t at = m->at[key];

    m->now += support_random_below(random, 40);
    if (at != TABLE_NONE) {
        table_remove(&m->t, at, (uint32_t)m->now);
        m->free_since[at] = m->now + TABLE_REST;
        m->at[key] = TABLE_NONE;
        m->count--;
        return;
    }
    m->at[key] = insert(&m->t, &m->keys[key], (uint32_t)m->now);
    assert_int_equal(m->at[key], expected_slot(m, key));
    if (m->at[key] == TABLE_NONE)
        return;
    m->free_since[m->at[key]] = UINT64_MAX;
    m->count++;
}

static void check_model(const struct model *m)
{
    uint8_t reach[MODEL_SLOTS] = {0};

    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        assert_int_equal(table_find(&m->t, &m->keys[key]), m->at[key]);
        if (m->at[key] != TABLE_NONE && reach[m->homes[key]] < m->at[key] - m->homes[key])
            reach[m->homes[key]] = (uint8_t)(m->at[key] - m->homes[key]);
    }
    for (uint32_t i = 0; i < MODEL_SLOTS; i++)
        assert_int_equal(m->t.entries[i].reach, reach[i]);
    assert_int_equal(m->t.count, m->count);
}

static void test_random(void **state)
{
    struct model m = {.t = make(MODEL_SLOTS), .now = UINT32_MAX - 20000};
    uint64_t random = support_seed();
    uint32_t refused = 0;

    (void)state;
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        m.keys[key] = key_of(key);
        if (key % 3 == 0) /* crowded: some windows must come to be full */
            m.keys[key].src.addr = support_addr("2001:db8::1"), m.keys[key].src.port = (uint16_t)key;
        m.homes[key] = home_of(&m.t, &m.keys[key]);
        m.at[key] = TABLE_NONE;
    }
    for (int i = 0; i < 20000; i++) {
        const uint32_t before = m.count;
        model_step(&m, &random);
        refused += m.count == before;
        check_model(&m);
    }
    assert_true(refused > 0);
    free(m.t.entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_keys_of_a_flow),
        cmocka_unit_test(test_an_entry_in_and_out),
        cmocka_unit_test(test_keys_that_are_nearly_alike),
        cmocka_unit_test(test_homes_are_spread),
        cmocka_unit_test(test_a_full_window),
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_a_window_at_rest),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
