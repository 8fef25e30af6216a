#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/tcp_socket.h"

static struct endpoint at(const char *text)
{
    struct endpoint e;

    assert_int_equal(endpoint_parse(text, &e), 0);
    return e;
}

/* Where the socket listens: with port 0 the kernel has chosen one. */
static struct endpoint place_of(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    struct endpoint e;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&addr, &e), 0);
    return e;
}

static int connect_to(struct endpoint e)
{
    struct sockaddr_storage addr;
    const socklen_t len = endpoint_to_sockaddr(&e, &addr);
    const int fd = socket(addr.ss_family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&addr, len) == 0)
        return fd;
    close(fd);
    return -1;
}

static void check_connects(struct endpoint e)
{
    const int fd = connect_to(e);

    assert_true(fd >= 0);
    close(fd);
}

static void test_listens(void **state)
{
    static const char *const places[] = {"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"};

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const struct endpoint wanted = at(places[i]);
        const int fd = tcp_socket_listen(&wanted);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        struct endpoint place = place_of(fd);
        if (addr_is_unspecified(&place.addr))
            place.addr = at("127.0.0.1:0").addr;
        check_connects(place);
        close(fd);
    }
}

/* "[::]" is for clients of both families. */
static void test_both_families(void **state)
{
    const struct endpoint any = at("[::]:0");
    const int fd = tcp_socket_listen(&any);
    struct endpoint v4 = at("127.0.0.1:0"), v6 = at("[::1]:0");

    (void)state;
    assert_true(fd >= 0);
    v4.port = v6.port = place_of(fd).port;
    check_connects(v4);
    check_connects(v6);
    close(fd);
}

static void test_taken(void **state)
{
    const struct endpoint any = at("127.0.0.1:0"), nobodys = at("203.0.113.99:1");
    const int first = tcp_socket_listen(&any);
    const struct endpoint taken = place_of(first);

    (void)state;
    assert_int_equal(tcp_socket_listen(&taken), -EADDRINUSE);
    assert_int_equal(tcp_socket_listen(&nobodys), -EADDRNOTAVAIL);

    /* The connections of an earlier run that linger do not count. */
    const int client = connect_to(taken);
    const int server = accept(first, NULL, NULL);
    assert_true(server >= 0);
    close(server); /* the side that closes first lingers */
    close(client);
    close(first);
    const int again = tcp_socket_listen(&taken);
    assert_true(again >= 0);
    close(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listens),
        cmocka_unit_test(test_both_families),
        cmocka_unit_test(test_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
