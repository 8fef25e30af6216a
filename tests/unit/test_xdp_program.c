#include "tests/unit/unit.h"

#include "tests/unit/xdp_world.h"

/*
 * What the XDP program does with one packet: it leaves with exactly these bytes, or passes up as it came.
 * Each row spoils one thing of the usual packet, for every way that is named.
 */

enum ways { IN = 1, OUT = 2, V4 = 4, V6 = 8, ALL = IN | OUT | V4 | V6 };

struct row {
    const char *what;
    int ways; /* enum ways */
    int fate;
    void (*change)(struct world_case *c);
};

static bool is_way_of(const struct world_case *c, int ways)
{
    return ways & (c->way->is_out ? OUT : IN) && ways & (addr_is_v4(&c->in.src.addr) ? V4 : V6);
}

static void check_rows(struct world *w, const struct row *rows, size_t count)
{
    struct world_case c;

    for (size_t i = 0; i < count; i++) {
        int cases = 0;
        for (int k = 0; k < WORLD_WAYS; k++) {
            world_begin(w, &w->ways[k], &c);
            if (!is_way_of(&c, rows[i].ways))
                continue;
            rows[i].change(&c);
            world_check(&c, rows[i].fate, rows[i].what);
            cases++;
        }
        assert_true(cases >= 2); /* full NAT and not */
    }
}

#define CHECK_ROWS(state, rows) check_rows(world_of(state), rows, sizeof(rows) / sizeof(rows)[0])

/* Both frames alike. */
#define BOTH(c, field, value) ((c)->in.field = (c)->out.field = (value))

static void usual(struct world_case *c)
{
    (void)c;
}

static void put_both(struct world_case *c, uint32_t spi, size_t len)
{
    frame_put_esp(&c->in, spi, len);
    frame_put_esp(&c->out, spi, len);
}

static void shortest(struct world_case *c)
{
    put_both(c, WORLD_SPI, 8);
}

static void odd_length(struct world_case *c)
{
    put_both(c, WORLD_SPI, 101);
}

static void largest(struct world_case *c)
{
    put_both(c, WORLD_SPI, addr_is_v4(&c->in.src.addr) ? 1472 : 1452);
}

static void keepalive(struct world_case *c)
{
    c->in.payload[0] = c->out.payload[0] = 0xff;
    BOTH(c, payload_len, 1);
}

static void padded_keepalive(struct world_case *c)
{
    keepalive(c);
    BOTH(c, padding, 17);
}

static void short_life(struct world_case *c)
{
    c->in.ttl = 2;
    c->out.ttl = 1;
}

static void long_life(struct world_case *c)
{
    c->in.ttl = 255;
    c->out.ttl = 254;
}

static void no_flags(struct world_case *c)
{
    BOTH(c, fragment, 0);
    BOTH(c, tos, 0);
    BOTH(c, id, 0);
    BOTH(c, flow, 0);
}

static void all_bits(struct world_case *c)
{
    BOTH(c, tos, 0xff);
    BOTH(c, id, 0xffff);
    BOTH(c, flow, 0xfffff);
}

static void any_spi(struct world_case *c)
{
    put_both(c, WORLD_SPI + 1, 100);
}

static void any_spi_of_four(struct world_case *c)
{
    c->entry->spis[1] = 5, c->entry->spis[2] = 6, c->entry->spis[3] = 0xfedcba98;
    put_both(c, 0xfedcba98, 100);
}

static void quiet_for_long(struct world_case *c)
{
    c->entry->seen = world_now() - WORLD_IDLE - 1000;
}

static void daemon_away(struct world_case *c)
{
    c->world->maps.about->alive = world_now() - WORLD_IDLE - 1000;
}

static void clocks_apart(struct world_case *c)
{
    c->entry->seen = c->world->maps.about->alive = world_now() + 50;
}

static void test_forwarded(void **state)
{
    static const struct row rows[] = {
        {"the usual packet", ALL, WORLD_FORWARDED, usual},
        {"the shortest ESP", ALL, WORLD_FORWARDED, shortest},
        {"an odd length", ALL, WORLD_FORWARDED, odd_length},
        {"as large as the MTU", ALL, WORLD_FORWARDED, largest},
        {"a keepalive", ALL, WORLD_FORWARDED, keepalive},
        {"a keepalive in the shortest frame", ALL, WORLD_FORWARDED, padded_keepalive},
        {"TTL 2", ALL, WORLD_FORWARDED, short_life},
        {"TTL 255", ALL, WORLD_FORWARDED, long_life},
        {"no DF, no DSCP, no flow label", ALL, WORLD_FORWARDED, no_flags},
        {"every bit of what is carried over", ALL, WORLD_FORWARDED, all_bits},
        {"any SPI of a backend", OUT | V4 | V6, WORLD_FORWARDED, any_spi},
        {"the fourth SPI of a client", IN | V4 | V6, WORLD_FORWARDED, any_spi_of_four},
        {"quiet for long, but the daemon sweeps", ALL, WORLD_FORWARDED, quiet_for_long},
        {"in use while the daemon is away", ALL, WORLD_FORWARDED, daemon_away},
        {"the daemon's clock is ahead", ALL, WORLD_FORWARDED, clocks_apart},
    };

    CHECK_ROWS(state, rows);
}

