#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/err.h"
#include "lb/flows.h"
#include "tests/unit/support.h"

static struct flow transparent(const char *client, uint16_t port, uint16_t listener, uint16_t server)
{
    return (struct flow){
        .client = support_addr(client),
        .client_port = port,
        .listener = listener,
        .backend = 9,
        .server = server,
        .source = FLOW_SOURCE_CLIENT,
        .source_port = port,
        .pin = 77,
    };
}

static struct flow_in_key in_key(const struct flow *f)
{
    return (struct flow_in_key){.client = f->client, .client_port = f->client_port, .listener = f->listener};
}

static void test_found_from_both_sides(void **state)
{
    struct flows *flows = flows_create(8, 4, 1);
    const struct flow made = transparent("192.0.2.1", 4500, 3, 2);
    uint32_t index = FLOW_NONE;

    (void)state;
    assert_non_null(flows);
    assert_int_equal(flows_insert(flows, &made, UINT64_C(0x100000005), &index), 0);
    const struct flow *f = flows_get(flows, index);
    assert_int_equal(f->backend, 9);
    assert_int_equal(f->pin, 77);
    assert_int_equal(f->seen_ms, 5);
    assert_int_equal(f->flags, 0);
    assert_int_equal((uintptr_t)f % 64, 0);

    const struct flow_in_key in = in_key(&made);
    const struct flow_out_key out = {
        .client = made.client, .source = FLOW_SOURCE_CLIENT, .source_port = 4500, .server = 2, .port = 1};
    assert_int_equal(flows_find_in(flows, &in), index);
    assert_int_equal(flows_find_out(flows, &out), index);
    flows_remove(flows, index);
    assert_int_equal(flows_find_in(flows, &in), FLOW_NONE);
    assert_int_equal(flows_find_out(flows, &out), FLOW_NONE);
    flows_destroy(flows);
    flows_destroy(NULL);
}

/* Each part of a key tells flows apart. */
static void test_each_part_of_the_key_counts(void **state)
{
    struct flows *flows = flows_create(8, 4, 1);
    const struct flow made = transparent("192.0.2.1", 4500, 3, 2);
    uint32_t index = FLOW_NONE;

    (void)state;
    assert_int_equal(flows_insert(flows, &made, 5, &index), 0);
    for (int part = 0; part < 3; part++) {
        struct flow_in_key key = in_key(&made);
        key.client = part == 0 ? support_addr("192.0.2.2") : key.client;
        key.client_port = (uint16_t)(key.client_port + (part == 1));
        key.listener = (uint16_t)(key.listener + 2 * (part == 2));
        assert_int_equal(flows_find_in(flows, &key), FLOW_NONE);
    }
    for (int part = 0; part < 5; part++) {
        struct flow_out_key key = flow_out_key(&made);
        key.client = part == 0 ? support_addr("192.0.2.2") : key.client;
        key.source = part == 1 ? 0 : key.source;
        key.source_port = (uint16_t)(key.source_port + (part == 2));
        key.server = (uint16_t)(key.server + (part == 3));
        key.port = (uint16_t)(key.port ^ (part == 4));
        assert_int_equal(flows_find_out(flows, &key), FLOW_NONE);
    }
    flows_destroy(flows);
}

/* In full-NAT mode a reply does not tell the client; its address in the key is not looked at. */
static void test_full_nat_key(void **state)
{
    struct flows *flows = flows_create(8, 4, 1);
    struct flow made = transparent("192.0.2.1", 4500, 3, 2);
    uint32_t index = FLOW_NONE;

    (void)state;
    made.source = 1;
    made.source_port = 20000;
    assert_int_equal(flows_insert(flows, &made, 5, &index), 0);
    struct flow_out_key key = {
        .client = support_addr("10.0.0.1"), .source = 1, .source_port = 20000, .server = 2, .port = 1};
    assert_int_equal(flows_find_out(flows, &key), index);
    key.source = 2;
    assert_int_equal(flows_find_out(flows, &key), FLOW_NONE);
    flows_destroy(flows);
}

/* All 65,535 of them come before one comes again, and zero never; flows do not begin alike. */
static void test_packet_ids(void **state)
{
    static bool given[UINT16_MAX + 1];
    struct flows *flows = flows_create(64, 64, 1);
    uint32_t index, alike = 0;
    uint16_t first = 0;

    (void)state;
    for (uint16_t i = 0; i < 64; i++) {
        const struct flow made = transparent("192.0.2.1", (uint16_t)(100 + i), 1, 2);
        assert_int_equal(flows_insert(flows, &made, 5, &index), 0);
        const uint16_t id = flows_next_id(flows_get(flows, index));
        alike += i > 0 && id == first;
        first = i == 0 ? id : first;
    }
    assert_true(alike < 8);
    for (uint32_t i = 0; i < UINT16_MAX; i++) {
        const uint16_t id = flows_next_id(flows_get(flows, index));
        assert_int_not_equal(id, 0);
        assert_false(given[id]);
        given[id] = true;
    }
    assert_true(given[flows_next_id(flows_get(flows, index))]);
    flows_destroy(flows);
}

