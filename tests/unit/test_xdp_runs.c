#include "tests/unit/unit.h"

#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lb/xdp/layout.h"
#include "lb/xdp/xdp.h"
#include "tests/unit/netns.h"
#include "tests/unit/open_map.h"
#include "tests/unit/support.h"

/*
 * Runs of the fast path with a device to attach to, each test in a namespace of its own: what they leave to
 * each other, and when they know where their backends' packets come in.
 */

#define SERVICES 8
#define SERVERS  (SERVICES * SUPPORT_BACKENDS_MAX) /* more than are asked for in a tick */
#define DEVICE   "ikelb-a"
#define OTHER    "ikelb-b"
#define START    UINT64_C(123456789)
#define TICK_MS  100

struct fixture {
    struct support_net net;
    struct xdp *xdp;
    struct xdp_place *places;
    struct xdp_about *about;
    size_t places_size, about_size;
    char *log_text;
    size_t log_len;
    struct log log;
    uint64_t now_ms;
};

/* Servers 10.1.SERVICE.1 and so on. */
static void make_net(struct support_net *net)
{
    static char texts[SERVICES][2 + 2 * SUPPORT_BACKENDS_MAX][24];
    static struct support_service services[SERVICES];

    for (int i = 0; i < SERVICES; i++) {
        char(*text)[24] = texts[i];
        snprintf(text[0], sizeof text[0], "s%d", i);
        snprintf(text[1], sizeof text[1], "203.0.113.%d", i + 1);
        services[i] = (struct support_service){.name = text[0], .vips = {text[1]}};
        text += 2;
        for (int k = 0; k < SUPPORT_BACKENDS_MAX; k++, text += 2) {
            snprintf(text[0], sizeof text[0], "b%d", k);
            snprintf(text[1], sizeof text[1], "10.1.%d.%d", i, k + 1);
            services[i].backends[k] = (struct support_backend){.name = text[0], .address = text[1]};
        }
    }
    support_net_init(net, services, SERVICES, 100);
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){.now_ms = START};
    if (!netns_enter())
        skip();
    f->log = (struct log){.level = LOG_LEVEL_INFO, .out = open_memstream(&f->log_text, &f->log_len)};
    assert_non_null(f->log.out);
    make_net(&f->net);
}

static void end(struct fixture *f)
{
    support_net_deinit(&f->net);
    fclose(f->log.out);
    free(f->log_text);
}

static void add_device(void)
{
    netns_ip_batch("link add " DEVICE " type veth peer name " OTHER "\n"
                   "link set " DEVICE " addrgenmode none\n"
                   "link set " OTHER " addrgenmode none\n"
                   "link set " DEVICE " up\n"
                   "link set " OTHER " up\n"
                   "addr add 10.1.255.254/16 dev " DEVICE "\n");
}

static void load(struct fixture *f, enum config_fastpath mode)
{
    const struct config config = {.fastpath = mode, .max_clients = 37};

    assert_int_equal(xdp_load(&config, &f->log, &f->xdp), 0);
}

static void start(struct fixture *f)
{
    load(f, CONFIG_FASTPATH_GENERIC);
    xdp_start(f->xdp, &f->net.dp.bindings, &f->log, f->now_ms);
    assert_non_null(f->net.dp.bindings.fastpath);
    f->places = open_map("ikelb_places", &f->places_size);
    f->about = open_map("ikelb_about", &f->about_size);
}

static void stop(struct fixture *f, bool leave)
{
    munmap(f->places, f->places_size);
    munmap(f->about, f->about_size);
    xdp_destroy(f->xdp, leave);
}

static void tick(struct fixture *f)
{
    xdp_tick(f->xdp, f->now_ms += TICK_MS);
}

/* The program on a device; 0: none. */
static uint32_t attached_to(const char *device)
{
    struct bpf_xdp_query_opts options = {.sz = sizeof options};

    assert_int_equal(bpf_xdp_query((int)if_nametoindex(device), 0, &options), 0);
    return options.skb_prog_id ? options.skb_prog_id : options.drv_prog_id;
}

static uint32_t attached(void)
{
    return attached_to(DEVICE);
}

/* How many of this run's backends may send, by the device. */
static int count_known(const struct fixture *f)
{
    const struct xdp_place *places = &f->places[(size_t)f->about->run * XDP_PLACES_A_RUN];
    int count = 0;

    for (int i = 0; i < XDP_PLACES_A_RUN; i++)
        count += places[i].is_open && places[i].ifindex && places[i].ifindex == if_nametoindex(DEVICE);
    return count;
}

