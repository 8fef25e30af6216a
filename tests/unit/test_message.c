#include "tests/unit/unit.h"

#include "base/cursor.h"
#include "ike/message.h"
#include "ike/payload.h"

static const struct ike_spi spi = {{1, 2, 3, 4, 5, 6, 7, 8}};
static const struct message_random random_bytes = {.nonce = {0xaa}, .natd = {{0xbb}, {0xcc}}, .ke = {0xdd}};

/* Classifies what a builder wrote and checks what all messages have in common. */
static struct ike_datagram parse(const uint8_t *buf, size_t len, bool natt)
{
    struct ike_datagram d;

    assert_true(len > 0);
    assert_int_equal(classify_datagram(buf, len, natt, &d), IKE_CLASS_IKE);
    assert_int_equal(d.ike_len, len - (natt ? IKE_NON_ESP_MARKER : 0));
    assert_true(header_spi_equal(&d.header.spi_i, &spi));
    assert_true(header_spi_is_zero(&d.header.spi_r));
    assert_int_equal(d.header.exchange, IKE_EXCHANGE_SA_INIT);
    assert_int_equal(d.header.flags, IKE_FLAG_INITIATOR);
    assert_int_equal(d.header.message_id, 0);
    return d;
}

/* The payload of the given type that comes first; its place in the chain is returned. */
static int find(const struct ike_datagram *d, uint8_t type, struct ike_payload *p)
{
    struct payload_walk w;

    assert_int_equal(payload_walk_init(&w, d), 0);
    for (int i = 0; payload_walk_next(&w, p); i++)
        if (p->type == type)
            return i;
    fail_msg("no payload %d", type);
    return -1;
}

/* One transform of a proposal; false at the end. Checks the length and the "more" byte on the way. */
static bool next_transform(struct cursor *c, uint8_t *type, uint16_t *id)
{
    if (!cursor_left(c))
        return false;
    const uint8_t more = cursor_u8(c);
    cursor_u8(c);
    const size_t len = cursor_u16(c);
    *type = cursor_u8(c);
    cursor_u8(c);
    *id = cursor_u16(c);
    assert_non_null(cursor_bytes(c, len - 8));
    assert_int_equal(more, cursor_left(c) ? 3 : 0);
    return true;
}

/* The next proposal's transforms, of which there must be as many as it says. */
static struct cursor next_proposal(struct cursor *c, uint8_t number)
{
    const size_t start = cursor_left(c);
    const uint8_t more = cursor_u8(c);
    cursor_u8(c);
    const size_t len = cursor_u16(c);
    assert_int_equal(more, len < start ? 2 : 0);
    assert_int_equal(cursor_u8(c), number);
    assert_int_equal(cursor_u8(c), 1); /* IKE */
    assert_int_equal(cursor_u8(c), 0); /* no SPI */
    const int count = cursor_u8(c);
    const struct cursor transforms = cursor_slice(c, len - 8);
    assert_false(transforms.failed);

    struct cursor copy = transforms;
    uint8_t type;
    uint16_t id;
    for (int i = 0; i < count; i++)
        assert_true(next_transform(&copy, &type, &id));
    assert_int_equal(cursor_left(&copy), 0);
    return transforms;
}

static bool offers(struct cursor transforms, uint8_t wanted_type, uint16_t wanted_id)
{
    uint8_t type;
    uint16_t id;

    while (next_transform(&transforms, &type, &id))
        if (type == wanted_type && id == wanted_id)
            return true;
    return false;
}

static void assert_ke(const struct ike_datagram *d, uint16_t group, size_t len)
{
    struct ike_payload p;

    find(d, IKE_PAYLOAD_KE, &p);
    struct cursor c = cursor_over(p.body, p.len);
    assert_int_equal(cursor_u16(&c), group);
    assert_int_equal(cursor_u16(&c), 0);
    assert_int_equal(cursor_left(&c), len);
}

