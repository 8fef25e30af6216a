#include "tests/unit/unit.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lb/io_batch.h"
#include "tests/unit/support.h"

/* Two VIP sockets on the loopback device, and a batch between them. */

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"one", "127.0.0.1", 0, CONFIG_STATE_ENABLED}},
};

struct fixture {
    struct support_net net;
    struct io_batch *batch;
    struct io_batch *far; /* the other end's */
    int fds[2];
    int udp_fd; /* what raw sockets have for datagrams over the MTU; -1: none */
    struct endpoint at[2];
};

static void begin(struct fixture *f, const char *host)
{
    support_net_init(&f->net, &service, 1, 16);
    f->udp_fd = -1;
    f->batch = io_batch_create();
    f->far = io_batch_create();
    assert_true(f->batch && f->far);
    for (int i = 0; i < 2; i++) {
        f->at[i] = support_endpoint(host, 0);
        f->fds[i] = sockets_open_vip(&f->at[i]);
        assert_true(f->fds[i] >= 0);
        f->at[i] = support_name_of(f->fds[i]);
    }
}

static void end(struct fixture *f)
{
    close(f->fds[0]);
    close(f->fds[1]);
    io_batch_destroy(f->batch);
    io_batch_destroy(f->far);
    io_batch_destroy(NULL);
    support_net_deinit(&f->net);
}

/* Adds one datagram from the first socket's endpoint, or by `raw` from any, to the second socket. */
static void add(struct fixture *f, int raw, const struct endpoint *src, const uint8_t *data, size_t len,
                uint8_t tos, uint8_t ttl, uint32_t mtu)
{
    const struct packet packet = {.data = data, .len = len, .tos = tos, .ttl = ttl};
    const struct verdict verdict = {.src = *src, .dst = f->at[1]};
    const struct io_target target = {
        .fd = raw >= 0 ? raw : f->fds[0], .raw = raw >= 0, .mtu = mtu, .udp_fd = f->udp_fd};

    io_batch_send(f->batch, &f->net.dp, &target, &packet, &verdict);
}

static int receive(struct fixture *f, int most)
{
    struct pollfd poll_fd = {.fd = f->fds[1], .events = POLLIN};

    (void)poll(&poll_fd, 1, 2000);
    return io_batch_receive(f->far, f->fds[1], most);
}

static void test_nothing_there(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, "127.0.0.1");
    assert_int_equal(io_batch_receive(f.batch, f.fds[0], IO_BATCH_SIZE), 0);
    assert_int_equal(io_batch_receive(f.batch, -1, IO_BATCH_SIZE), -EBADF);
    io_batch_flush(f.batch, &f.net.dp);
    end(&f);
}

/* More than one batch: the first leaves by itself when it is full, and each datagram comes as it went. */
static void test_batches(void **state)
{
    enum { COUNT = IO_BATCH_SIZE + 10, MOST = 7 };
    static uint8_t data[COUNT][100];
    struct fixture f;
    int got = 0;

    (void)state;
    begin(&f, "127.0.0.1");
    for (int i = 0; i < COUNT; i++) {
        memset(data[i], i, sizeof data[i]);
        add(&f, -1, &f.at[0], data[i], (size_t)i, (uint8_t)(i * 4), (uint8_t)(100 + i), 0);
        struct pollfd poll_fd = {.fd = f.fds[1], .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, 0) > 0, i >= IO_BATCH_SIZE); /* not before the batch is full */
    }
    io_batch_flush(f.batch, &f.net.dp);
    while (got < COUNT) {
        const int n = receive(&f, MOST);
        assert_in_range(n, 1, MOST);
        for (int i = 0; i < n; i++, got++) {
            struct packet p = {0};
            io_batch_packet(f.far, i, &p);
            assert_int_equal(p.len, got);
            assert_memory_equal(p.data, data[got], p.len);
            assert_int_equal(p.tos, (uint8_t)(got * 4));
            assert_int_equal(p.ttl, 99 + got); /* one hop less than it came with */
            assert_true(endpoint_equal(&p.src, &f.at[0]));
        }
    }
    assert_int_equal(io_batch_receive(f.far, f.fds[1], IO_BATCH_SIZE), 0);
    end(&f);
}

static int open_raw(struct fixture *f)
{
    const int raw = sockets_open_raw(addr_family(&f->at[1].addr));

    if (raw == -EPERM) {
        end(f);
        skip();
    }
    assert_true(raw >= 0);
    return raw;
}

