#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "lb/sockets.h"
#include "tests/unit/support.h"

/* Everything happens on the loopback device; tests that need a capability are skipped without it. */

#define RECEIVE_TIMEOUT_MS 2000

/* A VIP's socket at a free port of the loopback address; -1 on a machine without that family. */
static int open_loopback(bool six, struct endpoint *at)
{
    *at = support_endpoint(six ? "::1" : "127.0.0.1", 0);
    const int fd = sockets_open_vip(at);

    if (fd < 0) {
        assert_true(six);
        return -1;
    }
    *at = support_name_of(fd);
    return fd;
}

/* One datagram with what its control messages say; its length. */
static ssize_t receive(int fd, uint8_t *data, size_t size, struct sockets_info *info, struct endpoint *from)
{
    _Alignas(struct cmsghdr) uint8_t control[SOCKETS_CONTROL_MAX];
    struct sockaddr_storage sa;
    struct iovec iov = {data, size};
    struct msghdr msg = {.msg_name = &sa,
                         .msg_namelen = sizeof sa,
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof control};
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&poll_fd, 1, RECEIVE_TIMEOUT_MS), 1);
    const ssize_t n = recvmsg(fd, &msg, 0);
    assert_false(msg.msg_flags & MSG_CTRUNC);
    sockets_read_info(&msg, info);
    assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, from), 0);
    return n;
}

static void test_tos_and_ttl_travel(void **state)
{
    static const struct {
        uint8_t tos;
        uint8_t ttl;
    } values[] = {{0, 64}, {0xb8, 1}, {0x02, 255}, {0x2c, 63}};

    (void)state;
    for (int six = 0; six < 2; six++) {
        struct endpoint a_at, b_at, from;
        const int a = open_loopback(six, &a_at), b = open_loopback(six, &b_at);
        for (size_t i = 0; a >= 0 && b >= 0 && i < sizeof values / sizeof values[0]; i++) {
            _Alignas(struct cmsghdr) uint8_t control[SOCKETS_CONTROL_MAX];
            struct sockaddr_storage to;
            struct iovec iov = {(uint8_t *)(uintptr_t) "hello", 5};
            struct msghdr msg = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
            struct sockets_info info = {.tos = 77, .ttl = 77};
            uint8_t data[16];
            msg.msg_namelen = endpoint_to_sockaddr(&b_at, &to);
            sockets_write_info(&msg, addr_family(&b_at.addr), values[i].tos, values[i].ttl);
            assert_int_equal(sendmsg(a, &msg, 0), 5);
            assert_int_equal(receive(b, data, sizeof data, &info, &from), 5);
            assert_int_equal(info.tos, values[i].tos);
            assert_int_equal(info.ttl, values[i].ttl);
            assert_true(endpoint_equal(&from, &a_at));
        }
        close(a);
        close(b);
    }
}

static void test_a_vip_need_not_exist(void **state)
{
    const struct endpoint v4 = support_endpoint("203.0.113.10", 45000);
    const struct endpoint v6 = support_endpoint("2001:db8::10", 45000);
    int fd = sockets_open_vip(&v4);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(sockets_open_vip(&v4), -EADDRINUSE);
    close(fd);
    fd = sockets_open_vip(&v6);
    assert_true(fd >= 0 || fd == -EAFNOSUPPORT);
    if (fd >= 0)
        close(fd);
}

static void test_sockets_do_not_block(void **state)
{
    struct endpoint at;
    const int fd = open_loopback(false, &at);
    uint8_t byte;

    (void)state;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    close(fd);
}

static void test_return_sockets(void **state)
{
    (void)state;
    for (int six = 0; six < 2; six++) {
        uint16_t port = 0;
        const int fd = sockets_open_return(six ? AF_INET6 : AF_INET, &port);
        if (fd == -EPERM)
            skip();
        assert_true(fd >= 0 || (six && fd == -EAFNOSUPPORT));
        if (fd < 0)
            continue;
        assert_int_not_equal(port, 0);
        const struct endpoint bound = support_name_of(fd);
        assert_int_equal(bound.port, port);
        assert_true(addr_is_unspecified(&bound.addr));

        /* It tells where a datagram wanted to go. */
        struct endpoint to = support_endpoint(six ? "::1" : "127.0.0.77", port), from_at, from;
        struct sockets_info info = {0};
        struct sockaddr_storage sa;
        const socklen_t len = endpoint_to_sockaddr(&to, &sa);
        const int sender = open_loopback(six, &from_at);
        uint8_t data[8];
        if (sender >= 0) {
            assert_int_equal(sendto(sender, "x", 1, 0, (struct sockaddr *)&sa, len), 1);
            assert_int_equal(receive(fd, data, sizeof data, &info, &from), 1);
            assert_true(endpoint_equal(&info.original_dst, &to));
            assert_int_equal(info.ttl, 64);
            close(sender);
        }
        close(fd);
    }
}

/* A source that is not ours, and far more than the MTU of any device. */
static void test_large_datagrams(void **state)
{
    uint8_t *data = malloc(65536), *got = malloc(65536);

    (void)state;
    assert_true(data && got);
    for (size_t i = 0; i < 65536; i++)
        data[i] = (uint8_t)(i * 7);
    for (int six = 0; six < 2; six++) {
        static const size_t lengths[] = {1, 1400, 4912, 65507};
        struct sockets_info info = {0};
        struct endpoint at, from;
        const int fd = open_loopback(six, &at);
        for (size_t i = 0; fd >= 0 && i < 4; i++) {
            const struct sockets_datagram d = {
                .src = support_endpoint(six ? "2001:db8::77" : "198.51.100.77", 4500),
                .dst = at,
                .data = data,
                .len = lengths[i],
                .tos = 0xb8,
                .ttl = 17,
            };
            const int err = sockets_send_large(&d);
            if (err == -EPERM)
                skip();
            if (err == -ENETUNREACH || err == -EADDRNOTAVAIL)
                break; /* no way from that source on this machine */
            assert_int_equal(err, 0);
            assert_int_equal(receive(fd, got, 65536, &info, &from), lengths[i]);
            assert_memory_equal(got, data, lengths[i]);
            assert_int_equal(info.tos, 0xb8);
            assert_int_equal(info.ttl, 17);
            assert_true(endpoint_equal(&from, &d.src));
        }
        close(fd);
    }
    free(data);
    free(got);
}

static void test_raw(void **state)
{
    const int fd = sockets_open_raw(AF_INET);

    (void)state;
    if (fd == -EPERM)
        skip();
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(sockets_open_raw(AF_UNIX), -EPROTONOSUPPORT);
}

static void test_route(void **state)
{
    const struct addr loopback = support_addr("127.0.0.1"), nowhere = support_addr("255.255.255.255");
    struct addr src;
    uint32_t mtu = 0;

    (void)state;
    assert_int_equal(sockets_route(&loopback, &src, &mtu), 0);
    assert_true(addr_equal(&src, &loopback));
    assert_in_range(mtu, 1280, 65536);
    assert_true(sockets_route(&nowhere, &src, &mtu) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tos_and_ttl_travel),
        cmocka_unit_test(test_a_vip_need_not_exist),
        cmocka_unit_test(test_sockets_do_not_block),
        cmocka_unit_test(test_return_sockets),
        cmocka_unit_test(test_large_datagrams),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_route),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