static void test_probe(void **state)
{
    (void)state;
    for (int natt = 0; natt <= 1; natt++) {
        uint8_t buf[IKE_MESSAGE_MAX];
        struct ike_payload p;
        uint8_t type;
        uint16_t id;
        const size_t len = message_probe(&spi, &random_bytes, natt, buf, sizeof buf);
        const struct ike_datagram d = parse(buf, len, natt);

        assert_true(header_is_init_request(&d.header));
        assert_int_equal(find(&d, IKE_PAYLOAD_SA, &p), 0);
        struct cursor c = cursor_over(p.body, p.len);
        struct cursor transforms = next_proposal(&c, 1);
        assert_int_equal(cursor_left(&c), 0);
        /* The only cipher is one that no server can have. */
        while (next_transform(&transforms, &type, &id))
            assert_true(type != 1 || id >= 1024);
        assert_ke(&d, 14, 256);
        find(&d, IKE_PAYLOAD_NONCE, &p);
        assert_int_equal(p.len, IKE_NONCE_LEN);
        assert_memory_equal(p.body, random_bytes.nonce, IKE_NONCE_LEN);
        assert_false(payload_find_notify(&d, IKE_NOTIFY_COOKIE, NULL));
    }
}

static void test_future_version(void **state)
{
    (void)state;
    for (int natt = 0; natt <= 1; natt++) {
        uint8_t buf[IKE_MESSAGE_MAX];
        const size_t len = message_future_version(&spi, natt, buf, sizeof buf);
        const struct ike_datagram d = parse(buf, len, natt);

        assert_int_equal(d.header.major, 3);
        assert_int_equal(d.ike_len, IKE_HEADER_LEN);
        assert_int_equal(d.header.next_payload, IKE_PAYLOAD_NONE);
        assert_false(header_is_init_request(&d.header));
    }
}

static void test_init_every_group(void **state)
{
    (void)state;
    for (size_t i = 0; i < group_count(); i++) {
        const struct message_init what = {.spi_i = spi, .group = group_at(i)};
        uint8_t buf[IKE_MESSAGE_MAX], value[IKE_KE_MAX];
        const size_t len = message_init(&what, &random_bytes, true, buf, sizeof buf);
        const struct ike_datagram d = parse(buf, len, true);
        const size_t ke_len = group_public_value(group_at(i), random_bytes.ke, value);
        struct ike_payload p;

        assert_ke(&d, (uint16_t)group_at(i), ke_len);
        find(&d, IKE_PAYLOAD_KE, &p);
        assert_memory_equal(p.body + 4, value, ke_len);
        /* No IP fragments: an answer must not depend on their fate. */
        assert_true(len + 48 <= 1280);
    }
}

static void test_init_contents(void **state)
{
    const struct message_init what = {.spi_i = spi, .group = IKE_GROUP_ECP_256};
    uint8_t buf[IKE_MESSAGE_MAX];
    struct ike_payload p;
    struct ike_notify n;

    (void)state;
    const struct ike_datagram d =
        parse(buf, message_init(&what, &random_bytes, false, buf, sizeof buf), false);
    assert_true(header_is_init_request(&d.header));
    assert_int_equal(find(&d, IKE_PAYLOAD_SA, &p), 0);
    struct cursor c = cursor_over(p.body, p.len);
    const struct cursor aead = next_proposal(&c, 1);
    const struct cursor classic = next_proposal(&c, 2);
    assert_int_equal(cursor_left(&c), 0);
    assert_true(offers(aead, 1, 20));
    assert_false(offers(aead, 3, 12)); /* no integrity transform beside AES-GCM */
    assert_true(offers(classic, 1, 12) && offers(classic, 1, 3) && offers(classic, 3, 2));
    for (size_t i = 0; i < group_count(); i++) {
        assert_true(offers(aead, 4, (uint16_t)group_at(i)));
        assert_true(offers(classic, 4, (uint16_t)group_at(i)));
    }
    assert_true(payload_find_notify(&d, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, &n));
    assert_int_equal(n.data_len, 0);
    assert_true(payload_find_notify(&d, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, &n));
    assert_memory_equal(n.data, random_bytes.natd[0], IKE_NATD_LEN);
    assert_true(payload_find_notify(&d, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, &n));
    assert_memory_equal(n.data, random_bytes.natd[1], IKE_NATD_LEN);
    assert_false(payload_find_notify(&d, IKE_NOTIFY_COOKIE, NULL));
}