static void ike(struct world_case *c)
{
    frame_put_esp(&c->in, 0, 100); /* the non-ESP marker, RFC 3948 section 2.2 */
}

static void one_byte(struct world_case *c)
{
    c->in.payload[0] = 0xfe;
    c->in.payload_len = 1;
}

static void two_bytes(struct world_case *c)
{
    c->in.payload[0] = c->in.payload[1] = 0xff;
    c->in.payload_len = 2;
}

static void seven_bytes(struct world_case *c)
{
    c->in.payload_len = 7;
}

static void new_spi(struct world_case *c)
{
    frame_put_esp(&c->in, WORLD_SPI + 1, 100);
}

static void asked(struct world_case *c)
{
    c->entry->is_asked = 1;
}

static void closed(struct world_case *c)
{
    c->place->is_open = 0;
}

static void ttl_1(struct world_case *c)
{
    c->in.ttl = 1;
}

static void ttl_0(struct world_case *c)
{
    c->in.ttl = 0;
}

static void bad_header(struct world_case *c)
{
    c->in.bad_header = true;
}

static void idle(struct world_case *c)
{
    quiet_for_long(c);
    daemon_away(c);
}

static void test_of_known_flows(void **state)
{
    static const struct row rows[] = {
        {"IKE", ALL, XDP_PASS_NOT_ESP, ike},
        {"a byte that is no keepalive", ALL, XDP_PASS_NOT_ESP, one_byte},
        {"two bytes", ALL, XDP_PASS_NOT_ESP, two_bytes},
        {"too short for ESP", ALL, XDP_PASS_NOT_ESP, seven_bytes},
        {"a new SPI", IN | V4 | V6, XDP_PASS_NEW_SPI, new_spi},
        {"asked for", OUT | V4 | V6, XDP_PASS_ASKED, asked},
        {"a closed backend", ALL, XDP_PASS_CLOSED, closed},
        {"TTL 1", ALL, XDP_PASS_TTL, ttl_1},
        {"TTL 0", ALL, XDP_PASS_TTL, ttl_0},
        {"a wrong header checksum", IN | OUT | V4, XDP_PASS_CHECKSUM, bad_header},
        {"idle, and the daemon away", ALL, XDP_PASS_IDLE, idle},
    };

    CHECK_ROWS(state, rows);
}

/* A keepalive asks nobody for anything, whatever its flow waits for. */
static void asked_keepalive(struct world_case *c)
{
    asked(c);
    keepalive(c);
}

static void closed_keepalive(struct world_case *c)
{
    closed(c);
    keepalive(c);
}

static void idle_keepalive(struct world_case *c)
{
    idle(c);
    keepalive(c);
}

static void test_keepalives(void **state)
{
    static const struct row rows[] = {
        {"while asked", OUT | V4 | V6, WORLD_FORWARDED, asked_keepalive},
        {"at a closed backend", ALL, XDP_PASS_CLOSED, closed_keepalive},
        {"idle", ALL, XDP_PASS_IDLE, idle_keepalive},
    };

    CHECK_ROWS(state, rows);
}

static void options(struct world_case *c)
{
    c->in.options = 4;
}

static void more_fragments(struct world_case *c)
{
    c->in.fragment = 0x2000;
}

static void last_fragment(struct world_case *c)
{
    c->in.fragment = 1;
}

static void far_fragment(struct world_case *c)
{
    c->in.fragment = 0x1000;
}

static void tcp(struct world_case *c)
{
    c->in.protocol = 6;
}

static void destination_options(struct world_case *c)
{
    c->in.protocol = 60;
}

static void other_version(struct world_case *c)
{
    c->in.version = addr_is_v4(&c->in.src.addr) ? 6 : 4;
}

static void other_ethertype(struct world_case *c)
{
    c->in.ethertype = addr_is_v4(&c->in.src.addr) ? 0x86dd : 0x0800;
}

static void no_ip(struct world_case *c)
{
    c->in.ethertype = 0x0806;
}

static void double_tag(struct world_case *c)
{
    c->in.tag = 7;
    c->in.ethertype = 0x8100;
}

static void priority_tag(struct world_case *c)
{
    c->in.tag = 0xe000;
}

static void zero_tag(struct world_case *c)
{
    c->in.has_zero_tag = true;
}

static void long_ip(struct world_case *c)
{
    c->in.extra_ip_len = 1;
}

static void short_ip(struct world_case *c)
{
    c->in.extra_ip_len = -1;
}

static void long_udp(struct world_case *c)
{
    c->in.extra_udp_len = 1;
}

static void short_udp(struct world_case *c)
{
    c->in.extra_udp_len = -1;
}