/* Through the raw socket from an address that is not ours, with and without fragmentation, in order. */
static void test_raw(void **state)
{
    static uint8_t data[5][10000];
    static const size_t lengths[5] = {10, 1000, 1001, 6000, 20};
    static const char *const hosts[2][2] = {{"127.0.0.1", "127.0.0.99"}, {"::1", "::1"}};

    (void)state;
    for (int six = 0; six < 2; six++) {
        struct fixture f;
        if (six) {
            const struct endpoint probe = support_endpoint("::1", 0);
            const int fd = sockets_open_vip(&probe);
            if (fd < 0)
                continue; /* a machine without IPv6 */
            close(fd);
        }
        begin(&f, hosts[six][0]);
        const int raw = open_raw(&f);
        const struct endpoint from = support_endpoint(hosts[six][1], 4567);
        const uint32_t mtu = 1000 + (six ? HEADERS_LEN_V6 : HEADERS_LEN_V4);
        for (int i = 0; i < 5; i++) {
            memset(data[i], 'a' + i, sizeof data[i]);
            add(&f, raw, &from, data[i], lengths[i], 0x2c, 33, mtu);
        }
        io_batch_flush(f.batch, &f.net.dp);
        for (int got = 0; got < 5;) {
            const int n = receive(&f, IO_BATCH_SIZE);
            assert_in_range(n, 1, 5);
            for (int i = 0; i < n; i++, got++) {
                struct packet p = {0};
                io_batch_packet(f.far, i, &p);
                assert_int_equal(p.len, lengths[got]);
                assert_memory_equal(p.data, data[got], p.len);
                assert_true(endpoint_equal(&p.src, &from));
                assert_int_equal(p.tos, 0x2c);
                assert_int_equal(p.ttl, 32);
            }
        }
        for (int i = 0; i < DROP_REASON_COUNT; i++)
            assert_int_equal(f.net.dp.drops[i], 0);
        close(raw);
        end(&f);
    }
}

/* A network namespace of this process alone, whose loopback device is as narrow as a real one. */
static bool enter_narrow_namespace(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_mtu = 1500};

    if (unshare(CLONE_NEWNET) < 0)
        return false;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCSIFMTU, &request), 0);
    request.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
    return true;
}

/*
 * The MTU of the way is not known, or has become smaller: the kernel says so (EMSGSIZE), and the datagram
 * arrives all the same. Must be the last test, since it leaves the namespace of the others.
 */
static void test_too_large_for_the_device(void **state)
{
    static const size_t lengths[] = {10, 1472, 1473, 11, 4912, 65507, 12};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    uint8_t *data = malloc(65507);

    (void)state;
    assert_non_null(data);
    memset(data, 'x', 65507);
    if (!enter_narrow_namespace()) {
        free(data);
        skip();
    }
    for (int with_udp = 0; with_udp < 2; with_udp++) {
        struct fixture f;
        begin(&f, "127.0.0.1");
        const int raw = with_udp ? sockets_open_raw_vip(&f.at[0].addr) : open_raw(&f);
        assert_true(raw >= 0);
        const struct endpoint from = with_udp ? f.at[0] : support_endpoint("127.0.0.99", 4567);
        f.udp_fd = with_udp ? f.fds[0] : -1;
        for (int i = 0; i < COUNT; i++)
            add(&f, raw, &from, data, lengths[i], 0x2c, 33, i % 2 ? 0 : 9000);
        io_batch_flush(f.batch, &f.net.dp);
        for (int got = 0; got < COUNT;) {
            const int n = receive(&f, IO_BATCH_SIZE);
            assert_in_range(n, 1, COUNT);
            for (int i = 0; i < n; i++, got++) {
                struct packet p = {0};
                io_batch_packet(f.far, i, &p);
                assert_int_equal(p.len, lengths[got]);
                assert_true(endpoint_equal(&p.src, &from));
                assert_int_equal(p.tos, 0x2c);
                assert_int_equal(p.ttl, 32);
            }
        }
        for (int i = 0; i < DROP_REASON_COUNT; i++)
            assert_int_equal(f.net.dp.drops[i], 0);
        close(raw);
        end(&f);
    }
    free(data);
}

/* What the kernel refuses costs that datagram only, and is counted. */
static void test_refused_datagrams_are_counted(void **state)
{
    static const uint8_t data[] = "x";
    struct fixture f;

    (void)state;
    begin(&f, "127.0.0.1");
    const struct endpoint good = f.at[1];
    for (int i = 0; i < 5; i++) {
        f.at[1] = i % 2 ? support_endpoint("255.255.255.255", 9) : good; /* broadcast is not allowed */
        add(&f, -1, &f.at[0], data, 1, 0, 64, 0);
    }
    io_batch_flush(f.batch, &f.net.dp);
    f.at[1] = good;
    assert_int_equal(receive(&f, IO_BATCH_SIZE), 3);
    assert_int_equal(f.net.dp.drops[DROP_SEND_FAILED], 2);
    assert_int_equal(f.net.dp.drops[DROP_SEND_BUSY], 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_refused_datagrams_are_counted),
        cmocka_unit_test(test_too_large_for_the_device), /* the last: see there */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
