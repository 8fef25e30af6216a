#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "ike/payload.h"

#define MESSAGE_MAX 4096

/* A datagram under construction: a header, then whatever the test adds; seal() classifies it. */
struct message {
    uint8_t bytes[MESSAGE_MAX];
    struct writer w;
    uint8_t *copy; /* of seal() */
};

static void begin(struct message *m, uint8_t first, uint8_t version, uint8_t exchange, uint8_t flags)
{
    m->w = writer_over(m->bytes, sizeof m->bytes);
    writer_bytes(&m->w, "initiate", 8);
    writer_bytes(&m->w, "\0\0\0\0\0\0\0", 8);
    writer_u8(&m->w, first);
    writer_u8(&m->w, version);
    writer_u8(&m->w, exchange);
    writer_u8(&m->w, flags);
    writer_u32(&m->w, 0);
    writer_u32(&m->w, 0);
}

static void begin_v2(struct message *m, uint8_t first)
{
    begin(m, first, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_INITIATOR);
}

/* A payload with the given successor and body; `claim` is added to its true length. */
static void add(struct message *m, uint8_t next, const void *body, size_t len, int claim)
{
    writer_u8(&m->w, next);
    writer_u8(&m->w, 0);
    writer_u16(&m->w, (uint16_t)((int)len + 4 + claim));
    writer_bytes(&m->w, body, len);
}

/* Classifies an exact-size copy, for the sanitizer's sake; release() frees it. */
static struct ike_datagram seal(struct message *m)
{
    struct ike_datagram d;
    const size_t len = writer_len(&m->w);

    assert_false(m->w.failed);
    m->copy = malloc(len);
    assert_non_null(m->copy);
    writer_patch_u32(&m->w, 24, (uint32_t)len);
    memcpy(m->copy, m->bytes, len);
    assert_int_equal(classify_datagram(m->copy, len, false, &d), IKE_CLASS_IKE);
    return d;
}

static void release(struct message *m)
{
    free(m->copy);
}

/* Types seen by a walk, as text; "!" if the chain is malformed. */
static void walk_text(const struct ike_datagram *d, char *text, size_t size)
{
    struct payload_walk w;
    struct ike_payload p;
    struct writer out = writer_over(text, size - 1);

    if (payload_walk_init(&w, d) < 0)
        writer_u8(&out, '!');
    while (payload_walk_next(&w, &p)) {
        char number[16];
        const int n = snprintf(number, sizeof number, "%s%u:%zu", writer_len(&out) ? " " : "", p.type, p.len);
        writer_bytes(&out, number, (size_t)n);
    }
    text[writer_len(&out)] = '\0';
}

static void assert_walk(struct message *m, const char *expected)
{
    const struct ike_datagram d = seal(m);
    char text[1024];

    walk_text(&d, text, sizeof text);
    assert_string_equal(text, expected);
    release(m);
}

static void test_sound_chains(void **state)
{
    struct message m;

    (void)state;
    begin_v2(&m, IKE_PAYLOAD_NONE);
    assert_walk(&m, "");

    begin_v2(&m, IKE_PAYLOAD_SA);
    add(&m, IKE_PAYLOAD_KE, "sa", 2, 0);
    add(&m, IKE_PAYLOAD_NONCE, "", 0, 0);
    add(&m, IKE_PAYLOAD_NONE, "nonce", 5, 0);
    assert_walk(&m, "33:2 34:0 40:5");

    /* Bytes behind the last payload are nobody's business. */
    begin_v2(&m, IKE_PAYLOAD_NONCE);
    add(&m, IKE_PAYLOAD_NONE, "nonce", 5, 0);
    writer_u8(&m.w, 0xff);
    assert_walk(&m, "40:5");
}

static void test_encrypted_ends_the_walk(void **state)
{
    struct message m;

    (void)state;
    begin_v2(&m, IKE_PAYLOAD_ENCRYPTED);
    add(&m, IKE_PAYLOAD_NOTIFY, "\0\0", 2, 0);
    assert_walk(&m, "");

    begin_v2(&m, IKE_PAYLOAD_NONCE);
    add(&m, IKE_PAYLOAD_ENCRYPTED_FRAGMENT, "n", 1, 0);
    add(&m, 1, "x", 1, 100);
    assert_walk(&m, "40:1");

    begin(&m, IKE_PAYLOAD_V1_SA, 0x10, IKE_EXCHANGE_V1_MAIN, IKE_FLAG_V1_ENCRYPTED);
    writer_bytes(&m.w, "ciphertext", 10);
    assert_walk(&m, "");

    begin(&m, IKE_PAYLOAD_SA, 0x30, IKE_EXCHANGE_SA_INIT, IKE_FLAG_INITIATOR);
    writer_bytes(&m.w, "who knows", 9);
    assert_walk(&m, "");
}

