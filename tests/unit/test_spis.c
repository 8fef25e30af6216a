#include "tests/unit/unit.h"

#include <stdlib.h>

#include "persist/spis.h"
#include "tests/unit/support.h"

static struct spi_key key_of(uint32_t client, uint32_t spi)
{
    return (struct spi_key){.client = support_addr_v4(client), .spi = spi, .service = 1};
}

static void note(struct spis *spis, uint32_t client, uint32_t spi, uint32_t flow)
{
    const struct spi_key key = key_of(client, spi);

    spis_note(spis, &key, flow);
}

static uint32_t find(const struct spis *spis, uint32_t client, uint32_t spi,
                     uint32_t out[static SPIS_PROPOSALS_MAX])
{
    const struct spi_key key = key_of(client, spi);

    return spis_find(spis, &key, out);
}

static void test_found_as_noted(void **state)
{
    struct spis *spis = spis_create(100, 1);
    uint32_t out[SPIS_PROPOSALS_MAX];

    (void)state;
    assert_non_null(spis);
    assert_int_equal(find(spis, 1, 0x11223344, out), 0);
    note(spis, 1, 0x11223344, 5);
    assert_int_equal(find(spis, 1, 0x11223344, out), 1);
    assert_int_equal(out[0], 5);
    note(spis, 2, 0x11223344, 0); /* flow 0 is one like any other */
    assert_int_equal(find(spis, 2, 0x11223344, out), 1);
    assert_int_equal(out[0], 0);
    spis_destroy(spis);
    spis_destroy(NULL);
}

/* Whatever is different in the key, it is another. */
static void test_each_part_of_the_key_counts(void **state)
{
    struct spis *spis = spis_create(1, 1);
    const struct spi_key key = {.client = support_addr("2001:db8::1"), .spi = 1, .service = 1};
    struct spi_key others[] = {key, key, key, key, key, key};
    uint32_t out[SPIS_PROPOSALS_MAX];

    (void)state;
    others[0].client.bytes[0] ^= 0x80;
    others[1].client.bytes[15] ^= 1;
    others[2].spi ^= 1;
    others[3].spi ^= UINT32_C(1) << 31;
    others[4].service ^= 1;
    others[5].service ^= 1 << 15;
    spis_note(spis, &key, 1);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(spis_find(spis, &others[i], out), 0);
    assert_int_equal(spis_find(spis, &key, out), 1);
    spis_destroy(spis);
}

static void test_the_latest_stands_first(void **state)
{
    struct spis *spis = spis_create(100, 1);
    uint32_t out[SPIS_PROPOSALS_MAX];

    (void)state;
    for (uint32_t flow = 1; flow <= 3; flow++)
        note(spis, 1, 9, flow);
    assert_int_equal(find(spis, 1, 9, out), 3);
    assert_memory_equal(out, ((uint32_t[]){3, 2, 1}), 3 * sizeof out[0]);
    note(spis, 1, 9, 2); /* again: each flow once */
    assert_int_equal(find(spis, 1, 9, out), 3);
    assert_memory_equal(out, ((uint32_t[]){2, 3, 1}), 3 * sizeof out[0]);
    note(spis, 1, 9, 1);
    note(spis, 1, 9, 1);
    assert_int_equal(find(spis, 1, 9, out), 3);
    assert_memory_equal(out, ((uint32_t[]){1, 2, 3}), 3 * sizeof out[0]);

    for (uint32_t flow = 11; flow <= 11 + SPIS_PROPOSALS_MAX; flow++)
        note(spis, 1, 9, flow);
    assert_int_equal(find(spis, 1, 9, out), SPIS_PROPOSALS_MAX);
    for (uint32_t i = 0; i < SPIS_PROPOSALS_MAX; i++)
        assert_int_equal(out[i], 11 + SPIS_PROPOSALS_MAX - i); /* the oldest has gone */
    spis_destroy(spis);
}

/* A table holds an SPI of every other flow that it was made for, nearly always, and no more than it has ways.
 */
static void test_capacity(void **state)
{
    static const struct {
        uint32_t flows;
        uint32_t ways;
    } cases[] = {{0, 128}, {1, 128}, {128, 128}, {136, 256}, {4096, 4096}, {4104, 8192}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct spis *spis = spis_create(cases[c].flows, 1);
        uint32_t out[SPIS_PROPOSALS_MAX], found = 0;

        for (uint32_t i = 0; i < 2 * cases[c].ways; i++)
            note(spis, i, i, i);
        for (uint32_t i = 0; i < 2 * cases[c].ways; i++) {
            const uint32_t count = find(spis, i, i, out);
            assert_true(count == 0 || (count == 1 && out[0] == i));
            found += count;
        }
        assert_in_range(found, cases[c].ways * 4 / 5, cases[c].ways);
        /* On one flow: it stands once for each key. */
        found = 0;
        const uint32_t tunnels = cases[c].flows / 2;
        for (uint32_t i = 0; i < tunnels; i++)
            note(spis, i, UINT32_MAX - i, 7);
        for (uint32_t i = 0; i < tunnels; i++)
            found += find(spis, i, UINT32_MAX - i, out) > 0;
        assert_in_range(found, tunnels * 9 / 10, tunnels);
        spis_destroy(spis);
    }
}

/* In a large table, too, where the set takes up many bits of the hash: what was not noted is not found. */
static void test_nothing_is_found_by_chance(void **state)
{
    const uint32_t flows = 1 << 20;
    struct spis *spis = spis_create(flows, 1);
    uint32_t out[SPIS_PROPOSALS_MAX];

    (void)state;
    assert_non_null(spis);
    for (uint32_t i = 0; i < flows; i++)
        note(spis, i, 1, i);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(find(spis, i, 2, out), 0);
    spis_destroy(spis);
}

#define KEYS  4
#define FLOWS 12

/* The obvious model: which flows each key was noted on, the latest first. Of few keys in a large table, so
 * that they do not meet. */
struct model {
    uint32_t flows[KEYS][SPIS_PROPOSALS_MAX];
    uint32_t count[KEYS];
};

static void model_note(struct model *m, uint32_t key, uint32_t flow)
{
    uint32_t kept[SPIS_PROPOSALS_MAX] = {flow}, count = 1;

    for (uint32_t i = 0; i < m->count[key] && count < SPIS_PROPOSALS_MAX; i++) {
        if (m->flows[key][i] != flow)
            kept[count++] = m->flows[key][i];
    }
    memcpy(m->flows[key], kept, sizeof kept);
    m->count[key] = count;
}

static void test_random(void **state)
{
    uint64_t random = support_seed();
    struct spis *spis = spis_create(1 << 20, 1);
    struct model m = {0};

    (void)state;
    assert_non_null(spis);
    for (uint32_t step = 0; step < 100000; step++) {
        const uint32_t key = support_random_below(&random, KEYS);
        const uint32_t flow = support_random_below(&random, FLOWS);
        uint32_t out[SPIS_PROPOSALS_MAX];
        note(spis, key, key, flow);
        model_note(&m, key, flow);
        for (uint32_t k = 0; k < KEYS; k++) {
            assert_int_equal(find(spis, k, k, out), m.count[k]);
            assert_memory_equal(out, m.flows[k], m.count[k] * sizeof out[0]);
        }
    }
    spis_destroy(spis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_as_noted),
        cmocka_unit_test(test_each_part_of_the_key_counts),
        cmocka_unit_test(test_the_latest_stands_first),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_nothing_is_found_by_chance),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