/* A way to all servers comes, and others come and go all the time. */
static void test_news_at_every_tick(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    start(&f);
    assert_int_equal(count_known(&f), 0);
    add_device();
    for (int i = 0; i < 10; i++) {
        netns_ip(i % 2 ? "route del 192.0.2.0/24" : "route add 192.0.2.0/24 via 10.1.0.1");
        tick(&f);
    }
    assert_int_equal(count_known(&f), SERVERS);
    netns_ip("addr del 10.1.255.254/16 dev " DEVICE);
    for (int i = 0; i < 10; i++) {
        netns_ip(i % 2 ? "route del 192.0.2.0/24" : "route add blackhole 192.0.2.0/24");
        tick(&f);
    }
    assert_int_equal(count_known(&f), 0);
    stop(&f, false);
    end(&f);
}

/* From its first packet on, and above all where it is the next packet of a run before. */
static void test_a_run_knows_at_once(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    add_device();
    for (uint32_t run = 0; run < 2; run++) {
        start(&f);
        assert_int_equal(f.about->run, run);
        assert_int_equal(count_known(&f), SERVERS);
        stop(&f, run == 0);
    }
    assert_int_equal(attached(), 0);
    end(&f);
}

/* The program that a run leaves on the device. */
static uint32_t left_by_a_run(struct fixture *f)
{
    start(f);
    stop(f, true);
    return attached();
}

/* So many descriptors more, which are enough to find what was left, but not to load the program. */
#define FEW_FDS 3

static void fail_to_load(struct fixture *f)
{
    struct rlimit usual, low;
    const int next = dup(STDERR_FILENO);

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    low = (struct rlimit){.rlim_cur = (rlim_t)next + FEW_FDS, .rlim_max = usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    load(f, CONFIG_FASTPATH_GENERIC);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    fflush(f->log.out);
    assert_non_null(strstr(f->log_text, "the kernel does not take the program"));
}

/* What an earlier run has left would go on without anybody who looks after it. */
static void test_a_load_that_fails(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    add_device();
    const uint32_t program = left_by_a_run(&f);
    assert_int_not_equal(program, 0);
    fail_to_load(&f);
    assert_int_equal(attached(), program); /* this run may yet have other reasons not to start */
    xdp_start(f.xdp, &f.net.dp.bindings, &f.log, f.now_ms);
    assert_null(f.net.dp.bindings.fastpath);
    assert_int_equal(attached(), 0);
    tick(&f);
    xdp_destroy(f.xdp, false);
    end(&f);
}

/* As short as programs are: all packets pass. */
static int load_stranger(void)
{
    static const struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };

    return bpf_prog_load(BPF_PROG_TYPE_XDP, "stranger", "GPL", program, sizeof program / sizeof program[0],
                         NULL);
}

/* Without a fast path only what earlier runs have left goes: not what is there by the time that it is to go.
 */
static void test_off(void **state)
{
    (void)state;
    for (int is_replaced = 0; is_replaced < 2; is_replaced++) {
        struct fixture f;
        begin(&f);
        add_device();
        const uint32_t ours = left_by_a_run(&f);
        assert_int_not_equal(ours, 0);
        load(&f, CONFIG_FASTPATH_OFF);
        const int stranger = load_stranger();
        assert_true(stranger >= 0);
        if (is_replaced)
            assert_int_equal(bpf_xdp_attach((int)if_nametoindex(DEVICE), stranger, XDP_FLAGS_SKB_MODE, NULL),
                             0);
        const uint32_t program = attached();
        assert_int_equal(program != ours, is_replaced);
        xdp_start(f.xdp, &f.net.dp.bindings, &f.log, f.now_ms);
        assert_int_equal(attached(), is_replaced ? program : 0);
        xdp_destroy(f.xdp, false);
        close(stranger);
        end(&f);
    }
}

/* One program on two devices: the next run takes its place on both, and leaves neither behind. */
static void test_two_devices(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    add_device();
    netns_ip("addr add 10.2.0.254/24 dev " OTHER);
    const uint32_t left = left_by_a_run(&f);
    assert_int_equal(attached_to(OTHER), left);
    start(&f);
    assert_int_not_equal(attached(), left);
    assert_int_equal(attached_to(OTHER), attached());
    stop(&f, false);
    assert_int_equal(attached(), 0);
    assert_int_equal(attached_to(OTHER), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_news_at_every_tick), cmocka_unit_test(test_a_run_knows_at_once),
        cmocka_unit_test(test_a_load_that_fails),  cmocka_unit_test(test_off),
        cmocka_unit_test(test_two_devices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
