#include "tests/unit/unit.h"

#include <stdlib.h>

#include "ike/classify.h"

/* A sound IKE_SA_INIT header with 4 bytes of body; the tests spoil it. */
#define LEN 32
static const uint8_t init[LEN] = {
    1,  2,    3,  4,    5, 6, 7, 8, 0, 0, 0, 0,   0,    0,    0,    0,
    33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, LEN, 0xde, 0xad, 0xbe, 0xef,
};

/* The message `init` with one byte changed, cut or padded to `len`, after a marker if on port 4500. */
struct ike_case {
    const char *label;
    size_t at;
    uint8_t value;
    size_t len;
    enum ike_class class;
    enum ike_garbage garbage;
};

static const struct ike_case ike_cases[] = {
    {"sound", 0, 1, LEN, IKE_CLASS_IKE, 0},
    {"trailing bytes", 0, 1, LEN + 16, IKE_CLASS_IKE, 0},
    {"IKEv1 main mode", 17, 0x10, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_EXCHANGE},
    {"IKEv2 with main mode", 18, 2, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_EXCHANGE},
    {"IKEv2 exchange 33", 18, 33, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_EXCHANGE},
    {"IKEv2 exchange of the future", 18, 99, LEN, IKE_CLASS_IKE, 0},
    {"IKEv2 private exchange", 18, 240, LEN, IKE_CLASS_IKE, 0},
    {"minor version", 17, 0x2f, LEN, IKE_CLASS_IKE, 0},
    {"major version 3", 17, 0x30, LEN, IKE_CLASS_IKE, 0},
    {"major version 15", 17, 0xf0, LEN, IKE_CLASS_IKE, 0},
    {"major version 0", 17, 0x02, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_VERSION},
    {"length of a bare header", 27, 28, LEN, IKE_CLASS_IKE, 0},
    {"length below the header", 27, 27, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_LENGTH},
    {"length zero", 27, 0, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_LENGTH},
    {"length one too many", 27, LEN + 1, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_LENGTH},
    {"length enormous", 24, 0xff, LEN, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_LENGTH},
    {"cut short", 0, 1, LEN - 1, IKE_CLASS_GARBAGE, IKE_GARBAGE_BAD_IKE_LENGTH},
    {"header cut", 0, 1, IKE_HEADER_LEN - 1, IKE_CLASS_GARBAGE, IKE_GARBAGE_TOO_SHORT},
    {"two bytes", 0, 1, 2, IKE_CLASS_GARBAGE, IKE_GARBAGE_TOO_SHORT},
    {"nothing", 0, 1, 0, IKE_CLASS_GARBAGE, IKE_GARBAGE_TOO_SHORT},
};

/* An exact-size heap copy, so that the sanitizer sees each byte read past the end. */
static enum ike_class classify_copy(const uint8_t *data, size_t len, bool natt, struct ike_datagram *d,
                                    uint8_t **copy)
{
    *copy = malloc(len ? len : 1);
    assert_non_null(*copy);
    if (len)
        memcpy(*copy, data, len);
    return classify_datagram(*copy, len, natt, d);
}

static void check_ike_case(const struct ike_case *t, bool natt)
{
    uint8_t buf[128] = {0};
    const size_t marker = natt ? IKE_NON_ESP_MARKER : 0;
    struct ike_datagram d = {0};
    uint8_t *copy;

    memcpy(buf + marker, init, LEN);
    buf[marker + t->at] = t->value;
    const enum ike_class class = classify_copy(buf, marker + t->len, natt, &d, &copy);
    if (class != t->class || d.class != class || (class == IKE_CLASS_GARBAGE && d.garbage != t->garbage))
        fail_msg("%s, port %s: class %d, reason %s", t->label, natt ? "4500" : "500", (int)class,
                 classify_garbage_name(d.garbage));
    if (class == IKE_CLASS_IKE) {
        assert_ptr_equal(d.ike, copy + marker);
        assert_int_equal(d.ike_len, d.header.length);
        assert_true(d.ike_len <= t->len);
    }
    free(copy);
}

static void test_ike(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ike_cases / sizeof ike_cases[0]; i++) {
        check_ike_case(&ike_cases[i], false);
        check_ike_case(&ike_cases[i], true);
    }
}

static void test_header_fields(void **state)
{
    struct ike_datagram d;

    (void)state;
    assert_int_equal(classify_datagram(init, LEN, false, &d), IKE_CLASS_IKE);
    assert_memory_equal(d.header.spi_i.bytes, init, 8);
    assert_true(header_spi_is_zero(&d.header.spi_r));
    assert_int_equal(d.header.next_payload, IKE_PAYLOAD_SA);
    assert_int_equal(d.header.major, 2);
    assert_int_equal(d.header.minor, 0);
    assert_int_equal(d.header.exchange, IKE_EXCHANGE_SA_INIT);
    assert_int_equal(d.header.flags, IKE_FLAG_INITIATOR);
    assert_int_equal(d.header.message_id, 0);
    assert_int_equal(d.header.length, LEN);
}

