#include "tests/unit/unit.h"

#include "ike/group.h"

#define F1  0xff
#define F4  F1, F1, F1, F1
#define F16 F4, F4, F4, F4
#define F64 F16, F16, F16, F16

static const uint8_t all_ones[IKE_KE_MAX] = {F64, F64, F64, F64, F64, F64, F64, F64};

static void test_lengths(void **state)
{
    /* RFC 7296 section 3.4 with RFC 2409, 3526, 5903 and 8031. */
    static const struct {
        enum ike_group group;
        size_t len;
    } cases[] = {{2, 128}, {5, 192}, {14, 256}, {15, 384}, {16, 512},
                 {19, 64}, {20, 96}, {21, 132}, {31, 32}};
    uint8_t out[IKE_KE_MAX];

    (void)state;
    assert_int_equal(group_count(), sizeof cases / sizeof cases[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(group_public_value(cases[i].group, all_ones, out), cases[i].len);
        assert_true(group_is_known((uint16_t)cases[i].group));
    }
    assert_int_equal(group_public_value((enum ike_group)22, all_ones, out), 0);
    assert_false(group_is_known(22));
    assert_false(group_is_known(0));
}

static void test_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < group_count(); i++) {
        assert_true(group_is_known((uint16_t)group_at(i)));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(group_at(i), group_at(j));
    }
}

/* Random bytes of all ones must not exceed the prime. */
static void test_modp_is_below_the_prime(void **state)
{
    uint8_t out[IKE_KE_MAX];

    (void)state;
    group_public_value(IKE_GROUP_MODP_2048, all_ones, out);
    assert_int_equal(out[0], 0x7f);
    assert_int_equal(out[1], 0xff);
}

/* A 256-bit number as 32-bit limbs, least significant first, with one limb of headroom. */
struct number {
    uint32_t limb[9];
};

static int compare(const struct number *a, const struct number *b)
{
    for (int i = 8; i >= 0; i--)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static struct number add_mod(struct number a, const struct number *b, const struct number *p)
{
    uint64_t carry = 0;

    for (int i = 0; i < 9; i++) {
        carry += (uint64_t)a.limb[i] + b->limb[i];
        a.limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (compare(&a, p) < 0)
        return a;
    uint64_t borrow = 0;
    for (int i = 0; i < 9; i++) {
        const uint64_t d = (uint64_t)a.limb[i] - p->limb[i] - borrow;
        a.limb[i] = (uint32_t)d;
        borrow = d >> 63;
    }
    return a;
}

static struct number multiply_mod(const struct number *a, const struct number *b, const struct number *p)
{
    struct number r = {0};

    for (int bit = 255; bit >= 0; bit--) {
        r = add_mod(r, &r, p);
        if (b->limb[bit / 32] >> (bit % 32) & 1)
            r = add_mod(r, a, p);
    }
    return r;
}

static struct number from_bytes(const uint8_t *bytes)
{
    struct number n = {0};

    for (int i = 0; i < 32; i++)
        n.limb[(31 - i) / 4] |= (uint32_t)bytes[i] << ((31 - i) % 4 * 8);
    return n;
}

/* The point of ECP-256 satisfies y^2 + 3x = x^3 + b (RFC 5903 section 3.1), so a server's check accepts it.
 */
static void test_ecp_256_point_is_on_the_curve(void **state)
{
    static const uint8_t prime[32] = {
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    };
    static const uint8_t curve_b[32] = {
        0x5a, 0xc6, 0x35, 0xd8, 0xaa, 0x3a, 0x93, 0xe7, 0xb3, 0xeb, 0xbd, 0x55, 0x76, 0x98, 0x86, 0xbc,
        0x65, 0x1d, 0x06, 0xb0, 0xcc, 0x53, 0xb0, 0xf6, 0x3b, 0xce, 0x3c, 0x3e, 0x27, 0xd2, 0x60, 0x4b,
    };
    uint8_t out[IKE_KE_MAX];

    (void)state;
    group_public_value(IKE_GROUP_ECP_256, all_ones, out);
    const struct number p = from_bytes(prime);
    const struct number b = from_bytes(curve_b);
    const struct number x = from_bytes(out);
    const struct number y = from_bytes(out + 32);
    struct number left = multiply_mod(&y, &y, &p);
    for (int i = 0; i < 3; i++)
        left = add_mod(left, &x, &p);
    const struct number xx = multiply_mod(&x, &x, &p);
    const struct number xxx = multiply_mod(&xx, &x, &p);
    const struct number right = add_mod(xxx, &b, &p);
    assert_int_equal(compare(&left, &right), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_modp_is_below_the_prime),
        cmocka_unit_test(test_ecp_256_point_is_on_the_curve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
