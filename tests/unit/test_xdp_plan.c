#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "lb/xdp/features.h"
#include "lb/xdp/ways.h"

/* Which devices are attached to, where packets come in and where they leave; VLANs, too, which not every
 * kernel can make. */

#define ALL (FEATURES_BASIC | FEATURES_REDIRECT | FEATURES_NDO_XMIT)

/* A device that packets come in on. */
static struct link device(uint32_t ifindex)
{
    return (struct link){.ifindex = ifindex,
                         .mac = {2, 0, 0, 0, 0, (uint8_t)ifindex},
                         .is_ethernet = true,
                         .is_up = true,
                         .has_address = true,
                         .features = ALL,
                         .are_features_known = true};
}

static struct link vlan(uint32_t ifindex, uint32_t lower, uint16_t tag)
{
    struct link link = device(ifindex);

    link.lower = lower;
    link.vlan = tag;
    link.features = 0; /* it can do nothing natively */
    return link;
}

static const struct xdp_port *port_at(const struct plan *plan, uint32_t ifindex, uint32_t tag)
{
    for (size_t i = 0; i < plan->port_count; i++)
        if (plan->ports[i].key.ifindex == ifindex && plan->ports[i].key.vlan == tag)
            return &plan->ports[i].port;
    return NULL;
}

static const struct xdp_exit *exit_at(const struct plan *plan, uint32_t ifindex)
{
    for (size_t i = 0; i < plan->exit_count; i++)
        if (plan->exits[i].ifindex == ifindex)
            return &plan->exits[i].exit;
    return NULL;
}

static bool is_attached(const struct plan *plan, uint32_t ifindex)
{
    for (size_t i = 0; i < plan->attachment_count; i++)
        if (plan->attachments[i]->ifindex == ifindex)
            return true;
    return false;
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct plan));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void no_ethernet(struct link *link)
{
    link->is_ethernet = false;
}

static void down(struct link *link)
{
    link->is_up = false;
}

static void port_of_bridge(struct link *link)
{
    link->is_port = true;
}

static void without_address(struct link *link)
{
    link->has_address = false;
}

/* What a device needs, to be attached to and to be left by. */
static void test_who_is_served(void **state)
{
    static const struct {
        void (*change)(struct link *);
        bool attached, exit;
    } rows[] = {
        {NULL, true, true},
        {no_ethernet, false, false},
        {down, false, false},
        {port_of_bridge, false, false},
        {without_address, false, true},
    };
    struct plan *plan = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (enum fastpath_mode mode = FASTPATH_GENERIC; mode <= FASTPATH_NATIVE; mode++) {
            struct link links[] = {device(2), device(3)};
            if (rows[i].change)
                rows[i].change(&links[1]);
            plan_make(plan, links, 2, mode);
            assert_true(is_attached(plan, 2));
            assert_int_equal(is_attached(plan, 3), rows[i].attached);
            assert_int_equal(port_at(plan, 3, 0) != NULL, rows[i].attached);
            assert_int_equal(exit_at(plan, 3) != NULL, rows[i].exit);
            assert_int_equal(port_at(plan, 2, 0)->ifindex, 2);
            assert_int_equal(port_at(plan, 2, 0)->is_generic, mode == FASTPATH_GENERIC);
            assert_memory_equal(port_at(plan, 2, 0)->mac, links[0].mac, 6);
        }
}