static void test_ikev1(void **state)
{
    static const struct {
        uint8_t exchange;
        bool sound;
    } cases[] = {{0, false}, {2, true},   {4, true},    {32, true},
                 {33, true}, {34, false}, {239, false}, {240, true}};
    struct ike_datagram d;
    uint8_t buf[LEN];

    (void)state;
    memcpy(buf, init, LEN);
    buf[17] = 0x10;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf[18] = cases[i].exchange;
        classify_datagram(buf, LEN, false, &d);
        assert_int_equal(d.class, cases[i].sound ? IKE_CLASS_IKE : IKE_CLASS_GARBAGE);
        if (!cases[i].sound)
            assert_int_equal(d.garbage, IKE_GARBAGE_BAD_IKE_EXCHANGE);
    }
}

static void test_zero_spi(void **state)
{
    struct ike_datagram d;
    uint8_t buf[IKE_NON_ESP_MARKER + LEN] = {0};

    (void)state;
    memcpy(buf + IKE_NON_ESP_MARKER, init, LEN);
    memset(buf + IKE_NON_ESP_MARKER, 0, 8);
    for (int natt = 0; natt <= 1; natt++) {
        const size_t skip = natt ? 0 : IKE_NON_ESP_MARKER;
        assert_int_equal(classify_datagram(buf + skip, sizeof buf - skip, natt, &d), IKE_CLASS_GARBAGE);
        assert_int_equal(d.garbage, IKE_GARBAGE_ZERO_SPI);
    }
    /* Any one byte makes it an SPI. */
    for (size_t i = 0; i < 8; i++) {
        buf[IKE_NON_ESP_MARKER + i] = 1;
        assert_int_equal(classify_datagram(buf, sizeof buf, true, &d), IKE_CLASS_IKE);
        buf[IKE_NON_ESP_MARKER + i] = 0;
    }
}

static void test_port_4500_only(void **state)
{
    /* {bytes, their number, class on 4500, class on 500} */
    static const struct {
        uint8_t bytes[10];
        size_t len;
        enum ike_class natt;
        enum ike_class plain;
    } cases[] = {
        {{0xff}, 1, IKE_CLASS_KEEPALIVE, IKE_CLASS_KEEPALIVE},
        {{0xfe}, 1, IKE_CLASS_GARBAGE, IKE_CLASS_GARBAGE},
        {{0xff, 0xff}, 2, IKE_CLASS_GARBAGE, IKE_CLASS_GARBAGE},
        {{0xc0, 0, 0, 1, 0, 0, 0, 1}, 8, IKE_CLASS_ESP, IKE_CLASS_GARBAGE},
        {{0xc0, 0, 0, 1, 0, 0, 0}, 7, IKE_CLASS_GARBAGE, IKE_CLASS_GARBAGE},
        {{0, 0, 0, 1, 0, 0, 0, 1}, 8, IKE_CLASS_ESP, IKE_CLASS_GARBAGE},
        {{0, 0, 0, 0, 0, 0, 0, 1}, 8, IKE_CLASS_GARBAGE, IKE_CLASS_GARBAGE},
        {{0, 0, 0, 0}, 4, IKE_CLASS_GARBAGE, IKE_CLASS_GARBAGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int natt = 0; natt <= 1; natt++) {
            struct ike_datagram d = {0};
            uint8_t *copy;
            const enum ike_class class = classify_copy(cases[i].bytes, cases[i].len, natt, &d, &copy);
            assert_int_equal(class, natt ? cases[i].natt : cases[i].plain);
            if (class == IKE_CLASS_ESP)
                assert_int_equal(d.esp_spi, (uint32_t)cases[i].bytes[0] << 24 | cases[i].bytes[3]);
            if (class == IKE_CLASS_GARBAGE)
                assert_int_equal(d.garbage, IKE_GARBAGE_TOO_SHORT);
            free(copy);
        }
    }
}

static void test_garbage_names(void **state)
{
    (void)state;
    for (int i = 0; i < IKE_GARBAGE_COUNT; i++) {
        const char *name = classify_garbage_name((enum ike_garbage)i);
        assert_string_not_equal(name, "unknown");
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
    }
    assert_string_equal(classify_garbage_name(IKE_GARBAGE_TOO_SHORT), "too_short");
    assert_string_equal(classify_garbage_name(IKE_GARBAGE_ZERO_SPI), "zero_spi");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ike),
        cmocka_unit_test(test_header_fields),
        cmocka_unit_test(test_ikev1),
        cmocka_unit_test(test_zero_spi),
        cmocka_unit_test(test_port_4500_only),
        cmocka_unit_test(test_garbage_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