/* Whether there is such a flow or not, looking ahead changes nothing. */
static void test_expecting(void **state)
{
    struct flows *flows = flows_create(8, 8, 1);
    const struct flow made[] = {transparent("192.0.2.1", 4500, 1, 2), transparent("192.0.2.2", 4500, 1, 2)};
    uint32_t index = FLOW_NONE;

    (void)state;
    assert_int_equal(flows_insert(flows, &made[0], 5, &index), 0);
    const struct flow before = *flows_get(flows, index);
    for (int i = 0; i < 2; i++) {
        const struct flow_in_key in = in_key(&made[i]);
        const struct flow_out_key out = flow_out_key(&made[i]);
        flows_expected_in(flows, flows_expect_in(flows, &in));
        flows_expected_out(flows, flows_expect_out(flows, &out));
        assert_int_equal(flows_find_in(flows, &in), i == 0 ? index : FLOW_NONE);
        assert_int_equal(flows_find_out(flows, &out), i == 0 ? index : FLOW_NONE);
    }
    assert_memory_equal(flows_get(flows, index), &before, sizeof before);
    flows_destroy(flows);
}

static void test_bounds_and_confirmation(void **state)
{
    struct flows *flows = flows_create(4, 2, 1);
    uint32_t index[4], unused;

    (void)state;
    assert_int_equal(flows_capacity(flows), 4);
    for (uint16_t i = 0; i < 2; i++) {
        const struct flow f = transparent("192.0.2.1", (uint16_t)(100 + i), 0, 0);
        assert_int_equal(flows_insert(flows, &f, i, &index[i]), 0);
    }
    struct flow f = transparent("192.0.2.1", 200, 0, 0);
    assert_false(flows_has_room(flows, false));
    assert_true(flows_has_room(flows, true));
    assert_int_equal(flows_insert(flows, &f, 9, &unused), ERR_FULL);
    f.flags =
        FLOW_CONFIRMED | FLOW_ESP_IN; /* all flags are taken over; one of them says which share it is of */
    assert_int_equal(flows_insert(flows, &f, 9, &index[2]), 0);
    assert_int_equal(flows_get(flows, index[2])->flags, FLOW_CONFIRMED | FLOW_ESP_IN);

    assert_int_equal(flows_oldest_unconfirmed(flows), index[0]);
    flows_confirm(flows, index[0], 50);
    assert_int_equal(flows_get(flows, index[0])->seen_ms, 50);
    flows_confirm(flows, index[0], 60); /* again: nothing more happens */
    assert_int_equal(flows_get(flows, index[0])->seen_ms, 50);
    assert_int_equal(flows_oldest_unconfirmed(flows), index[1]);
    assert_int_equal(flows_unconfirmed_count(flows), 1);
    f = transparent("192.0.2.1", 300, 0, 0);
    assert_int_equal(flows_insert(flows, &f, 9, &index[3]), 0);
    assert_false(flows_has_room(flows, true));
    f = transparent("192.0.2.1", 400, 0, 0);
    f.flags = FLOW_CONFIRMED;
    assert_int_equal(flows_insert(flows, &f, 9, &unused), ERR_FULL);
    assert_int_equal(flows_count(flows), 4);
    assert_null(flows_create(0, 0, 1));
    flows_destroy(flows);
}

/* The slow, obvious model: every flow in one array. Clients and ports are few, so keys come again and again.
 */
#define CAPACITY        120
#define UNCONFIRMED_MAX 40

struct model {
    struct flow flows[CAPACITY];
    uint32_t index[CAPACITY];
    uint64_t made[CAPACITY];
    uint32_t count;
    uint32_t unconfirmed;
};

static struct flow random_flow(uint64_t *random)
{
    struct flow f = {
        .client = support_addr_v4(support_random_below(random, 6)),
        .client_port = (uint16_t)(1 + support_random_below(random, 5)),
        .listener = (uint16_t)support_random_below(random, 4),
        .server = (uint16_t)support_random_below(random, 3),
        .source = (uint16_t)support_random_below(random, 3),
        .source_port = (uint16_t)(1 + support_random_below(random, 20)),
        .pin = (uint32_t)support_random(random),
        .flags = support_random_below(random, 3) == 0 ? FLOW_CONFIRMED : 0,
    };

    if (f.source == 2) {
        f.source = FLOW_SOURCE_CLIENT;
        f.source_port = f.client_port;
    }
    return f;
}

