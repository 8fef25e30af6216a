#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/cursor.h"

static const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xff};

static void test_reads(void **state)
{
    struct cursor c = cursor_over(bytes, sizeof bytes);

    (void)state;
    assert_int_equal(cursor_left(&c), 8);
    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u32(&c), 0x04050607);
    assert_ptr_equal(cursor_bytes(&c, 1), bytes + 7);
    assert_int_equal(cursor_left(&c), 0);
    assert_non_null(cursor_bytes(&c, 0));
    assert_false(c.failed);

    c = cursor_over(bytes, sizeof bytes);
    assert_true(cursor_u64(&c) == UINT64_C(0x01020304050607ff));
    assert_true(cursor_u64(&c) == 0);
    assert_true(c.failed);
}

/* A read that does not fit takes nothing, and no later one succeeds, be it ever so small. */
static void test_sticky_error(void **state)
{
    (void)state;
    for (size_t have = 0; have < 4; have++) {
        uint8_t *copy = malloc(have ? have : 1);
        assert_non_null(copy);
        memset(copy, 0xee, have);
        struct cursor c = cursor_over(copy, have);
        assert_int_equal(cursor_u32(&c), 0);
        assert_true(c.failed);
        assert_int_equal(cursor_left(&c), 0);
        assert_int_equal(cursor_u8(&c), 0);
        assert_int_equal(cursor_u16(&c), 0);
        assert_null(cursor_bytes(&c, 1));
        free(copy);
    }
    struct cursor c = cursor_over(bytes, 3);
    assert_null(cursor_bytes(&c, SIZE_MAX));
    assert_true(c.failed);
}

static void test_slice(void **state)
{
    struct cursor c = cursor_over(bytes, sizeof bytes);
    struct cursor inner = cursor_slice(&c, 3);

    (void)state;
    assert_int_equal(cursor_u8(&c), 0x04);
    assert_int_equal(cursor_u16(&inner), 0x0102);
    assert_int_equal(cursor_u16(&inner), 0);
    assert_true(inner.failed);
    assert_false(c.failed);

    inner = cursor_slice(&c, 5);
    assert_true(inner.failed && c.failed);
    assert_int_equal(cursor_left(&inner), 0);
}

static void test_writes(void **state)
{
    static const uint8_t want[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 'a', 'b'};
    uint8_t out[10];
    struct writer w = writer_over(out, sizeof out);

    (void)state;
    memset(out, 0xee, sizeof out);
    writer_u8(&w, 0x01);
    writer_u16(&w, 0x0203);
    writer_u32(&w, 0x04050607);
    writer_bytes(&w, "ab", 2);
    writer_bytes(&w, NULL, 0);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), 9);
    assert_memory_equal(out, want, sizeof want);
    writer_u16(&w, 0x1122); /* one byte is left */
    assert_true(w.failed);
    assert_int_equal(writer_len(&w), 9);
    assert_int_equal(out[9], 0xee);
    writer_u8(&w, 1);
    assert_int_equal(writer_len(&w), 9);
}

static void test_writes_of_eight_bytes(void **state)
{
    uint8_t out[9] = {0};
    struct writer w = writer_over(out, sizeof out);

    (void)state;
    writer_u64(&w, UINT64_C(0x01020304050607ff));
    assert_memory_equal(out, bytes, sizeof bytes);
    assert_int_equal(writer_len(&w), 8);
    writer_u64(&w, 1);
    assert_true(w.failed);
    assert_int_equal(out[8], 0);
}

static void test_patches(void **state)
{
    uint8_t out[8] = {0};
    struct writer w = writer_over(out, sizeof out);

    (void)state;
    writer_u32(&w, 0);
    writer_patch_u16(&w, 1, 0xabcd);
    assert_memory_equal(out, "\x00\xab\xcd\x00", 4);
    writer_patch_u32(&w, 0, 0x01020304);
    assert_memory_equal(out, "\x01\x02\x03\x04", 4);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), 4);
    writer_patch_u16(&w, 3, 0xffff);
    assert_true(w.failed);
    assert_memory_equal(out, "\x01\x02\x03\x04\x00\x00", 6);
}

static void test_patch_past_the_end(void **state)
{
    static const size_t offsets[] = {1, 2, 3, 4, 5, 100, SIZE_MAX - 3, SIZE_MAX - 1, SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        uint8_t out[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        struct writer w = writer_over(out, sizeof out);
        writer_u32(&w, 0x01020304);
        writer_patch_u32(&w, offsets[i], 0xffffffff);
        assert_true(w.failed);
        assert_memory_equal(out, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_sticky_error),
        cmocka_unit_test(test_slice),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_writes_of_eight_bytes),
        cmocka_unit_test(test_patches),
        cmocka_unit_test(test_patch_past_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
