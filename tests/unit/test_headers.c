#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lb/headers.h"
#include "tests/unit/support.h"

/* The checksum as RFC 1071 section 1 defines it, a word at a time; knows nothing of the byte order of memory.
 */
static uint32_t slow_sum(const uint8_t *data, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++) {
        sum += (uint32_t)data[i] << (i % 2 ? 0 : 8);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint16_t read_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void test_known_vectors(void **state)
{
    static const uint8_t rfc1071[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; /* its section 3 */
    static const uint8_t ip_header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                        0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

    (void)state;
    assert_int_equal(ntohs(headers_fold(headers_sum(rfc1071, sizeof rfc1071, 0))), 0xffff - 0xddf2);
    assert_int_equal(ntohs(headers_fold(headers_sum(ip_header, sizeof ip_header, 0))), 0xb861);
    assert_int_equal(headers_fold(0), 0xffff);
    assert_int_equal(headers_fold(0xffff), 0);
    assert_int_equal(headers_fold(UINT64_C(0xffffffffffffffff)), 0);
}

static void test_sum_of_any_length(void **state)
{
    uint64_t random = support_seed();
    uint8_t data[67];

    (void)state;
    for (int round = 0; round < 200; round++) {
        for (size_t len = 0; len <= sizeof data; len++) {
            for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t)(round % 4 ? support_random(&random) : 0xff);
            const uint16_t want = (uint16_t)~slow_sum(data, len, 0);
            assert_int_equal(ntohs(headers_fold(headers_sum(data, len, 0))), want);
        }
    }
}

static void test_v4_header(void **state)
{
    static const uint8_t payload[] = "hello";
    static const uint8_t want[HEADERS_LEN_V4 - 2] = {
        0x45, 0xb9, 0, 33,  0x12, 0x34, 0, 0, 63,  17, 0,   0, 192,
        0,    2,    1, 198, 51,   100,  2, 1, 244, 17, 148, 0, 13,
    };
    const struct headers_request request = {
        .src = support_endpoint("192.0.2.1", 500),
        .dst = support_endpoint("198.51.100.2", 4500),
        .payload = payload,
        .len = 5,
        .tos = 0xb9,
        .ttl = 63,
        .id = 0x1234,
        .omit_checksum = true,
    };
    uint8_t out[HEADERS_LEN_MAX];

    (void)state;
    assert_int_equal(headers_write(&request, out), HEADERS_LEN_V4);
    assert_memory_equal(out, want, sizeof want);
    assert_int_equal(read_u16(out + 26), 0);
}

static void test_v6_header(void **state)
{
    static const uint8_t want[8] = {0x6b, 0x90, 0,  0,
                                    0,    13,   17, 63}; /* traffic class 0xb9 across two bytes */
    static const uint8_t payload[] = "hello";
    const struct headers_request request = {
        .src = support_endpoint("2001:db8::1", 500),
        .dst = support_endpoint("2001:db8::2", 4500),
        .payload = payload,
        .len = 5,
        .tos = 0xb9,
        .ttl = 63,
        .omit_checksum = true, /* IPv6 has no way to do without: RFC 8200 section 8.1 */
    };
    uint8_t out[HEADERS_LEN_MAX];

    (void)state;
    assert_int_equal(headers_write(&request, out), HEADERS_LEN_V6);
    assert_memory_equal(out, want, sizeof want);
    assert_memory_equal(out + 8, request.src.addr.bytes, 16);
    assert_memory_equal(out + 24, request.dst.addr.bytes, 16);
    assert_int_equal(read_u16(out + 40), 500);
    assert_int_equal(read_u16(out + 42), 4500);
    assert_int_equal(read_u16(out + 44), 13);
    assert_int_not_equal(read_u16(out + 46), 0);
}

/* Header, pseudo-header and payload, with the checksum in its place, must add up to 0xffff: RFC 768. */
static void check_udp_sum(const struct headers_request *request)
{
    uint8_t out[HEADERS_LEN_MAX];
    const size_t len = headers_write(request, out);
    const bool v4 = len == HEADERS_LEN_V4;
    const uint8_t tail[4] = {0, IPPROTO_UDP, out[len - 4], out[len - 3]};
    uint32_t sum = slow_sum(tail, 4, 0);

    sum = slow_sum(v4 ? out + 12 : out + 8, v4 ? 8 : 32, sum);
    sum = slow_sum(out + len - 8, 8, sum);
    assert_int_equal(slow_sum(request->payload, request->len, sum), 0xffff);
    assert_int_not_equal(read_u16(out + len - 2), 0);
}

static void test_udp_checksum(void **state)
{
    uint64_t random = support_seed();
    uint8_t *payload = malloc(65535);

    (void)state;
    assert_non_null(payload);
    for (size_t i = 0; i < 65535; i++)
        payload[i] = (uint8_t)support_random(&random);
    for (int v6 = 0; v6 < 2; v6++) {
        struct headers_request request = {
            .src = support_endpoint(v6 ? "2001:db8::1" : "192.0.2.1", 500),
            .dst = support_endpoint(v6 ? "2001:db8::2" : "198.51.100.2", 4500),
            .payload = payload,
        };
        for (request.len = 0; request.len < 300; request.len++)
            check_udp_sum(&request);
        request.len = v6 ? 65527 : 65507;
        check_udp_sum(&request);
    }
    free(payload);
}

/* A sum that comes out as zero is sent as 0xffff; zero would say that there is none. */
static void test_zero_is_sent_as_ones(void **state)
{
    uint8_t payload[2] = {0, 0};
    uint8_t out[HEADERS_LEN_MAX];
    struct headers_request request = {
        .src = support_endpoint("192.0.2.1", 500),
        .dst = support_endpoint("198.51.100.2", 4500),
        .payload = payload,
        .len = 2,
    };

    (void)state;
    headers_write(&request, out);
    memcpy(payload, out + HEADERS_LEN_V4 - 2, 2); /* the checksum of the rest makes the sum all ones */
    headers_write(&request, out);
    assert_int_equal(read_u16(out + HEADERS_LEN_V4 - 2), 0xffff);
}

static int receiver(struct endpoint *at)
{
    struct sockaddr_storage sa;
    const socklen_t len = endpoint_to_sockaddr(at, &sa);
    const int fd = socket(addr_family(&at->addr), SOCK_DGRAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0) {
        if (fd >= 0)
            close(fd);
        return -1; /* no such address family on this machine */
    }
    *at = support_name_of(fd);
    return fd;
}

/* Sends it through a raw socket; whether the receiver got exactly the payload. */
static bool arrives(int raw, int fd, const struct headers_request *request, uint8_t spoil)
{
    uint8_t headers[HEADERS_LEN_MAX], got[4096];
    const size_t len = headers_write(request, headers);
    const struct endpoint to = {.addr = request->dst.addr};
    struct sockaddr_storage sa;
    struct iovec iov[2] = {{headers, len}, {(uint8_t *)(uintptr_t)request->payload, request->len}};
    struct msghdr msg = {.msg_name = &sa, .msg_iov = iov, .msg_iovlen = 2};
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    headers[len - 1] ^= spoil;
    msg.msg_namelen = endpoint_to_sockaddr(&to, &sa);
    assert_int_equal(sendmsg(raw, &msg, 0), len + request->len);
    if (poll(&poll_fd, 1, spoil ? 50 : 2000) == 0)
        return false;
    const ssize_t n = recv(fd, got, sizeof got, 0);
    assert_int_equal(n, request->len);
    assert_memory_equal(got, request->payload, request->len);
    return true;
}

/* The kernel checks what comes out of a raw socket, so it is a judge of our headers. */
static void test_the_kernel_accepts(void **state)
{
    static const uint8_t payload[] = "an odd number of bytes, then even";
    static const char *const hosts[] = {"127.0.0.1", "::1"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct headers_request request = {.payload = payload, .ttl = 64};
        request.dst = support_endpoint(hosts[i], 0);
        request.src = support_endpoint(hosts[i], 4500);
        const int fd = receiver(&request.dst);
        const int raw = socket(addr_family(&request.dst.addr), SOCK_RAW, IPPROTO_RAW);
        if (raw < 0 && errno == EPERM)
            skip();
        if (fd < 0) {
            close(raw);
            continue;
        }
        for (request.len = 1; request.len < sizeof payload; request.len++)
            assert_true(arrives(raw, fd, &request, 0));
        assert_false(arrives(raw, fd, &request, 1));
        request.omit_checksum = true;
        assert_true(arrives(raw, fd, &request, 0));
        close(fd);
        close(raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_vectors),      cmocka_unit_test(test_sum_of_any_length),
        cmocka_unit_test(test_v4_header),          cmocka_unit_test(test_v6_header),
        cmocka_unit_test(test_udp_checksum),       cmocka_unit_test(test_zero_is_sent_as_ones),
        cmocka_unit_test(test_the_kernel_accepts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