static bool same_in(const struct flow *a, const struct flow *b)
{
    return addr_equal(&a->client, &b->client) && a->client_port == b->client_port &&
           a->listener == b->listener;
}

static bool same_out(const struct flow *a, const struct flow *b)
{
    return a->source == b->source && a->source_port == b->source_port && a->server == b->server &&
           a->listener % 2 == b->listener % 2 &&
           (a->source != FLOW_SOURCE_CLIENT || addr_equal(&a->client, &b->client));
}

/* Position of the flow with the same key, or CAPACITY. */
static uint32_t find(const struct model *m, const struct flow *f,
                     bool (*same)(const struct flow *, const struct flow *))
{
    for (uint32_t i = 0; i < m->count; i++)
        if (same(&m->flows[i], f))
            return i;
    return CAPACITY;
}

static void forget(struct model *m, uint32_t at)
{
    m->unconfirmed -= !(m->flows[at].flags & FLOW_CONFIRMED);
    m->count--;
    m->flows[at] = m->flows[m->count];
    m->index[at] = m->index[m->count];
    m->made[at] = m->made[m->count];
}

static void step_insert(struct model *m, struct flows *flows, const struct flow *f, uint64_t step)
{
    const bool confirmed = f->flags & FLOW_CONFIRMED;
    const bool fits = m->count < CAPACITY && (confirmed || m->unconfirmed < UNCONFIRMED_MAX);
    uint32_t index;

    assert_int_equal(flows_has_room(flows, confirmed), fits);
    assert_int_equal(flows_insert(flows, f, step, &index), fits ? 0 : ERR_FULL);
    if (!fits)
        return;
    m->flows[m->count] = *f;
    m->index[m->count] = index;
    m->made[m->count] = step;
    m->count++;
    m->unconfirmed += !confirmed;
}

static void step_model(struct model *m, struct flows *flows, uint64_t *random, uint64_t step)
{
    const struct flow f = random_flow(random);
    const uint32_t by_in = find(m, &f, same_in), by_out = find(m, &f, same_out);
    const struct flow_in_key in = in_key(&f);
    const struct flow_out_key out = flow_out_key(&f);

    assert_int_equal(flows_find_in(flows, &in), by_in == CAPACITY ? FLOW_NONE : m->index[by_in]);
    assert_int_equal(flows_find_out(flows, &out), by_out == CAPACITY ? FLOW_NONE : m->index[by_out]);
    if (by_in == CAPACITY && by_out == CAPACITY) {
        step_insert(m, flows, &f, step);
    } else if (by_in != CAPACITY && support_random_below(random, 2)) {
        flows_confirm(flows, m->index[by_in], step);
        m->unconfirmed -= !(m->flows[by_in].flags & FLOW_CONFIRMED);
        m->flows[by_in].flags |= FLOW_CONFIRMED;
    } else {
        const uint32_t at = by_in != CAPACITY ? by_in : by_out;
        assert_int_equal(flows_get(flows, m->index[at])->pin, m->flows[at].pin);
        flows_remove(flows, m->index[at]);
        forget(m, at);
    }
    assert_int_equal(flows_count(flows), m->count);
    assert_int_equal(flows_unconfirmed_count(flows), m->unconfirmed);
}

static void check_model(const struct model *m, struct flows *flows)
{
    uint32_t oldest = FLOW_NONE, cursor = 0, walked = 0;
    uint64_t oldest_made = UINT64_MAX;

    for (uint32_t i = 0; i < m->count; i++) {
        if (!(m->flows[i].flags & FLOW_CONFIRMED) && m->made[i] < oldest_made) {
            oldest = m->index[i];
            oldest_made = m->made[i];
        }
    }
    assert_int_equal(flows_oldest_unconfirmed(flows), oldest);
    for (uint32_t budget = 0; budget == 0;) { /* in slices of seven slots, to the end */
        budget = 7;
        while (flows_next(flows, &cursor, &budget) != FLOW_NONE)
            walked++;
    }
    assert_int_equal(walked, m->count);
}

static void test_random(void **state)
{
    uint64_t random = support_seed();
    struct flows *flows = flows_create(CAPACITY, UNCONFIRMED_MAX, support_random(&random));
    struct model *m = calloc(1, sizeof *m);

    (void)state;
    assert_true(flows && m);
    for (uint64_t step = 1; step <= 300000; step++) {
        step_model(m, flows, &random, step);
        if (step % 64 == 0)
            check_model(m, flows);
    }
    flows_destroy(flows);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_from_both_sides),
        cmocka_unit_test(test_each_part_of_the_key_counts),
        cmocka_unit_test(test_full_nat_key),
        cmocka_unit_test(test_packet_ids),
        cmocka_unit_test(test_expecting),
        cmocka_unit_test(test_bounds_and_confirmation),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
