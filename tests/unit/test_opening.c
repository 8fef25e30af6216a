#include "tests/unit/unit.h"

#include "base/cursor.h"
#include "health/opening.h"
#include "ike/classify.h"

static const struct ike_spi spi = {{1, 2, 3, 4, 5, 6, 7, 8}};

/* An answer of one notify, its responder's SPI zero or not. */
static struct ike_datagram answer_with(uint8_t buf[64], uint8_t version, uint8_t spi_r, uint16_t type,
                                       const void *data, size_t len)
{
    struct writer w = writer_over(buf, 64);
    struct ike_datagram d;

    writer_bytes(&w, spi.bytes, 8);
    writer_bytes(&w, (const uint8_t[8]){spi_r}, 8);
    writer_u8(&w, IKE_PAYLOAD_NOTIFY);
    writer_u8(&w, version);
    writer_u8(&w, IKE_EXCHANGE_SA_INIT);
    writer_u8(&w, IKE_FLAG_RESPONSE);
    writer_u32(&w, 0);
    writer_u32(&w, (uint32_t)(IKE_HEADER_LEN + 8 + len));
    writer_u32(&w, (uint32_t)(8 + len));
    writer_u16(&w, 0);
    writer_u16(&w, type);
    writer_bytes(&w, data, len);
    assert_false(w.failed);
    assert_int_equal(classify_datagram(buf, writer_len(&w), false, &d), IKE_CLASS_IKE);
    return d;
}

static struct opening *begin(void)
{
    static struct opening o;

    assert_int_equal(opening_init(&o), 0);
    opening_name(&o, &spi);
    return &o;
}

/* The cookie that the message carries, its length; 0 without one. */
static size_t cookie_of(const struct opening *o, uint8_t buf[IKE_MESSAGE_MAX], const uint8_t **cookie)
{
    struct ike_datagram d;
    struct ike_notify n;
    const size_t len = opening_write(o, false, buf, IKE_MESSAGE_MAX);

    assert_int_equal(classify_datagram(buf, len, false, &d), IKE_CLASS_IKE);
    if (!payload_find_notify(&d, IKE_NOTIFY_COOKIE, &n))
        return 0;
    *cookie = n.data;
    return n.data_len;
}

static void test_repetition(void **state)
{
    struct opening *o = begin();
    uint8_t first[IKE_MESSAGE_MAX], again[IKE_MESSAGE_MAX];
    const size_t len = opening_write(o, false, first, sizeof first);

    (void)state;
    assert_true(len > 0);
    assert_int_equal(opening_write(o, false, again, sizeof again), len);
    assert_memory_equal(first, again, len);
    assert_int_equal(opening_write(o, true, again, sizeof again), len + IKE_NON_ESP_MARKER);
    assert_memory_equal(first, again + IKE_NON_ESP_MARKER, len);
}

static void test_cookie(void **state)
{
    struct opening *o = begin();
    uint8_t buf[64], message[IKE_MESSAGE_MAX];
    const uint8_t *cookie = NULL;
    struct ike_datagram d = answer_with(buf, 0x20, 0, IKE_NOTIFY_COOKIE, "biscuit", 7);

    (void)state;
    assert_int_equal(cookie_of(o, message, &cookie), 0);
    assert_true(opening_meet_demand(o, &d));
    memset(buf, 0xee, sizeof buf); /* the datagram is gone */
    assert_true(o->cookie_demanded);
    assert_int_equal(cookie_of(o, message, &cookie), 7);
    assert_memory_equal(cookie, "biscuit", 7);
    d = answer_with(buf, 0x20, 0, IKE_NOTIFY_COOKIE, "another", 7);
    assert_false(opening_meet_demand(o, &d));
}

static void test_group(void **state)
{
    struct opening *o = begin();
    uint8_t buf[64];
    struct ike_datagram d = answer_with(buf, 0x20, 0, IKE_NOTIFY_INVALID_KE_PAYLOAD, "\0\x18", 2);

    (void)state;
    assert_false(opening_meet_demand(o, &d)); /* nobody has that group */
    d = answer_with(buf, 0x20, 0, IKE_NOTIFY_INVALID_KE_PAYLOAD, "\0\x0e", 2);
    assert_true(opening_meet_demand(o, &d));
    assert_int_equal(o->init.group, IKE_GROUP_MODP_2048);
    d = answer_with(buf, 0x20, 0, IKE_NOTIFY_INVALID_KE_PAYLOAD, "\0\x1f", 2);
    assert_false(opening_meet_demand(o, &d));
    assert_false(o->cookie_demanded);
}

static void test_accepted(void **state)
{
    static const struct {
        uint8_t version, spi_r;
        uint16_t type;
        bool accepted;
    } cases[] = {
        {0x20, 9, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, true},
        {0x20, 0, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, false},
        {0x20, 9, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, false},
        {0x20, 9, IKE_NOTIFY_COOKIE, false},
        {0x20, 9, IKE_NOTIFY_REDIRECT, false},
        {0x30, 9, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t buf[64];
        const struct ike_datagram d =
            answer_with(buf, cases[i].version, cases[i].spi_r, cases[i].type, NULL, 0);
        assert_int_equal(opening_is_accepted(&d), cases[i].accepted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_repetition), cmocka_unit_test(test_cookie),
                                       cmocka_unit_test(test_group), cmocka_unit_test(test_accepted)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