static void test_broken_chains(void **state)
{
    struct message m;

    (void)state;
    /* A sound first payload must not be seen if a later one is broken. */
    begin_v2(&m, IKE_PAYLOAD_NONCE);
    add(&m, IKE_PAYLOAD_NONCE, "good", 4, 0);
    add(&m, IKE_PAYLOAD_NONE, "bad", 3, 1);
    assert_walk(&m, "!");

    for (int len = 0; len < 4; len++) {
        begin_v2(&m, IKE_PAYLOAD_NONCE);
        add(&m, IKE_PAYLOAD_NONE, "", 0, len - 4);
        assert_walk(&m, "!");
    }
    /* Announced, but not there; or only in part. */
    for (size_t part = 0; part < 4; part++) {
        begin_v2(&m, IKE_PAYLOAD_NONCE);
        writer_bytes(&m.w, "\0\0\0\4", part);
        assert_walk(&m, "!");
    }
    /* A notify whose SPI leaves the payload, and one that ends before its type. */
    begin_v2(&m, IKE_PAYLOAD_NOTIFY);
    add(&m, IKE_PAYLOAD_NONE, "\1\5\0\1abcd", 8, 0);
    assert_walk(&m, "!");
    begin_v2(&m, IKE_PAYLOAD_NOTIFY);
    add(&m, IKE_PAYLOAD_NONE, "\0\0\0", 3, 0);
    assert_walk(&m, "!");
}

static void test_number_is_bounded(void **state)
{
    (void)state;
    for (int extra = 0; extra <= 1; extra++) {
        struct message m;
        char text[1024];

        begin_v2(&m, IKE_PAYLOAD_NONCE);
        for (int i = 1; i < IKE_PAYLOADS_MAX + extra; i++)
            add(&m, IKE_PAYLOAD_NONCE, "", 0, 0);
        add(&m, IKE_PAYLOAD_NONE, "", 0, 0);
        const struct ike_datagram d = seal(&m);
        walk_text(&d, text, sizeof text);
        assert_int_equal(text[0] == '!', extra);
        release(&m);
    }
}

static void test_notify(void **state)
{
    const struct ike_payload v2 = {
        .type = IKE_PAYLOAD_NOTIFY, .body = (const uint8_t *)"\3\4\0\x0bspi!data", .len = 12};
    const struct ike_payload v1 = {
        .type = IKE_PAYLOAD_V1_NOTIFY, .body = (const uint8_t *)"\0\0\0\1\1\2\0\x0eSPxyz", .len = 13};
    struct ike_notify n;

    (void)state;
    assert_int_equal(payload_notify(&v2, &n), 0);
    assert_int_equal(n.protocol, 3);
    assert_int_equal(n.type, IKE_NOTIFY_INVALID_SPI);
    assert_int_equal(n.spi_len, 4);
    assert_memory_equal(n.spi, "spi!", 4);
    assert_int_equal(n.data_len, 4);
    assert_memory_equal(n.data, "data", 4);

    assert_int_equal(payload_notify(&v1, &n), 0);
    assert_int_equal(n.protocol, 1);
    assert_int_equal(n.type, 14);
    assert_memory_equal(n.spi, "SP", 2);
    assert_int_equal(n.data_len, 3);
    assert_memory_equal(n.data, "xyz", 3);

    const struct ike_payload short_v1 = {.type = IKE_PAYLOAD_V1_NOTIFY, .body = v1.body, .len = 7};
    assert_int_equal(payload_notify(&short_v1, &n), ERR_MALFORMED);
}

static void test_find_notify(void **state)
{
    struct message m;
    struct ike_notify n;

    (void)state;
    begin_v2(&m, IKE_PAYLOAD_NONCE);
    add(&m, IKE_PAYLOAD_NOTIFY, "\0\0\x40\x2e not a notify", 16, 0);
    add(&m, IKE_PAYLOAD_NOTIFY, "\0\0\x40\x04one", 7, 0);
    add(&m, IKE_PAYLOAD_VENDOR, "\0\0\x40\x04two", 7, 0);
    add(&m, IKE_PAYLOAD_NONE, "\0\0\x40\x06", 4, 0);
    const struct ike_datagram d = seal(&m);

    assert_false(payload_find_notify(&d, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL));
    assert_false(payload_find_notify(&d, IKE_NOTIFY_COOKIE, NULL));
    assert_true(payload_find_notify(&d, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, &n));
    assert_int_equal(n.data_len, 3);
    assert_memory_equal(n.data, "one", 3);
    release(&m);
}

static void test_is_vendor(void **state)
{
    (void)state;
    for (int type = 0; type < 256; type++) {
        const struct ike_payload p = {.type = (uint8_t)type};
        assert_int_equal(payload_is_vendor(&p), type == 13 || type == 43);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_chains),  cmocka_unit_test(test_encrypted_ends_the_walk),
        cmocka_unit_test(test_broken_chains), cmocka_unit_test(test_number_is_bounded),
        cmocka_unit_test(test_notify),        cmocka_unit_test(test_find_notify),
        cmocka_unit_test(test_is_vendor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
