#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/err.h"

struct text_case {
    const char *in;
    const char *out; /* NULL: no address */
    int family;
    bool unspecified;
    bool multicast;
};

static const struct text_case text_cases[] = {
    {"192.0.2.1", "192.0.2.1", AF_INET, false, false},
    {"0.0.0.0", "0.0.0.0", AF_INET, true, false},
    {"0.0.0.1", "0.0.0.1", AF_INET, false, false},
    {"223.255.255.255", "223.255.255.255", AF_INET, false, false},
    {"224.0.0.1", "224.0.0.1", AF_INET, false, true},
    {"239.255.255.255", "239.255.255.255", AF_INET, false, true},
    {"240.0.0.1", "240.0.0.1", AF_INET, false, false},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", AF_INET6, false, false},
    {"::", "::", AF_INET6, true, false},
    {"::1", "::1", AF_INET6, false, false},
    {"ff02::1", "ff02::1", AF_INET6, false, true},
    {"fe80::1", "fe80::1", AF_INET6, false, false},
    {"::ffff:192.0.2.1", "192.0.2.1", AF_INET, false, false},
    {"::ffff:0:0", "0.0.0.0", AF_INET, true, false},
    {"2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6666", AF_INET6, false,
     false},
    {"", NULL, 0, false, false},
    {"192.0.2", NULL, 0, false, false},
    {"192.0.2.256", NULL, 0, false, false},
    {"192.0.2.1 ", NULL, 0, false, false},
    {"192.0.2.1/24", NULL, 0, false, false},
    {"192.0.2.1:500", NULL, 0, false, false},
    {"[2001:db8::1]", NULL, 0, false, false},
    {"fe80::1%lo", NULL, 0, false, false},
    {"1:2:3:4:5:6:7:8:9", NULL, 0, false, false},
    {"localhost", NULL, 0, false, false},
};

static void test_text(void **state)
{
    char text[ADDR_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof text_cases / sizeof text_cases[0]; i++) {
        const struct text_case *t = &text_cases[i];
        struct addr a;
        const int err = addr_parse(t->in, &a);
        if (err != (t->out ? 0 : ERR_MALFORMED))
            fail_msg("'%s': %d", t->in, err);
        if (!t->out)
            continue;
        assert_string_equal(addr_format(&a, text), t->out);
        assert_int_equal(addr_family(&a), t->family);
        assert_int_equal(addr_is_v4(&a), t->family == AF_INET);
        assert_int_equal(addr_is_unspecified(&a), t->unspecified);
        assert_int_equal(addr_is_multicast(&a), t->multicast);
    }
}

static struct addr parse(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(text, &a), 0);
    return a;
}

static void test_v4_bytes(void **state)
{
    const uint8_t bytes[4] = {192, 0, 2, 1};
    const struct addr a = addr_from_v4(bytes);
    const struct addr b = parse("192.0.2.1");

    (void)state;
    assert_true(addr_equal(&a, &b));
    assert_memory_equal(addr_v4_bytes(&a), bytes, 4);
}

static void test_equal_and_hash(void **state)
{
    static const char *const texts[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:0:1::1", "::"};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) {
            const struct addr a = parse(texts[i]);
            const struct addr b = parse(texts[k]);
            assert_int_equal(addr_equal(&a, &b), i == k);
            assert_int_equal(addr_hash(&a, 7) == addr_hash(&b, 7), i == k);
        }
    }
    /* The choice of a backend rests on it, on every node and in every release. */
    const struct addr a = parse("192.0.2.1");
    assert_true(addr_hash(&a, 1) != addr_hash(&a, 2));
    assert_true(addr_hash(&a, 0) == UINT64_C(0x9fe280675064061a));
    assert_true(addr_hash(&a, 42) == UINT64_C(0x9d5572704d081191));
}

static void test_loopback(void **state)
{
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1", true},  {"127.255.0.9", true}, {"::1", true},      {"::ffff:127.0.0.1", true},
        {"126.0.0.1", false}, {"128.0.0.1", false},  {"0.0.0.0", false}, {"::", false},
        {"::2", false},       {"1::1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct addr a = parse(cases[i].text);
        if (addr_is_loopback(&a) != cases[i].loopback)
            fail_msg("%s", cases[i].text);
    }
}

