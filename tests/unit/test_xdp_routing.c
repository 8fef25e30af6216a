#include "tests/unit/unit.h"

#include <net/if.h>
#include <sys/resource.h>

#include "lb/xdp/routing.h"
#include "tests/unit/netns.h"
#include "tests/unit/support.h"

/* Where servers' packets come in, as the routes say, in a namespace of the test's own. */

#define ROUND_TICKS 50

static const char set_up_commands[] = "link set lo up\n"
                                      "link add ikelb-a type veth peer name ikelb-b\n"
                                      "link set ikelb-a up\n"
                                      "link set ikelb-b up\n"
                                      "addr add 10.1.0.254/24 dev ikelb-a\n"
                                      "addr add 10.2.0.254/24 dev ikelb-b\n"
                                      "route add 192.0.2.0/24 via 10.2.0.1\n";

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"near", "10.1.0.11", 0, CONFIG_STATE_ENABLED},
                 {"far", "192.0.2.11", 0, CONFIG_STATE_ENABLED}},
};

struct scene {
    struct support_net net;
    struct routing routing;
    struct places places;
    struct xdp_about about;
};

static int set_up(void **state)
{
    static struct scene scene;

    *state = NULL;
    if (!netns_enter())
        return 0;
    netns_ip_batch(set_up_commands);
    scene = (struct scene){0};
    support_net_init(&scene.net, &service, 1, 100);
    assert_int_equal(routing_open(&scene.routing, &scene.net.dp.bindings), 0);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    if (scene) {
        routing_close(&scene->routing);
        support_net_deinit(&scene->net);
    }
    return 0;
}

static struct scene *scene_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void check_devices(const struct scene *scene, const char *near, const char *far)
{
    assert_int_equal(scene->places.ifindex[0], near ? if_nametoindex(near) : 0);
    assert_int_equal(scene->places.ifindex[1], far ? if_nametoindex(far) : 0);
}

static void test_ask_all(void **state)
{
    struct scene *scene = scene_of(state);

    routing_ask_all(&scene->routing, &scene->places);
    check_devices(scene, "ikelb-a", "ikelb-b");
}

static void test_a_change_shows_in_the_next_tick(void **state)
{
    struct scene *scene = scene_of(state);

    routing_ask_all(&scene->routing, &scene->places);
    netns_ip("route change 192.0.2.0/24 via 10.1.0.1");
    routing_changed(&scene->routing, false);
    routing_tick(&scene->routing, &scene->places, &scene->about);
    check_devices(scene, "ikelb-a", "ikelb-a");
    netns_ip("route del 192.0.2.0/24");
    routing_changed(&scene->routing, false);
    routing_tick(&scene->routing, &scene->places, &scene->about);
    check_devices(scene, "ikelb-a", NULL);
}

/* Without news of a change as well. */
static void test_what_could_not_be_asked_is_asked_in_a_round(void **state)
{
    struct scene *scene = scene_of(state);
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    question_close(&scene->routing.question); /* as after an error */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    routing_ask_all(&scene->routing, &scene->places);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    check_devices(scene, NULL, NULL);
    for (int i = 0; i < ROUND_TICKS; i++)
        routing_tick(&scene->routing, &scene->places, &scene->about);
    check_devices(scene, "ikelb-a", "ikelb-b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ask_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_change_shows_in_the_next_tick, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_could_not_be_asked_is_asked_in_a_round, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
