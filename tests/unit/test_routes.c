#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "lb/routes.h"
#include "tests/unit/support.h"

/* The loopback network is routed on every machine, the broadcast address on none. */
static const struct support_service services[] = {
    {.name = "own",
     .vips = {"203.0.113.10"},
     .mode = CONFIG_MODE_FULL_NAT,
     .backends = {{"near", "127.0.0.1", 0, CONFIG_STATE_ENABLED},
                  {"lost", "255.255.255.255", 0, CONFIG_STATE_ENABLED}}},
    {.name = "given",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"127.0.0.9"},
     .backends = {{"near", "127.0.0.1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "plain", .vips = {"203.0.113.12"}, .backends = {{"near", "127.0.0.1", 0, CONFIG_STATE_ENABLED}}},
};

struct fixture {
    struct support_net net;
    char *text;
    size_t len;
    FILE *out;
    struct log log;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    support_net_init(&f->net, services, 3, 16);
    f->out = open_memstream(&f->text, &f->len);
    assert_non_null(f->out);
    f->log = (struct log){.level = LOG_LEVEL_INFO, .out = f->out};
}

static void end(struct fixture *f)
{
    support_net_deinit(&f->net);
    fclose(f->out);
    free(f->text);
}

static void test_what_routes_say(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    const struct backend *b = f.net.pool->backends;
    const struct addr loopback = support_addr("127.0.0.1");
    assert_int_equal(routes_refresh(&f.net.dp.bindings, 0, 100, &f.log), 0);
    assert_in_range(b[0].mtu, 1280, 65536);
    assert_true(addr_equal(snat_addr(f.net.dp.bindings.snat, b[0].source), &loopback));
    assert_non_null(strstr(f.text, "service own, backend near: source address of full NAT is 127.0.0.1"));
    assert_true(b[1].unroutable);
    assert_int_equal(b[1].source, SNAT_NONE);
    assert_non_null(strstr(f.text, "service own, backend lost: no route"));
    for (int i = 2; i < 4; i++) { /* who has addresses of his own, or needs none, gets none */
        assert_int_equal(b[i].mtu, b[0].mtu);
        assert_int_equal(b[i].source, SNAT_NONE);
    }
    end(&f);
}

static void test_news_are_logged_once(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    routes_refresh(&f.net.dp.bindings, 0, 100, &f.log);
    const size_t len = f.len;
    assert_true(len > 0);
    for (int i = 0; i < 3; i++)
        routes_refresh(&f.net.dp.bindings, 0, 100, &f.log);
    assert_int_equal(f.len, len);
    end(&f);
}

static void test_in_slices(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(routes_refresh(&f.net.dp.bindings, 0, 3, &f.log), 3);
    assert_int_equal(f.net.pool->backends[3].mtu, 0);
    assert_int_equal(routes_refresh(&f.net.dp.bindings, 3, 3, &f.log), 0);
    assert_int_not_equal(f.net.pool->backends[3].mtu, 0);
    assert_int_equal(routes_refresh(&f.net.dp.bindings, 0, 4, &f.log), 0);
    end(&f);
}

/* A route that goes away takes nothing that was known with it. */
static void test_what_was_known_stays(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    struct backend *lost = &f.net.pool->backends[1];
    lost->mtu = 1400;
    lost->source = 0;
    routes_refresh(&f.net.dp.bindings, 0, 100, &f.log);
    assert_true(lost->unroutable);
    assert_int_equal(lost->mtu, 1400);
    assert_int_equal(lost->source, 0);
    lost->addr = support_addr("127.0.0.1");
    routes_refresh(&f.net.dp.bindings, 0, 100, &f.log);
    assert_false(lost->unroutable);
    assert_non_null(strstr(f.text, "there is a route again"));
    end(&f);
}

/* As after a reload: what is known is not asked for again, and who has lost his addresses gets the route's.
 */
static void test_only_what_is_new(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    struct backend *b = f.net.pool->backends;
    routes_refresh_new(&f.net.dp.bindings, &f.log);
    assert_true(b[0].mtu && b[2].mtu && b[3].mtu && b[1].unroutable);
    b[0].mtu = b[2].mtu = b[3].mtu = 1234;
    b[1].addr = support_addr("127.0.0.1"); /* its turn comes with routes_refresh() */
    routes_refresh_new(&f.net.dp.bindings, &f.log);
    for (int i = 0; i < 4; i++)
        assert_int_equal(b[i].mtu, i == 1 ? 0 : 1234);
    f.net.pool->services[1].snat_count = 0;
    routes_refresh_new(&f.net.dp.bindings, &f.log);
    assert_int_equal(b[2].source, b[0].source);
    assert_int_equal(b[3].source, SNAT_NONE);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_routes_say),  cmocka_unit_test(test_news_are_logged_once),
        cmocka_unit_test(test_in_slices),        cmocka_unit_test(test_what_was_known_stays),
        cmocka_unit_test(test_only_what_is_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