/* Natively a VLAN is served by the device below, and tags are written and read there. */
static void test_native_vlans(void **state)
{
    struct plan *plan = *state;
    struct link links[] = {device(2), vlan(10, 2, 100), vlan(11, 2, 200), device(3)};

    links[0].has_address = false;
    links[0].has_vlans = true;
    plan_make(plan, links, 4, FASTPATH_NATIVE);
    assert_int_equal(plan->attachment_count, 2);
    assert_true(is_attached(plan, 2) && is_attached(plan, 3));
    assert_int_equal(port_at(plan, 2, 100)->ifindex, 10);
    assert_int_equal(port_at(plan, 2, 200)->ifindex, 11);
    assert_memory_equal(port_at(plan, 2, 200)->mac, links[2].mac, 6);
    assert_int_equal(port_at(plan, 2, 0)->ifindex, 0); /* the driver may have taken the tag */
    assert_int_equal(exit_at(plan, 10)->ifindex, 2);
    assert_int_equal(exit_at(plan, 10)->vlan, 100);
    assert_int_equal(exit_at(plan, 11)->vlan, 200);
    assert_int_equal(exit_at(plan, 3)->vlan, 0);
    for (size_t i = 0; i < plan->attachment_count; i++) /* what the VLAN devices cannot does not matter */
        assert_true(plan_can_send(plan->attachments[i]));

    links[0].has_address = true; /* then what has no tag is the device's own */
    plan_make(plan, links, 4, FASTPATH_NATIVE);
    assert_int_equal(port_at(plan, 2, 0)->ifindex, 2);
    assert_int_equal(plan->port_count, 4);
}

/* In generic mode the VLAN devices are attached to, and what they are on is not. */
static void test_generic_vlans(void **state)
{
    struct plan *plan = *state;
    struct link links[] = {device(2), vlan(10, 2, 100), device(3)};

    links[0].has_vlans = true;
    plan_make(plan, links, 3, FASTPATH_GENERIC);
    assert_int_equal(plan->attachment_count, 2);
    assert_true(is_attached(plan, 10) && is_attached(plan, 3));
    assert_null(port_at(plan, 2, 0));
    assert_null(port_at(plan, 2, 100));
    assert_int_equal(port_at(plan, 10, 0)->ifindex, 10);
    assert_int_equal(exit_at(plan, 10)->ifindex, 10);
    assert_int_equal(exit_at(plan, 10)->vlan, 0);
    assert_int_equal(exit_at(plan, 2)->ifindex, 2); /* packets may leave there all the same */
}

/* A VLAN in a VLAN, on a port of a bridge, or on what is not there: the slow path's. */
static void test_vlans_that_are_left_out(void **state)
{
    struct plan *plan = *state;
    struct link links[] = {device(2), vlan(10, 2, 100), vlan(11, 10, 5), vlan(12, 99, 6)};

    plan_make(plan, links, 4, FASTPATH_NATIVE);
    assert_int_equal(plan->attachment_count, 1);
    assert_null(exit_at(plan, 11));
    assert_null(exit_at(plan, 12));
    links[0].is_port = true;
    plan_make(plan, links, 4, FASTPATH_NATIVE);
    assert_int_equal(plan->attachment_count, 0);
}

/* What is sent natively to who cannot take it would be lost. */
static void test_features(void **state)
{
    struct plan *plan = *state;
    struct link links[] = {device(2), device(3)};

    plan_make(plan, links, 2, FASTPATH_NATIVE);
    assert_true(plan_can_send(plan_find(plan, 3)) && plan_can_receive(plan));
    links[1].features = FEATURES_BASIC | FEATURES_REDIRECT;
    plan_make(plan, links, 2, FASTPATH_NATIVE);
    assert_true(plan_can_send(plan_find(plan, 2)));
    assert_false(plan_can_send(plan_find(plan, 3)));
    assert_true(plan_can_receive(plan));
    assert_null(exit_at(plan, 3));
    plan_make(plan, links, 2, FASTPATH_GENERIC);
    assert_non_null(exit_at(plan, 3));
    links[1].features = FEATURES_BASIC | FEATURES_NDO_XMIT;
    plan_make(plan, links, 2, FASTPATH_NATIVE);
    assert_false(plan_can_receive(plan));
    links[1].features = 0;
    links[1].are_features_known = false; /* an old kernel, and native was asked for */
    plan_make(plan, links, 2, FASTPATH_NATIVE);
    assert_non_null(exit_at(plan, 3));
}

