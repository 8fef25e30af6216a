#include "tests/unit/unit.h"

#include "base/err.h"
#include "ike/header.h"

enum role { REQUEST = 1, RESPONSE = 2, ENCRYPTED = 4, AUTH = 8 };

static const struct {
    const char *label;
    uint8_t major, exchange, flags, next_payload, spi_r, message_id;
    int roles;
} cases[] = {
    {"v2 INIT", 2, 34, 0x08, 33, 0, 0, REQUEST},
    {"v2 INIT with cookie", 2, 34, 0x08, 41, 0, 0, REQUEST},
    {"v2 INIT without initiator flag", 2, 34, 0x00, 33, 0, 0, 0},
    {"v2 INIT with SPIr", 2, 34, 0x08, 33, 9, 0, 0},
    {"v2 INIT with a message ID", 2, 34, 0x08, 33, 0, 1, 0},
    {"v2 INIT answer", 2, 34, 0x20, 33, 9, 0, RESPONSE},
    {"v2 COOKIE", 2, 34, 0x20, 41, 0, 0, RESPONSE},
    {"v2 resumption", 2, 38, 0x08, 40, 0, 0, REQUEST},
    {"v2 resumption answer", 2, 38, 0x20, 40, 9, 0, RESPONSE},
    {"v2 AUTH", 2, 35, 0x08, 46, 9, 1, ENCRYPTED | AUTH},
    {"v2 AUTH in fragments", 2, 35, 0x08, 53, 9, 1, ENCRYPTED | AUTH},
    {"v2 AUTH in the clear", 2, 35, 0x08, 35, 9, 1, AUTH},
    {"v2 INFORMATIONAL answer", 2, 37, 0x20, 46, 9, 2, ENCRYPTED},
    {"v2, a flag of v1", 2, 35, 0x09, 41, 9, 1, AUTH},
    {"v1 main mode 1", 1, 2, 0x00, 1, 0, 0, REQUEST},
    {"v1 main mode 2", 1, 2, 0x00, 1, 9, 0, RESPONSE},
    {"v1 main mode 5", 1, 2, 0x01, 5, 9, 0, ENCRYPTED | AUTH},
    {"v1 aggressive mode 1", 1, 4, 0x00, 1, 0, 0, REQUEST},
    {"v1 quick mode", 1, 32, 0x01, 8, 9, 7, ENCRYPTED | AUTH},
    {"v1 informational", 1, 5, 0x00, 11, 9, 0, 0},
    {"v1 main mode, encrypted, no cookie", 1, 2, 0x01, 1, 0, 0, ENCRYPTED | AUTH},
    {"v1 with v2's number", 1, 34, 0x08, 33, 0, 0, 0},
    {"v1 with the number of IKE_AUTH", 1, 35, 0x08, 46, 9, 1, 0},
    {"v3", 3, 34, 0x08, 33, 0, 0, 0},
};

static void test_predicates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct ike_header h = {
            .spi_i = {{1}},
            .spi_r = {{cases[i].spi_r}},
            .next_payload = cases[i].next_payload,
            .major = cases[i].major,
            .exchange = cases[i].exchange,
            .flags = cases[i].flags,
            .message_id = cases[i].message_id,
        };
        const int roles = (header_is_init_request(&h) ? REQUEST : 0) |
                          (header_is_init_response(&h) ? RESPONSE : 0) |
                          (header_is_encrypted(&h) ? ENCRYPTED : 0) | (header_is_auth(&h) ? AUTH : 0);
        if (roles != cases[i].roles)
            fail_msg("%s: roles %d, not %d", cases[i].label, roles, cases[i].roles);
    }
}

static void test_read(void **state)
{
    uint8_t bytes[IKE_HEADER_LEN];
    struct ike_header h;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i + 1);
    assert_int_equal(header_read(bytes, sizeof bytes - 1, &h), ERR_MALFORMED);
    assert_int_equal(header_read(bytes, sizeof bytes, &h), 0);
    assert_memory_equal(h.spi_i.bytes, bytes, 8);
    assert_memory_equal(h.spi_r.bytes, bytes + 8, 8);
    assert_int_equal(h.next_payload, 17);
    assert_int_equal(h.major, 1);
    assert_int_equal(h.minor, 2);
    assert_int_equal(h.exchange, 19);
    assert_int_equal(h.flags, 20);
    assert_int_equal(h.message_id, 0x15161718);
    assert_int_equal(h.length, 0x191a1b1c);
}

static void test_spi(void **state)
{
    const struct ike_spi zero = {0};
    struct ike_spi a = {{1, 2, 3, 4, 5, 6, 7, 8}};
    const struct ike_spi b = a;

    (void)state;
    assert_true(header_spi_is_zero(&zero));
    assert_false(header_spi_is_zero(&a));
    assert_true(header_spi_equal(&a, &b));
    a.bytes[7] = 9;
    assert_false(header_spi_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predicates),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_spi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
