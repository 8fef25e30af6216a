#include "tests/unit/unit.h"

#include <sys/mman.h>

#include "lb/xdp/traffic.h"
#include "tests/unit/support.h"

/* Counters as the program leaves them, on plain memory. */

#define CPUS      3
#define READS_MAX 16384 /* as in traffic.c */

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
};

struct fixture {
    struct pool *pool;
    struct xdp_count *counts; /* much of it is never touched */
    size_t size;
    struct maps maps;
    struct traffic_counts traffic;
};

static void begin(struct fixture *f, uint32_t cpus)
{
    f->pool = support_pool(&service, 1);
    f->size = (size_t)cpus * XDP_PLACES_A_RUN * 2 * sizeof *f->counts;
    f->counts =
        mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(f->counts != MAP_FAILED);
    f->maps = (struct maps){.cpus = cpus, .counts = f->counts, .passed_fd = -1};
    assert_int_equal(traffic_init(&f->traffic, &f->maps), 0);
}

static void end(struct fixture *f)
{
    traffic_deinit(&f->traffic);
    munmap(f->counts, f->size);
    pool_destroy(f->pool);
}

/* A CPU has forwarded so much more. */
static void pass(struct fixture *f, uint32_t cpu, uint32_t backend, enum traffic_direction direction,
                 uint64_t packets, uint64_t bytes)
{
    struct xdp_count *count = &f->counts[(cpu * XDP_PLACES_A_RUN + backend) * 2 + direction];

    count->packets += packets;
    count->bytes += bytes;
}

static void assert_traffic(const struct traffic *have, uint64_t packets, uint64_t bytes)
{
    assert_true(have->packets == packets);
    assert_true(have->bytes == bytes);
}

/* Of all CPUs, once, beside what the slow path has counted. */
static void test_collect(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, CPUS);
    struct backend *a = &f.pool->backends[0], *b = &f.pool->backends[1];
    a->traffic[TRAFFIC_IN] = (struct traffic){.packets = 5, .bytes = 50};
    pass(&f, 0, 0, TRAFFIC_IN, 1, 100);
    pass(&f, 2, 0, TRAFFIC_IN, 2, 200);
    pass(&f, 1, 1, TRAFFIC_OUT, 7, 700);
    for (int i = 0; i < 2; i++) { /* the second time there is nothing new */
        traffic_collect(&f.traffic, f.pool, 1000);
        assert_traffic(&a->traffic[TRAFFIC_IN], 5 + 3, 50 + 300);
        assert_traffic(&a->fast[TRAFFIC_IN], 3, 300);
        assert_traffic(&a->traffic[TRAFFIC_OUT], 0, 0);
        assert_traffic(&b->traffic[TRAFFIC_OUT], 7, 700);
        assert_traffic(&b->fast[TRAFFIC_OUT], 7, 700);
        assert_traffic(&b->fast[TRAFFIC_IN], 0, 0);
    }
    pass(&f, 2, 0, TRAFFIC_IN, 1, 10);
    pass(&f, 0, 0, TRAFFIC_OUT, 1, 20);
    traffic_collect(&f.traffic, f.pool, 2000);
    assert_traffic(&a->traffic[TRAFFIC_IN], 9, 360);
    assert_traffic(&a->fast[TRAFFIC_IN], 4, 310);
    assert_traffic(&a->fast[TRAFFIC_OUT], 1, 20);
    end(&f);
}

/* Who sends something is alive; what is sent to it says nothing. */
static void test_heard(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, CPUS);
    pass(&f, 0, 0, TRAFFIC_IN, 1, 1);
    pass(&f, 0, 1, TRAFFIC_OUT, 1, 1);
    traffic_collect(&f.traffic, f.pool, 5000);
    assert_true(f.pool->backends[0].passive.heard_ms == 0);
    assert_true(f.pool->backends[1].passive.heard_ms == 5000);
    traffic_collect(&f.traffic, f.pool, 6000);
    assert_true(f.pool->backends[1].passive.heard_ms == 5000);
    end(&f);
}

/* A place without a backend is left out. */
static void test_unused(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, CPUS);
    f.pool->backends[0].used = false;
    pass(&f, 0, 0, TRAFFIC_IN, 1, 1);
    pass(&f, 0, 1, TRAFFIC_IN, 1, 1);
    traffic_collect(&f.traffic, f.pool, 1000);
    assert_traffic(&f.pool->backends[0].traffic[TRAFFIC_IN], 0, 0);
    assert_traffic(&f.pool->backends[1].traffic[TRAFFIC_IN], 1, 1);
    end(&f);
}

/* Where there are very many CPUs a call looks at some backends only, and the next goes on. */
static void test_in_slices(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, READS_MAX / 2);
    pass(&f, READS_MAX / 2 - 1, 0, TRAFFIC_IN, 1, 1);
    pass(&f, 0, 1, TRAFFIC_IN, 1, 1);
    for (int call = 1; call <= 4; call++) {
        traffic_collect(&f.traffic, f.pool, 1000);
        assert_traffic(&f.pool->backends[0].fast[TRAFFIC_IN], 1, 1);
        assert_traffic(&f.pool->backends[1].fast[TRAFFIC_IN], call > 1, call > 1);
    }
    end(&f);
    begin(&f, READS_MAX); /* more than fit in a call: one backend all the same */
    pass(&f, 0, 0, TRAFFIC_IN, 1, 1);
    traffic_collect(&f.traffic, f.pool, 1000);
    assert_traffic(&f.pool->backends[0].fast[TRAFFIC_IN], 1, 1);
    end(&f);
}

static void test_no_map(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, CPUS);
    assert_true(traffic_passed(&f.traffic, XDP_PASS_TTL) == 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collect),   cmocka_unit_test(test_heard),  cmocka_unit_test(test_unused),
        cmocka_unit_test(test_in_slices), cmocka_unit_test(test_no_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
