#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lb/reassembly.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* As the kernel writes them, shortened. */
#define SNMP                                                                                                 \
    "Ip: Forwarding DefaultTTL ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs\n"                        \
    "Ip: 1 64 3 4000 7 2314 9\n"                                                                             \
    "Icmp: InMsgs ReasmFails\n"                                                                              \
    "Icmp: 5 6\n"
#define SNMP6                                                                                                \
    "Ip6InReceives                   \t4418\n"                                                               \
    "Ip6ReasmTimeout                 \t1\n"                                                                  \
    "Ip6ReasmFails                   \t99\n"                                                                 \
    "Ip6FragOKs                      \t87\n"

struct parse_case {
    const char *what;
    const char *text;
    uint64_t failed;
    enum reassembly_family family;
    bool found;
};

static const struct parse_case parse_cases[] = {
    {"IPv4", SNMP, 2314, REASSEMBLY_V4, true},
    {"IPv6", SNMP6, 99, REASSEMBLY_V6, true},
    {"not the first protocol", "Udp: ReasmFails\nUdp: 4\n" SNMP, 2314, REASSEMBLY_V4, true},
    {"the first value", "Ip: ReasmFails\nIp: 8\n", 8, REASSEMBLY_V4, true},
    {"the largest", "Ip6ReasmFails 18446744073709551615\n", UINT64_MAX, REASSEMBLY_V6, true},
    {"too large", "Ip6ReasmFails 18446744073709551616\n", 0, REASSEMBLY_V6, false},
    {"far too large", "Ip6ReasmFails 99999999999999999999999\n", 0, REASSEMBLY_V6, false},
    {"a sign", "Ip: ReasmFails\nIp: -1\n", 0, REASSEMBLY_V4, false},
    {"no number", "Ip: ReasmFails\nIp: 1x\n", 0, REASSEMBLY_V4, false},
    {"too few values", "Ip: Forwarding ReasmFails\nIp: 1\n", 0, REASSEMBLY_V4, false},
    {"no line of values", "Ip: ReasmFails\n", 0, REASSEMBLY_V4, false},
    {"values of another protocol", "Ip: ReasmFails\nIcmp: 1\n", 0, REASSEMBLY_V4, false},
    {"another counter", "Ip: ReasmFailsToo MyReasmFails\nIp: 1 2\n", 0, REASSEMBLY_V4, false},
    {"another IPv6 counter", "Ip6ReasmFail 1\nIp6ReasmFailsToo 1\n", 0, REASSEMBLY_V6, false},
    {"no value", "Ip6ReasmFails\n", 0, REASSEMBLY_V6, false},
    {"blanks only", "  \t \n\n\t\n", 0, REASSEMBLY_V6, false},
    {"the other report", SNMP, 0, REASSEMBLY_V6, false},
    {"empty", "", 0, REASSEMBLY_V4, false},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(parse_cases); i++) {
        const struct parse_case *c = &parse_cases[i];
        uint64_t failed = 0;
        if (reassembly_parse(c->family, c->text, strlen(c->text), &failed) != c->found)
            fail_msg("%s: found is not %d", c->what, c->found);
        if (failed != c->failed)
            fail_msg("%s: %llu", c->what, (unsigned long long)failed);
    }
}

/* A report that is cut off gives the right number or none, never the beginning of a number. */
static void test_cut_off(void **state)
{
    static const struct {
        const char *text;
        uint64_t failed;
        enum reassembly_family family;
    } whole[] = {{SNMP, 2314, REASSEMBLY_V4}, {SNMP6, 99, REASSEMBLY_V6}};

    (void)state;
    for (size_t i = 0; i < COUNT(whole); i++) {
        size_t found = 0;
        for (size_t len = 0; len <= strlen(whole[i].text); len++) {
            uint64_t failed = 0;
            char *copy =
                malloc(len + 1); /* of its very length, so that a sanitizer sees what is read beyond */
            assert_non_null(copy);
            memcpy(copy + 1, whole[i].text, len);
            if (reassembly_parse(whole[i].family, copy + 1, len, &failed)) {
                assert_int_equal(failed, whole[i].failed);
                found++;
            }
            free(copy);
        }
        assert_int_equal(found, strlen(strchr(strstr(whole[i].text, i ? "Fails" : "Ip: 1"), '\n')));
    }
}

static void write_report(int fd, const char *text)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
}

static void test_growth(void **state)
{
    struct reassembly r = {.fds = {memfd_create("snmp", MFD_CLOEXEC), memfd_create("snmp6", MFD_CLOEXEC)},
                           .seen = {2300, 90}};

    (void)state;
    assert_true(r.fds[REASSEMBLY_V4] >= 0 && r.fds[REASSEMBLY_V6] >= 0);
    write_report(r.fds[REASSEMBLY_V4], SNMP);
    write_report(r.fds[REASSEMBLY_V6], SNMP6);
    assert_int_equal(reassembly_grown(&r), 14 + 9);
    assert_int_equal(reassembly_grown(&r), 0);
    write_report(r.fds[REASSEMBLY_V4],
                 "Ip: ReasmFails\nIp: 2310\n"); /* a sum that is behind counts nothing ... */
    assert_int_equal(reassembly_grown(&r), 0);
    write_report(r.fds[REASSEMBLY_V4], "Ip: ReasmFails\nIp: 2315\n"); /* ... and nothing twice */
    assert_int_equal(reassembly_grown(&r), 1);
    write_report(r.fds[REASSEMBLY_V6], ""); /* one that cannot be read does not stand in the other's way */
    write_report(r.fds[REASSEMBLY_V4], "Ip: ReasmFails\nIp: 2317\n");
    assert_int_equal(reassembly_grown(&r), 2);
    write_report(r.fds[REASSEMBLY_V6], "Ip6ReasmFails 104\n");
    assert_int_equal(reassembly_grown(&r), 5);
    reassembly_deinit(&r);
}

/* The reports of the kernel under us can be read, again and again; what has been counted is not counted
 * twice. */
static void test_the_kernels_reports(void **state)
{
    struct reassembly r;

    (void)state;
    assert_int_equal(reassembly_init(&r), 0);
    assert_true(r.fds[REASSEMBLY_V4] >= 0);
    const uint64_t seen = r.seen[REASSEMBLY_V4] += 1000; /* as if the kernel's sum were behind */
    reassembly_grown(&r);
    assert_int_equal(r.seen[REASSEMBLY_V4], seen);
    reassembly_deinit(&r);
    assert_int_equal(r.fds[REASSEMBLY_V4], -1);
    assert_int_equal(reassembly_grown(&r), 0);
    reassembly_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_the_kernels_reports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
