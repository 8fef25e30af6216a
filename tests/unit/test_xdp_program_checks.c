#include "tests/unit/unit.h"

#include "tests/unit/support.h"
#include "tests/unit/xdp_world.h"

/* UDP checksums: right ones stay right, wrong ones wrong, and what the hardware was to finish is finished. */

static bool is_v4(const struct world_case *c)
{
    return addr_is_v4(&c->in.src.addr);
}

/* The usual packet with that checksum and payload, and what is to leave. */
static void begin(struct world *w, struct world_case *c, int way, bool is_generic, enum frame_check check)
{
    world_begin(w, &w->ways[way], c);
    c->port.is_generic = is_generic;
    world_put_port(c, c->ingress, 0);
    c->in.check = check;
    c->out.check = check;
    if (check == FRAME_CHECK_PARTIAL && !is_generic) /* RFC 3948 section 2.1 has none over IPv4 */
        c->out.check = is_v4(c) ? FRAME_CHECK_ZERO : FRAME_CHECK_RIGHT;
}

static void put_esp(struct world_case *c, size_t len)
{
    frame_put_esp(&c->in, WORLD_SPI, len);
    frame_put_esp(&c->out, WORLD_SPI, len);
}

static int fate_of(const struct world_case *c)
{
    return c->in.check == FRAME_CHECK_ZERO && !is_v4(c) ? XDP_PASS_CHECKSUM : WORLD_FORWARDED;
}

static const char *const check_names[] = {"right", "zero", "partial", "wrong"};

/* With its header a datagram of these lengths ends before, at and after the pieces that are summed up. */
static void test_every_length(void **state)
{
    static const size_t lengths[] = {8,  9,   10,  11,  12,  23,  24,   25,   54,   55,   56,  57,
                                     58, 118, 119, 120, 121, 122, 1400, 1401, 1450, 1451, 1452};
    struct world *w = world_of(state);
    struct world_case c;

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        for (int k = 0; k < WORLD_WAYS * 2 * 4; k++) {
            const enum frame_check check = (enum frame_check)(k % 4);
            begin(w, &c, k / 8, k / 4 % 2, check);
            put_esp(&c, lengths[i]);
            world_check(&c, fate_of(&c), check_names[check]);
        }
}

/* A keepalive, which ends in the middle of a word. */
static void test_keepalives(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS * 2 * 4; k++) {
        const enum frame_check check = (enum frame_check)(k % 4);
        begin(w, &c, k / 8, k / 4 % 2, check);
        c.in.payload[0] = c.out.payload[0] = 0xff;
        c.in.payload_len = c.out.payload_len = 1;
        world_check(&c, fate_of(&c), check_names[check]);
    }
}

/* The right checksum of what comes, or leaves, is one that also means something else. */
static void test_checksums_that_look_like_others(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS * 2; k++) {
        begin(w, &c, k / 2, k % 2, FRAME_CHECK_RIGHT);
        frame_aim_check(&c.in, 4, frame_check(&c.in, FRAME_CHECK_PARTIAL));
        memcpy(c.out.payload, c.in.payload, sizeof c.out.payload);
        if (is_v4(&c) && k % 2 == 0) /* nobody looks whether it was finished, since none is right as well */
            c.out.check = FRAME_CHECK_ZERO;
        world_check(&c, WORLD_FORWARDED, "comes with the sum of its pseudo header");

        begin(w, &c, k / 2, k % 2, FRAME_CHECK_RIGHT);
        frame_aim_check(&c.in, 4, 0);
        memcpy(c.out.payload, c.in.payload, sizeof c.out.payload);
        world_check(&c, WORLD_FORWARDED, "comes with what stands for zero");

        begin(w, &c, k / 2, k % 2, FRAME_CHECK_RIGHT);
        frame_aim_check(&c.out, 4, 0);
        memcpy(c.in.payload, c.out.payload, sizeof c.in.payload);
        world_check(&c, WORLD_FORWARDED, "leaves with what stands for zero");

        begin(w, &c, k / 2, k % 2, FRAME_CHECK_RIGHT);
        frame_aim_check(&c.out, 4, frame_check(&c.out, FRAME_CHECK_PARTIAL));
        memcpy(c.in.payload, c.out.payload, sizeof c.in.payload);
        world_check(&c, WORLD_FORWARDED, "leaves with the sum of its pseudo header");

        begin(w, &c, k / 2, k % 2, FRAME_CHECK_PARTIAL);
        frame_aim_check(&c.out, 4, 0);
        memcpy(c.in.payload, c.out.payload, sizeof c.in.payload);
        world_check(&c, WORLD_FORWARDED, "is finished as what stands for zero");
    }
}