static void test_init_with_cookie(void **state)
{
    uint8_t cookie[IKE_COOKIE_MAX + 1] = {7};
    struct message_init what = {.spi_i = spi, .group = IKE_GROUP_MODP_4096, .cookie = cookie};
    uint8_t buf[IKE_MESSAGE_MAX];
    struct ike_payload p;
    struct ike_notify n;

    (void)state;
    what.cookie_len = IKE_COOKIE_MAX;
    const struct ike_datagram d = parse(buf, message_init(&what, &random_bytes, true, buf, sizeof buf), true);
    /* It must be the first payload: RFC 7296 section 2.6. */
    assert_int_equal(find(&d, IKE_PAYLOAD_NOTIFY, &p), 0);
    assert_true(payload_find_notify(&d, IKE_NOTIFY_COOKIE, &n));
    assert_int_equal(n.data_len, IKE_COOKIE_MAX);
    assert_memory_equal(n.data, cookie, IKE_COOKIE_MAX);

    what.cookie_len = IKE_COOKIE_MAX + 1;
    assert_int_equal(message_init(&what, &random_bytes, true, buf, sizeof buf), 0);
}

static void test_refusals(void **state)
{
    const struct message_init odd = {.spi_i = spi, .group = (enum ike_group)99};
    const struct message_init good = {.spi_i = spi, .group = IKE_GROUP_MODP_2048};
    uint8_t buf[IKE_MESSAGE_MAX];

    (void)state;
    assert_int_equal(message_init(&odd, &random_bytes, false, buf, sizeof buf), 0);
    /* Every size that is too small is refused, and nothing is written behind it. */
    const size_t init_len = message_init(&good, &random_bytes, true, buf, sizeof buf);
    const size_t probe_len = message_probe(&spi, &random_bytes, true, buf, sizeof buf);
    for (size_t size = 0; size < init_len; size++) {
        buf[size] = 0x5a;
        assert_int_equal(message_init(&good, &random_bytes, true, buf, size), 0);
        if (size < probe_len)
            assert_int_equal(message_probe(&spi, &random_bytes, true, buf, size), 0);
        if (size < IKE_HEADER_LEN)
            assert_int_equal(message_future_version(&spi, false, buf, size), 0);
        assert_int_equal(buf[size], 0x5a);
    }
    assert_int_equal(message_init(&good, &random_bytes, true, buf, init_len), init_len);
}

/* A probe of any size is sound, and differs from the plain one only by a status that nobody knows. */
static void test_large_probe(void **state)
{
    static const size_t sizes[] = {IKE_LARGE_PROBE_MIN, 1472, IKE_LARGE_PROBE_MAX};
    uint8_t plain[IKE_MESSAGE_MAX], buf[IKE_LARGE_PROBE_MAX];
    struct ike_payload p;
    struct ike_notify n;

    (void)state;
    for (int natt = 0; natt <= 1; natt++) {
        const size_t plain_len = message_probe(&spi, &random_bytes, natt, plain, sizeof plain);
        const size_t body = IKE_HEADER_LEN + (natt ? IKE_NON_ESP_MARKER : 0);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            assert_int_equal(message_large_probe(&spi, &random_bytes, natt, sizes[i], buf, sizeof buf),
                             sizes[i]);
            const struct ike_datagram d = parse(buf, sizes[i], natt);
            assert_memory_equal(buf + body, plain + body, 64); /* the proposal */
            assert_int_equal(find(&d, IKE_PAYLOAD_NOTIFY, &p), 3);
            assert_false(p.critical);
            assert_int_equal(payload_notify(&p, &n), 0);
            assert_true(n.type >= 40960);
            assert_int_equal(n.data_len, sizes[i] - plain_len - 8);
        }
        assert_int_equal(message_large_probe(&spi, &random_bytes, natt, 600, buf, 599), 0);
        assert_int_equal(
            message_large_probe(&spi, &random_bytes, natt, IKE_LARGE_PROBE_MIN - 1, buf, sizeof buf), 0);
        assert_int_equal(
            message_large_probe(&spi, &random_bytes, natt, IKE_LARGE_PROBE_MAX + 1, buf, sizeof buf), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe),         cmocka_unit_test(test_future_version),
        cmocka_unit_test(test_init_contents), cmocka_unit_test(test_init_every_group),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_init_with_cookie),
        cmocka_unit_test(test_large_probe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