static void empty_udp(struct world_case *c)
{
    c->in.payload_len = 0;
}

static void tiny_udp(struct world_case *c)
{
    c->in.extra_udp_len = c->in.extra_ip_len = -(int)c->in.payload_len - 1; /* less than its header */
}

static void no_udp(struct world_case *c)
{
    c->in.extra_udp_len = c->in.extra_ip_len = -(int)c->in.payload_len - 8;
}

static void test_other_packets(void **state)
{
    static const struct row rows[] = {
        {"options", IN | OUT | V4, WORLD_NOT_COUNTED, options},
        {"a first fragment", IN | OUT | V4, WORLD_NOT_COUNTED, more_fragments},
        {"the smallest offset", IN | OUT | V4, WORLD_NOT_COUNTED, last_fragment},
        {"the largest offset", IN | OUT | V4, WORLD_NOT_COUNTED, far_fragment},
        {"TCP", ALL, WORLD_NOT_COUNTED, tcp},
        {"an extension header", IN | OUT | V6, WORLD_NOT_COUNTED, destination_options},
        {"the other version", ALL, WORLD_NOT_COUNTED, other_version},
        {"the other ethertype", ALL, WORLD_NOT_COUNTED, other_ethertype},
        {"ARP", ALL, WORLD_NOT_COUNTED, no_ip},
        {"two tags", ALL, WORLD_NOT_COUNTED, double_tag},
        {"a tag that is none", ALL, WORLD_NOT_COUNTED, zero_tag},
        {"a tag with a priority only", ALL, WORLD_NOT_COUNTED, priority_tag},
        {"too long for IP", ALL, WORLD_NOT_COUNTED, long_ip},
        {"too short for IP", ALL, WORLD_NOT_COUNTED, short_ip},
        {"too long for UDP", ALL, WORLD_NOT_COUNTED, long_udp},
        {"too short for UDP", ALL, WORLD_NOT_COUNTED, short_udp},
        {"nothing in UDP", ALL, WORLD_NOT_COUNTED, empty_udp},
        {"UDP shorter than its header", ALL, WORLD_NOT_COUNTED, tiny_udp},
        {"UDP without a length", ALL, WORLD_NOT_COUNTED, no_udp},
    };

    CHECK_ROWS(state, rows);
}

static void other_src(struct world_case *c)
{
    c->in.src.addr.bytes[15] ^= 0x40;
}

static void other_net(struct world_case *c)
{
    c->in.src.addr.bytes[addr_is_v4(&c->in.src.addr) ? 12 : 3] ^= 1;
}

static void other_dst(struct world_case *c)
{
    c->in.dst.addr.bytes[15] ^= 0x40;
}

static void other_dst_net(struct world_case *c)
{
    c->in.dst.addr.bytes[addr_is_v4(&c->in.dst.addr) ? 12 : 3] ^= 1;
}

static void other_src_port(struct world_case *c)
{
    c->in.src.port++;
}

static void other_dst_port(struct world_case *c)
{
    c->in.dst.port++;
}

static void no_ike_port(struct world_case *c)
{
    c->in.src.port = c->in.dst.port = 5000;
    world_move(c);
}

static void gone(struct world_case *c)
{
    c->entry->state = XDP_GONE;
}

static void unused(struct world_case *c)
{
    c->entry->state = XDP_FREE;
}

static void beyond_all_places(struct world_case *c)
{
    c->entry->place = XDP_RUNS * XDP_PLACES_A_RUN;
}

static void beyond_all_sources(struct world_case *c)
{
    c->entry->source = XDP_RUNS * XDP_SOURCES_A_RUN;
}

static void test_unknown_flows(void **state)
{
    static const struct row rows[] = {
        {"another source", ALL, WORLD_NOT_COUNTED, other_src},
        {"another source network", ALL, WORLD_NOT_COUNTED, other_net},
        {"another destination", ALL, WORLD_NOT_COUNTED, other_dst},
        {"another destination network", ALL, WORLD_NOT_COUNTED, other_dst_net},
        {"another source port", ALL, WORLD_NOT_COUNTED, other_src_port},
        {"another destination port", ALL, WORLD_NOT_COUNTED, other_dst_port},
        {"neither port 4500", ALL, WORLD_NOT_COUNTED, no_ike_port},
        {"an entry that has gone", ALL, WORLD_NOT_COUNTED, gone},
        {"no entry", ALL, WORLD_NOT_COUNTED, unused},
        {"a backend's number that cannot be", ALL, WORLD_NOT_COUNTED, beyond_all_places},
        {"a source's number that cannot be", IN | V4 | V6, WORLD_NOT_COUNTED, beyond_all_sources},
    };

    CHECK_ROWS(state, rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forwarded),     cmocka_unit_test(test_of_known_flows),
        cmocka_unit_test(test_keepalives),    cmocka_unit_test(test_other_packets),
        cmocka_unit_test(test_unknown_flows),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