/* A client from whose address the pseudo header sums up to nothing, which is written as 0xffff. */
static void test_a_sum_of_nothing(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS * 2; k++) {
        begin(w, &c, k / 2, k % 2, FRAME_CHECK_PARTIAL);
        uint8_t *last = &c.in.src.addr.bytes[14];
        const uint16_t word = (uint16_t)(last[0] << 8 | last[1]);
        const uint32_t aim = (uint32_t)word + (uint16_t)~frame_check(&c.in, FRAME_CHECK_PARTIAL);
        const uint16_t now = (uint16_t)(aim + (aim >> 16));
        last[0] = (uint8_t)(now >> 8);
        last[1] = (uint8_t)now;
        assert_int_equal(frame_check(&c.in, FRAME_CHECK_PARTIAL), 0xffff);
        world_move(&c);
        world_check(&c, WORLD_FORWARDED, "a pseudo header that sums up to nothing");
    }
}

/* In more than one buffer only what needs no sum over the payload can go. */
static void test_several_buffers(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS * 2 * 4; k++) {
        const enum frame_check check = (enum frame_check)(k % 4);
        const bool is_generic = k / 4 % 2;
        if (!w->ways[k / 8].is_out) /* towards servers the MTU is 1500 */
            continue;
        for (size_t len = 4000; len <= 8000; len += 2000) {
            begin(w, &c, k / 8, is_generic, check);
            put_esp(&c, len);
            const bool needs_sum = check == FRAME_CHECK_PARTIAL && (is_generic || !is_v4(&c));
            world_check(&c, needs_sum ? XDP_PASS_CHECKSUM : fate_of(&c), "in several buffers");
        }
    }
}

/* The longest that is in one buffer, and the end of a frame in the second one. */
static void test_large_frames(void **state)
{
    static uint8_t bytes[FRAME_MAX];
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++) {
        if (!w->ways[k].is_out)
            continue;
        begin(w, &c, k, false, FRAME_CHECK_PARTIAL);
        put_esp(&c, 3001);
        world_check(&c, WORLD_FORWARDED, "large, in one buffer");
        begin(w, &c, k, false, FRAME_CHECK_RIGHT);
        put_esp(&c, 6000);
        const size_t len = frame_write(&c.in, bytes);
        world_check_bytes(&c, bytes, len - 1, WORLD_NOT_COUNTED, "cut off in the second buffer");
        world_check_bytes(&c, bytes, 3000, WORLD_NOT_COUNTED, "cut off in the first buffer");
        world_check_bytes(&c, bytes, len, WORLD_FORWARDED, "whole");
        begin(w, &c, k, false, FRAME_CHECK_RIGHT);
        put_esp(&c, 6000);
        world_put_exit(w, w->ifindex[WORLD_CLIENTS], (struct xdp_exit){.ifindex = w->ifindex[WORLD_CLIENTS]});
        world_check(&c, XDP_PASS_EXIT, "in two buffers, to a device that takes one");
        put_esp(&c, 1000);
        world_check(&c, WORLD_FORWARDED, "in one buffer, to that device");
    }
}

static void test_random(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;
    uint64_t random = support_seed();

    for (int i = 0; i < 3000; i++) {
        const enum frame_check check = (enum frame_check)support_random_below(&random, 3);
        begin(w, &c, (int)support_random_below(&random, WORLD_WAYS), support_random_below(&random, 2), check);
        put_esp(&c, 8 + support_random_below(&random, 1445));
        for (size_t at = 4; at < c.in.payload_len; at++)
            c.in.payload[at] = c.out.payload[at] = (uint8_t)support_random(&random);
        c.in.ttl = (uint8_t)(2 + support_random_below(&random, 254));
        c.out.ttl = (uint8_t)(c.in.ttl - 1);
        c.in.id = c.out.id = (uint16_t)support_random(&random);
        c.in.tos = c.out.tos = (uint8_t)support_random(&random);
        world_check(&c, fate_of(&c), check_names[check]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_keepalives),
        cmocka_unit_test(test_checksums_that_look_like_others),
        cmocka_unit_test(test_a_sum_of_nothing),
        cmocka_unit_test(test_several_buffers),
        cmocka_unit_test(test_large_frames),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
