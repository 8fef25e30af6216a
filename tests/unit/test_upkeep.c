#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/upkeep.h"
#include "lb/pool_config.h"
#include "tests/unit/support.h"

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10"},
     .backends = {{"one", "127.0.0.1", 0, CONFIG_STATE_ENABLED},
                  {"two", "127.0.0.2", 0, CONFIG_STATE_ENABLED}}},
    {.name = "also", .vips = {"203.0.113.11"}, .backends = {{"uno", "127.0.0.3", 0, CONFIG_STATE_ENABLED}}},
};

struct scene {
    uv_loop_t loop;
    struct support_net net;
    struct upkeep *upkeep;
    char *text;
    size_t len;
    struct log log;
};

static void ignore(void *ctx)
{
    (void)ctx;
}

static void begin(struct scene *s)
{
    *s = (struct scene){.log = {.level = LOG_LEVEL_INFO}};
    s->log.out = open_memstream(&s->text, &s->len);
    assert_non_null(s->log.out);
    support_net_init(&s->net, services, 2, 16);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(upkeep_create(&s->loop, &s->net.dp, &s->log, ignore, NULL, &s->upkeep), 0);
}

static void end(struct scene *s)
{
    upkeep_close(s->upkeep, ignore, NULL);
    assert_int_equal(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    support_net_deinit(&s->net);
    fclose(s->log.out);
    free(s->text);
}

/* What is logged when it is looked at now, without the times: each line once, or nothing. */
static void check_logged(struct scene *s, const char *wanted)
{
    fflush(s->log.out);
    const size_t before = s->len;

    upkeep_check_alarms(s->upkeep);
    upkeep_check_alarms(s->upkeep); /* nothing is said twice */
    fflush(s->log.out);
    if (*wanted == '\0')
        assert_int_equal(s->len, before);
    else if (!strstr(s->text + before, wanted) || strchr(s->text + before, '\n')[1] != '\0')
        fail_msg("logged \"%s\" and not just \"%s\"", s->text + before, wanted);
}

static void reload(struct scene *s, const struct support_service *changed, size_t count)
{
    struct config *config = support_config(changed, count);

    assert_int_equal(pool_config_apply(s->net.pool, config, NULL), 0);
    assert_int_equal(dataplane_refresh(&s->net.dp), 0);
    config_destroy(config);
}

static void ignore_gone(void *ctx, uint16_t backend)
{
    (void)ctx;
    (void)backend;
}

static void test_drained_is_said_once(void **state)
{
    struct scene s;

    (void)state;
    begin(&s);
    struct backend *one = &s.net.pool->backends[0];
    one->clients = 1;
    check_logged(&s, "");
    pool_set_state(one, CONFIG_STATE_DRAIN);
    check_logged(&s, "");
    one->clients = 0;
    check_logged(&s, "service vpn, backend one: drained: no client is left");
    check_logged(&s, "");
    one->clients = 1; /* by its session from elsewhere, say */
    check_logged(&s, "");
    one->clients = 0;
    check_logged(&s, "backend one: drained: no client is left");
    pool_set_state(one, CONFIG_STATE_ENABLED);
    check_logged(&s, "");
    end(&s);
}

static void test_removed_is_drained(void **state)
{
    struct support_service changed[] = {services[0], services[1]};
    struct scene s;

    (void)state;
    begin(&s);
    s.net.pool->backends[1].clients = 1;
    changed[0].backends[1].name = NULL;
    reload(&s, changed, 2);
    check_logged(&s, "");
    s.net.pool->backends[1].clients = 0;
    check_logged(&s, "service vpn, backend two: drained: no client is left");
    end(&s);
}

/* Whoever gets the index of one that has gone inherits neither its suspicion nor its service's alarm. */
static void test_an_index_begins_anew(void **state)
{
    struct support_service changed[] = {services[0], services[1]};
    struct scene s;

    (void)state;
    begin(&s);
    struct pool *pool = s.net.pool;
    pool->backends[2].passive.suspicion = SUSPICION_REFUSING;
    upkeep_check_alarms(s.upkeep);
    fflush(s.log.out);
    assert_non_null(strstr(s.text, "service also: backend uno refuses new clients"));
    assert_non_null(strstr(s.text, "service also: ALARM: "));
    reload(&s, changed, 1);
    upkeep_check_alarms(s.upkeep);
    assert_true(pool_config_collect(pool, ignore_gone, NULL));
    check_logged(&s, "");
    pool->service_hand = 1;
    pool->backend_hand = 2;
    changed[1].name = "new";
    changed[1].vips[0] = "203.0.113.12";
    reload(&s, changed, 2);
    assert_string_equal(pool->services[1].name, "new");
    assert_true(pool->backends[2].used);
    check_logged(&s, "");
    end(&s);
}

/* While a removed service waits for its end nothing about it is an alarm; wanted again, it is. */
static void test_removed_service_is_quiet(void **state)
{
    struct scene s;

    (void)state;
    begin(&s);
    s.net.pool->backends[2].clients = 1;
    s.net.pool->backends[2].health = HEALTH_DOWN;
    check_logged(&s, "service also: ALARM: ");
    reload(&s, services, 1);
    check_logged(&s, "");
    reload(&s, services, 2);
    check_logged(&s, "service also: ALARM: ");
    s.net.pool->backends[2].health = HEALTH_UP;
    check_logged(&s, "service also: alarm over: ");
    s.net.pool->backends[2].clients = 0;
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drained_is_said_once),
        cmocka_unit_test(test_removed_is_drained),
        cmocka_unit_test(test_an_index_begins_anew),
        cmocka_unit_test(test_removed_service_is_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
