#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "lb/inherited.h"
#include "lb/sockets.h"
#include "tests/unit/support.h"

/* Everything happens on the loopback device; what needs a capability is skipped without it. */

static void send_to(const struct endpoint *at, char byte)
{
    struct sockaddr_storage sa;
    const socklen_t len = endpoint_to_sockaddr(at, &sa);
    const int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(sendto(fd, &byte, 1, 0, (struct sockaddr *)&sa, len), 1);
    close(fd);
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* A socket at a free port, as plain as an older version might have left it. */
static int open_plain(const char *address, int type)
{
    const struct endpoint at = support_endpoint(address, 0);
    const int on = 1;
    struct sockaddr_storage sa;
    const socklen_t len = endpoint_to_sockaddr(&at, &sa);
    const int fd = socket(sa.ss_family, type, 0);

    assert_true(fd >= 0);
    if (sa.ss_family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static void test_what_waits_is_kept(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "::1"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct inherited inherited;
        const int fd = open_plain(addresses[i], SOCK_DGRAM);
        const struct endpoint at = support_name_of(fd);
        char byte = 0;
        send_to(&at, 'w');
        assert_int_equal(inherited_init(&fd, 1, &inherited), 0);
        assert_int_equal(inherited_take_vip(&inherited, &at), fd);
        assert_int_equal(inherited_take_vip(&inherited, &at), ERR_NOT_FOUND); /* only once */
        inherited_deinit(&inherited); /* leaves alone what was taken */
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
        assert_int_equal(byte, 'w');
        /* It is as if it had been opened for us. */
        assert_int_equal(recv(fd, &byte, 1, 0), -1);
        assert_int_equal(errno, EAGAIN);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        if (addr_is_v4(&at.addr)) {
            assert_int_equal(option_of(fd, IPPROTO_IP, IP_FREEBIND), 1);
            assert_int_equal(option_of(fd, IPPROTO_IP, IP_RECVTTL), 1);
            assert_int_equal(option_of(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DONT);
        } else {
            assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT), 1);
        }
        close(fd);
    }
}

static void test_the_right_one_is_found(void **state)
{
    struct inherited inherited;
    int fds[5];
    struct endpoint at[5];

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        fds[i] = open_plain(i == 3 ? "127.0.0.2" : "127.0.0.1", SOCK_DGRAM);
        at[i] = support_name_of(fds[i]);
    }
    assert_int_equal(inherited_init(fds, 5, &inherited), 0);
    const struct endpoint other_addr = {.addr = support_addr("127.0.0.9"), .port = at[1].port};
    assert_int_equal(inherited_take_vip(&inherited, &other_addr), ERR_NOT_FOUND);
    for (size_t i = 5; i-- > 1;)
        assert_int_equal(inherited_take_vip(&inherited, &at[i]), fds[i]);
    inherited_deinit(&inherited);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1); /* nobody took it: closed */
    for (size_t i = 1; i < 5; i++)
        close(fds[i]);
}

/* Makes a descriptor that must not be taken, and says where it is bound, or would be. */
static int make_connected(struct endpoint *at)
{
    const int fd = open_plain("127.0.0.1", SOCK_DGRAM);
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;

    *at = support_name_of(fd);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static int make_tcp(struct endpoint *at)
{
    const int fd = open_plain("127.0.0.1", SOCK_STREAM);

    *at = support_name_of(fd);
    return fd;
}

static int make_both_families(struct endpoint *at)
{
    const int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0;
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6};

    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    *at = support_name_of(fd);
    return fd;
}

static int make_unbound(struct endpoint *at)
{
    *at = support_endpoint("0.0.0.0", 0);
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static int make_file(struct endpoint *at)
{
    *at = support_endpoint("127.0.0.1", 500);
    return open("/dev/null", O_RDONLY);
}

static int make_unix(struct endpoint *at)
{
    *at = support_endpoint("127.0.0.1", 500);
    return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int make_closed(struct endpoint *at)
{
    const int fd = make_file(at);

    close(fd);
    return fd;
}

static void test_what_cannot_serve_is_left(void **state)
{
    static int (*const makers[])(struct endpoint *) = {
        make_connected, make_tcp, make_both_families, make_unbound, make_file, make_unix, make_closed};

    (void)state;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        struct inherited inherited;
        struct endpoint at;
        uint16_t port;
        const int fd = makers[i](&at);
        assert_int_equal(inherited_init(&fd, 1, &inherited), 0);
        assert_false(inherited.sockets[0].usable);
        assert_int_equal(inherited_take_vip(&inherited, &at), ERR_NOT_FOUND);
        assert_int_equal(inherited_take_return(&inherited, AF_INET, &port), ERR_NOT_FOUND);
        assert_int_equal(inherited_take_return(&inherited, AF_INET6, &port), ERR_NOT_FOUND);
        inherited_deinit(&inherited);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
    }
}

static void test_return_sockets(void **state)
{
    uint16_t ports[2] = {0}, port = 0;
    int fds[3];
    struct inherited inherited;

    (void)state;
    for (int six = 0; six < 2; six++) {
        fds[six] = sockets_open_return(six ? AF_INET6 : AF_INET, &ports[six]);
        if (fds[six] == -EPERM)
            skip();
        assert_true(fds[six] >= 0);
    }
    fds[2] = open_plain("0.0.0.0", SOCK_DGRAM); /* bound to all addresses, but not transparent */
    const struct endpoint all = support_name_of(fds[2]);
    const int order[] = {fds[2], fds[1], fds[0]};
    assert_int_equal(inherited_init(order, 3, &inherited), 0);
    assert_int_equal(inherited_take_return(&inherited, AF_INET, &port), fds[0]);
    assert_int_equal(port, ports[0]);
    assert_int_equal(inherited_take_return(&inherited, AF_INET, &port), ERR_NOT_FOUND);
    assert_int_equal(inherited_take_return(&inherited, AF_INET6, &port), fds[1]);
    assert_int_equal(port, ports[1]);
    assert_int_equal(inherited_take_vip(&inherited, &all), fds[2]);
    inherited_deinit(&inherited);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static void test_nothing(void **state)
{
    struct inherited inherited;
    const struct endpoint at = support_endpoint("127.0.0.1", 500);

    (void)state;
    assert_int_equal(inherited_init(NULL, 0, &inherited), 0);
    assert_int_equal(inherited_take_vip(&inherited, &at), ERR_NOT_FOUND);
    inherited_deinit(&inherited);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_is_kept),
        cmocka_unit_test(test_the_right_one_is_found),
        cmocka_unit_test(test_what_cannot_serve_is_left),
        cmocka_unit_test(test_return_sockets),
        cmocka_unit_test(test_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