static void test_endpoint_texts(void **state)
{
    static const struct {
        const char *in;
        const char *out; /* NULL: malformed */
    } cases[] = {
        {"192.0.2.1:500", "192.0.2.1:500"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"[2001:DB8::1]:65535", "[2001:db8::1]:65535"},
        {"[::]:00080", "[::]:80"},
        {"[2001:db8:1111:2222:3333:4444:5555:6666]:1", "[2001:db8:1111:2222:3333:4444:5555:6666]:1"},
        {"", NULL},
        {":80", NULL},
        {"192.0.2.1", NULL},
        {"192.0.2.1:", NULL},
        {"192.0.2.1:65536", NULL},
        {"192.0.2.1:000080", NULL},
        {"192.0.2.1:+80", NULL},
        {"192.0.2.1: 80", NULL},
        {"192.0.2.1:80x", NULL},
        {"[192.0.2.1]:80", NULL},
        {"2001:db8::1:80", NULL},
        {"::1", NULL},
        {"[::1]", NULL},
        {"[::1]80", NULL},
        {"[::1:80", NULL},
        {"[]:80", NULL},
        {"[2001:db8:1111:2222:3333:4444:5555:6666:7777:8888]:1", NULL},
        {"localhost:80", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_MAX];
        const int err = endpoint_parse(cases[i].in, &e);
        if (err != (cases[i].out ? 0 : ERR_MALFORMED))
            fail_msg("'%s': %d", cases[i].in, err);
        if (cases[i].out)
            assert_string_equal(endpoint_format(&e, text), cases[i].out);
    }
}

static void test_endpoints(void **state)
{
    struct endpoint v4 = {.addr = parse("192.0.2.1"), .port = 500};
    struct endpoint v6 = {.addr = parse("2001:db8::1"), .port = 65535};
    struct endpoint longest = {.addr = parse("2001:db8:1111:2222:3333:4444:5555:6666"), .port = 65535};
    struct endpoint other = v4;
    char text[ENDPOINT_TEXT_MAX];

    (void)state;
    assert_string_equal(endpoint_format(&v4, text), "192.0.2.1:500");
    assert_string_equal(endpoint_format(&v6, text), "[2001:db8::1]:65535");
    assert_string_equal(endpoint_format(&longest, text), "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
    assert_true(endpoint_equal(&v4, &other));
    other.port = 501;
    assert_false(endpoint_equal(&v4, &other));
    other = v4;
    other.addr = parse("192.0.2.2");
    assert_false(endpoint_equal(&v4, &other));
}

static void test_sockaddr(void **state)
{
    struct endpoint back = {0};
    struct sockaddr_storage sa;
    struct sockaddr_in sin;
    struct sockaddr_in6 sin6;
    const struct endpoint v4 = {.addr = parse("192.0.2.1"), .port = 500};
    const struct endpoint v6 = {.addr = parse("2001:db8::1"), .port = 4500};

    (void)state;
    assert_int_equal(endpoint_to_sockaddr(&v4, &sa), sizeof sin);
    memcpy(&sin, &sa, sizeof sin);
    assert_int_equal(sin.sin_family, AF_INET);
    assert_int_equal(ntohs(sin.sin_port), 500);
    assert_int_equal(ntohl(sin.sin_addr.s_addr), 0xc0000201);
    assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &back), 0);
    assert_true(endpoint_equal(&v4, &back));

    assert_int_equal(endpoint_to_sockaddr(&v6, &sa), sizeof sin6);
    memcpy(&sin6, &sa, sizeof sin6);
    assert_int_equal(sin6.sin6_family, AF_INET6);
    assert_int_equal(ntohs(sin6.sin6_port), 4500);
    assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &back), 0);
    assert_true(endpoint_equal(&v6, &back));

    sa.ss_family = AF_UNIX;
    assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &back), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),           cmocka_unit_test(test_v4_bytes),
        cmocka_unit_test(test_equal_and_hash), cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_endpoint_texts), cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_sockaddr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