/* Frames in more than one buffer are lost, too, where the device does not say that it takes them. */
static void test_frames_in_parts(void **state)
{
    struct plan *plan = *state;
    struct link links[] = {device(2), device(3), vlan(10, 3, 7)};

    links[1].features |= FEATURES_NDO_XMIT_SG;
    plan_make(plan, links, 3, FASTPATH_NATIVE);
    assert_int_equal(exit_at(plan, 2)->takes_parts, 0);
    assert_int_equal(exit_at(plan, 3)->takes_parts, 1);
    assert_int_equal(exit_at(plan, 10)->takes_parts, 1);
    plan_make(plan, links, 3, FASTPATH_GENERIC);
    assert_int_equal(exit_at(plan, 2)->takes_parts, 1);
}

/* Native mode is tried again when a device where it was in vain has changed or gone, not when others come. */
static void test_trial(void **state)
{
    struct plan *plan = *state;
    struct link links[] = {device(2), device(3), device(4)};
    struct plan_trial trial = {0};

    plan_make(plan, links, 2, FASTPATH_NATIVE);
    assert_false(plan_has_tried(plan, &trial));
    plan_begin_trial(&trial, plan);
    assert_int_equal(trial.count, 2);
    trial.ifindexes[0] = 3; /* it did not work there only */
    trial.count = 1;
    plan_make(plan, links, 3, FASTPATH_NATIVE);
    assert_true(plan_has_tried(plan, &trial));
    links[1].features |= FEATURES_NDO_XMIT_SG;
    assert_false(plan_has_tried(plan, &trial));
    links[1].features = ALL;
    assert_true(plan_has_tried(plan, &trial));
    plan_make(plan, links, 1, FASTPATH_NATIVE);
    assert_false(plan_has_tried(plan, &trial));
}

/* The tables are what the last plan says, and what it still says has not moved. */
static void test_ways(void **state)
{
    struct plan *plan = *state;
    struct link links[] = {device(2), device(3), device(4)};
    struct xdp_port_slot *ports = calloc(XDP_WAYS, sizeof *ports);
    struct xdp_exit_slot *exits = calloc(XDP_WAYS, sizeof *exits);
    size_t used = 0;

    assert_true(ports && exits);
    plan_make(plan, links, 3, FASTPATH_GENERIC);
    assert_int_equal(ways_write(ports, exits, plan), 0);
    plan_make(plan, links, 2, FASTPATH_GENERIC);
    assert_int_equal(ways_write(ports, exits, plan), 0);
    for (size_t i = 0; i < XDP_WAYS; i++)
        used += (ports[i].key.ifindex ? 1U : 0U) + (exits[i].ifindex ? 1U : 0U);
    assert_int_equal(used, 4);
    const struct xdp_port_slot *at = &ports[xdp_way(3, 0, 0)];
    assert_int_equal(at->key.ifindex, 3);
    assert_memory_equal(at->port.mac, links[1].mac, 6);
    assert_int_equal(exits[xdp_way(2, 0, 0)].exit.ifindex, 2);
    free(ports);
    free(exits);
}

/* Slots are found as far as the program looks, and no further. */
static void test_full_ways(void **state)
{
    struct xdp_exit_slot *exits = calloc(XDP_WAYS, sizeof *exits);
    const struct xdp_exit_slot wanted = {.ifindex = 7, .exit = {.ifindex = 7}};

    (void)state;
    assert_non_null(exits);
    for (uint32_t i = 0; i < XDP_WAY_PROBES; i++)
        exits[xdp_way(7, 0, i)].ifindex = 100000 + i;
    assert_false(ways_put_exit(exits, &wanted));
    exits[xdp_way(7, 0, XDP_WAY_PROBES - 1)].ifindex = 0;
    assert_true(ways_put_exit(exits, &wanted));
    assert_int_equal(exits[xdp_way(7, 0, XDP_WAY_PROBES - 1)].exit.ifindex, 7);
    free(exits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_native_vlans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generic_vlans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vlans_that_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_features, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frames_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ways, setup, teardown),
        cmocka_unit_test(test_full_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
