#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <sched.h>

#include "tests/unit/support.h"
#include "tests/unit/xdp_world.h"

/* How the XDP program finds an entry, and what it makes of packets that are none. */

/* Where they stand in a frame without a tag. */
#define IPV6_SRC 22
#define IPV6_DST 38

/* The slot where a packet with that source and destination looks first. */
static uint32_t home_of(const struct world *w, const struct frame *frame)
{
    __u64 src[2], dst[2];

    table_put_addr(src, &frame->src.addr);
    table_put_addr(dst, &frame->dst.addr);
    return xdp_home(src, dst, htons(frame->src.port), htons(frame->dst.port), w->table.seed, w->table.slots);
}

/* Entries that share a home are all found, as far as it reaches, and no further. */
static void test_windows(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;
    struct table_key keys[XDP_WINDOW];
    uint32_t index[XDP_WINDOW];

    world_begin(w, &w->ways[0], &c);
    const struct xdp_entry entry = *c.entry;
    const uint32_t home = (uint32_t)(c.entry - w->table.entries);
    keys[0] = table_key_in(&c.way->binding);
    index[0] = home;
    for (uint32_t i = 1, number = 0; i < XDP_WINDOW; number++) {
        keys[i] = keys[0];
        c.in.src.addr = keys[i].src.addr = support_addr_v4(number);
        if (home_of(w, &c.in) == home)
            index[i] = table_insert(&w->table, &keys[i], &entry, 0), i++;
    }
    for (uint32_t i = 0; i < XDP_WINDOW; i++) {
        assert_int_equal(index[i], home + i);
        c.entry = &w->table.entries[index[i]];
        c.in.src = c.out.src = keys[i].src;
        world_check(&c, WORLD_FORWARDED, "in a full window");
    }
    w->table.entries[home].reach = XDP_WINDOW - 2;
    world_check(&c, WORLD_NOT_COUNTED, "beyond the reach");
    w->table.entries[home].reach = 255;
    world_check(&c, WORLD_FORWARDED, "with a reach that cannot be");
    w->table.entries[home].reach = XDP_WINDOW - 1;
    for (uint32_t i = 0; i < XDP_WINDOW - 1; i++)
        table_remove(&w->table, index[i], 0);
    world_check(&c, WORLD_FORWARDED, "alone in its window");
}

/* Changes one thing of a key; false after the last. */
static bool spoil_key(struct frame *frame, int what)
{
    const bool is_v4 = addr_is_v4(&frame->src.addr);
    const struct {
        struct endpoint *end;
        int byte; /* of the address; -1: its port */
    } things[] = {
        {&frame->src, 15},
        {&frame->src, 12},
        {&frame->src, is_v4 ? 13 : 0},
        {&frame->src, -1},
        {&frame->dst, 15},
        {&frame->dst, is_v4 ? 12 : 7},
        {&frame->dst, is_v4 ? 14 : 8},
        {&frame->dst, -1},
    };

    if (what == sizeof things / sizeof things[0])
        return false;
    if (things[what].byte < 0)
        things[what].end->port ^= 0x2000;
    else
        things[what].end->addr.bytes[things[what].byte] ^= 0x40;
    return true;
}

/* An entry that stands where the packet looks, and is that of another key in one thing only. */
static void test_nearly_the_same_key(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++)
        for (int what = 0;; what++) {
            world_begin(w, &w->ways[k], &c);
            if (!spoil_key(&c.in, what))
                break;
            struct xdp_entry *there = &w->table.entries[home_of(w, &c.in)];
            if (there != c.entry) {
                *there = *c.entry;
                c.entry->state = XDP_FREE;
                c.entry = there;
            }
            world_check(&c, WORLD_NOT_COUNTED, "nearly the same key");
        }
}

/* An entry has IPv4's addresses in their mapped form, which in an IPv6 packet is nobody's address (RFC 4291
 * section 2.5.5.2): that packet is not of the entry, be it that its bytes are the key's. */
static void test_mapped_addresses(void **state)
{
    static const struct {
        bool is_src, is_dst; /* mapped */
    } rows[] = {{true, true}, {true, false}, {false, true}, {false, false}};
    static uint8_t bytes[FRAME_MAX];
    struct world *w = world_of(state);
    struct world_case four, c;

    for (int k = 0; k < WORLD_WAYS; k++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if (!addr_is_v4(&w->ways[k].binding.client.addr))
                continue;
            world_begin(w, &w->ways[k], &four);
            world_begin(w, &w->ways[k + 2], &c); /* the same in IPv6 */
            const size_t len = frame_write(&c.in, bytes);
            if (rows[i].is_src)
                c.in.src.addr = four.in.src.addr;
            if (rows[i].is_dst)
                c.in.dst.addr = four.in.dst.addr;
            world_move(&c);
            memcpy(bytes + IPV6_SRC, c.in.src.addr.bytes, 16);
            memcpy(bytes + IPV6_DST, c.in.dst.addr.bytes, 16);
            const bool is_nobodys = rows[i].is_src || rows[i].is_dst;
            world_check_bytes(&c, bytes, len, is_nobodys ? WORLD_NOT_COUNTED : WORLD_FORWARDED, "mapped");
        }
}

