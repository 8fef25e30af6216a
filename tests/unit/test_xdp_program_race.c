#include "tests/unit/unit.h"

#include <bpf/bpf.h>
#include <pthread.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "tests/unit/support.h"
#include "tests/unit/xdp_world.h"

/*
 * A packet meets the removal of its entry: it goes as if it had come before, or passes up. The entry is
 * removed so long after the packet was handed in that either happens as often as the other: that is when the
 * program has found the entry and goes on with it.
 */

#define PACKETS 4000
#define NANOS   150000000 /* for a way; packets that are left then are left out */
#define STEP    4         /* turns of the loop that waits */
#define SPREAD  64

struct race {
    struct world_case c;
    struct xdp_entry entry; /* as it was */
    uint32_t delay;         /* turns, before the entry is removed */
    uint32_t go;            /* how many packets have been handed in */
    uint32_t done;          /* how often it was removed */
    bool stop;
};

static void wait_a_little(uint32_t turns)
{
    for (volatile uint32_t i = 0; i < turns; i++)
        ;
}

static void *remove_again_and_again(void *data)
{
    struct race *r = data;
    struct table *table = &r->c.world->table;

    while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
        if (__atomic_load_n(&r->go, __ATOMIC_ACQUIRE) == r->done)
            continue;
        wait_a_little(r->delay);
        table_remove(table, (uint32_t)(r->c.entry - table->entries), world_now());
        __atomic_store_n(&r->done, r->done + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* The packet and the removal at once; what the program has said, and the packet as it is then. */
static uint32_t run_once(struct race *r, const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
    struct xdp_md ctx = {.data_end = (uint32_t)len, .ingress_ifindex = r->c.ingress};
    struct bpf_test_run_opts options = {.sz = sizeof options,
                                        .data_in = in,
                                        .data_size_in = (uint32_t)len,
                                        .data_out = out,
                                        .data_size_out = FRAME_MAX,
                                        .ctx_in = &ctx,
                                        .ctx_size_in = sizeof ctx};

    *r->c.entry = r->entry;
    r->c.world->table.count = 1;
    r->c.world->maps.about->alive = world_now();
    __atomic_fetch_add(&r->go, 1, __ATOMIC_RELEASE);
    assert_int_equal(bpf_prog_test_run_opts(r->c.world->maps.program_fd, &options), 0);
    while (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) != r->go)
        ;
    *out_len = options.data_size_out;
    return options.retval;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* How many packets have gone another way than the entry's. */
static int count_astray(struct race *r)
{
    static uint8_t in[FRAME_MAX], want[FRAME_MAX], have[FRAME_MAX];
    const size_t len = frame_write(&r->c.in, in), want_len = frame_write(&r->c.out, want);
    const uint64_t start_ns = now_ns();
    uint64_t random = 1;
    uint32_t middle = 1000; /* it soon finds where it belongs */
    int astray = 0;
    size_t have_len;

    for (int i = 0; i < PACKETS && now_ns() - start_ns < NANOS; i++) {
        r->delay = middle + support_random_below(&random, SPREAD);
        const bool has_passed = run_once(r, in, len, have, &have_len) == XDP_PASS;
        if (!has_passed)
            astray += have_len != want_len || memcmp(have, want, want_len) != 0;
        middle = has_passed ? middle + STEP : middle > STEP ? middle - STEP : 0;
    }
    return astray;
}

static void test_removal(void **state)
{
    struct world *w = world_of(state);
    struct race r;
    pthread_t thread;

    if (get_nprocs() < 2)
        skip();
    for (int k = 0; k < WORLD_WAYS; k++) {
        r = (struct race){0};
        world_begin(w, &w->ways[k], &r.c);
        r.entry = *r.c.entry;
        assert_int_equal(pthread_create(&thread, NULL, remove_again_and_again, &r), 0);
        const int astray = count_astray(&r);
        __atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (astray)
            fail_msg("%s: %d packets have gone another way", r.c.way->name, astray);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_removal),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