/* Options that look like the datagram, and leave the header's checksum right for the first 20 bytes. */
static void test_header_lengths(void **state)
{
    static uint8_t bytes[FRAME_MAX];
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++)
        for (uint8_t words = 0; words < 16; words++) {
            world_begin(w, &w->ways[k], &c);
            if (!addr_is_v4(&c.in.src.addr))
                continue;
            const size_t len = frame_write(&c.in, bytes);
            const uint32_t was = bytes[14], check = (uint32_t)bytes[24] << 8 | bytes[25];
            bytes[14] = (uint8_t)(0x40 | words);
            const uint32_t sum = (0xffff - check) + (0xff00 - (was << 8)) + 0xff + ((uint32_t)bytes[14] << 8);
            const uint32_t now = 0xffff - ((sum & 0xffff) + (sum >> 16));
            bytes[24] = (uint8_t)(now >> 8);
            bytes[25] = (uint8_t)now;
            world_check_bytes(&c, bytes, len, words == 5 ? WORLD_FORWARDED : WORLD_NOT_COUNTED,
                              "another header length");
        }
}

/* Cut off at every byte: passed up, without harm. */
static void test_truncated(void **state)
{
    static uint8_t bytes[FRAME_MAX];
    struct world *w = world_of(state);
    struct world_case c;

    for (int tag = 0; tag < 2; tag++)
        for (int k = 0; k < WORLD_WAYS; k++) {
            world_begin(w, &w->ways[k], &c);
            frame_put_esp(&c.in, WORLD_SPI, 40);
            c.in.tag = tag ? 7 : 0;
            if (tag)
                world_put_port(&c, c.ingress, 7);
            const size_t len = frame_write(&c.in, bytes);
            for (size_t cut = 14; cut < len; cut++) {
                world_begin(w, &w->ways[k], &c);
                if (tag)
                    world_put_port(&c, c.ingress, 7);
                world_check_bytes(&c, bytes, cut, WORLD_NOT_COUNTED, "cut off");
            }
        }
}

/* Headers garbled up to the destination, which nobody knows: whatever it is then, it passes up. */
static void test_garbled(void **state)
{
    static uint8_t bytes[FRAME_MAX];
    struct world *w = world_of(state);
    struct world_case c;
    uint64_t random = support_seed();

    for (int i = 0; i < 4000; i++) {
        world_begin(w, &w->ways[support_random_below(&random, WORLD_WAYS)], &c);
        c.in.dst.addr.bytes[15] ^= 0x40;
        size_t len = frame_write(&c.in, bytes);
        for (uint32_t n = support_random_below(&random, 6); n > 0; n--)
            bytes[12 + support_random_below(&random, 18)] = (uint8_t)support_random(&random);
        if (support_random_below(&random, 4) == 0)
            len = 14 + support_random_below(&random, (uint32_t)len - 14);
        world_check_bytes(&c, bytes, len, WORLD_NOT_COUNTED, "garbled");
    }
}

/* Each CPU has counters of its own: others would lose packets between them. */
static void test_counted_by_cpu(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;
    cpu_set_t all, one;

    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (uint32_t cpu = 0; cpu < w->maps.cpus; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        for (int k = 0; k < WORLD_WAYS; k++) {
            world_begin(w, &w->ways[k], &c);
            const uint32_t backend = c.entry->place % XDP_PLACES_A_RUN;
            const struct xdp_count *count =
                &w->maps.counts[(cpu * XDP_PLACES_A_RUN + backend) * 2 + c.way->is_out];
            const uint64_t before = count->packets;
            world_check(&c, WORLD_FORWARDED, "on that CPU");
            assert_true(count->packets == before + 1);
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),          cmocka_unit_test(test_nearly_the_same_key),
        cmocka_unit_test(test_mapped_addresses), cmocka_unit_test(test_header_lengths),
        cmocka_unit_test(test_truncated),        cmocka_unit_test(test_garbled),
        cmocka_unit_test(test_counted_by_cpu),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
