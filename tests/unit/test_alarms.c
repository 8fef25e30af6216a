#include "tests/unit/unit.h"

#include "lb/alarms.h"
#include "tests/unit/support.h"

#define BIT(alarm) (1U << ALARM_##alarm)

static const struct support_service dual_stack = {
    .name = "vpn",
    .vips = {"203.0.113.10", "2001:db8::10"},
    .backends = {{"four", "10.0.0.1", 0, CONFIG_STATE_ENABLED},
                 {"six", "2001:db8::1", 0, CONFIG_STATE_ENABLED}},
};

static void test_no_backend(void **state)
{
    struct pool *pool = support_pool(&dual_stack, 1);
    const struct service *service = &pool->services[0];

    (void)state;
    assert_int_equal(alarms_of(pool, service, 1000), 0);
    pool->backends[0].health = pool->backends[1].health = HEALTH_UNKNOWN; /* a start is no alarm */
    assert_int_equal(alarms_of(pool, service, 1000), 0);
    pool->backends[0].health = HEALTH_DOWN;
    pool->backends[1].state = CONFIG_STATE_DRAIN;
    assert_int_equal(alarms_of(pool, service, 1000), BIT(NO_BACKEND));
    pool_destroy(pool);
}

/* The other family's backends are of no use to a client: it is dropped, so the alarm must be on. */
static void test_no_backend_of_one_family(void **state)
{
    struct pool *pool = support_pool(&dual_stack, 1);

    (void)state;
    pool->backends[1].health = HEALTH_DOWN;
    assert_int_equal(alarms_of(pool, &pool->services[0], 1000), BIT(NO_BACKEND_FAMILY));
    pool_destroy(pool);
}

static void test_refusals_are_held(void **state)
{
    struct pool *pool = support_pool(&dual_stack, 1);
    struct service *service = &pool->services[0];

    (void)state;
    service->no_address_ms = 400;
    service->no_port_ms = 500;
    service->no_room_ms = 700;
    assert_int_equal(alarms_of(pool, service, 700), BIT(NO_SNAT_ADDRESS) | BIT(NO_SNAT_PORT) | BIT(NO_ROOM));
    assert_int_equal(alarms_of(pool, service, 500 + ALARM_HOLD_MS - 1), BIT(NO_SNAT_PORT) | BIT(NO_ROOM));
    assert_int_equal(alarms_of(pool, service, 500 + ALARM_HOLD_MS), BIT(NO_ROOM));
    assert_int_equal(alarms_of(pool, service, 700 + ALARM_HOLD_MS), 0);
    pool_destroy(pool);
}

/* One refusing backend is enough, of this service only; a silent one is what health tells about. */
static const struct support_service two[] = {
    {.name = "one",
     .vips = {"203.0.113.10"},
     .backends = {{"a", "10.0.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.0.0.2", 0, CONFIG_STATE_ENABLED}}},
    {.name = "two",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .backends = {{"c", "10.0.0.3", 0, CONFIG_STATE_ENABLED}}},
};

static void test_refusing(void **state)
{
    struct pool *pool = support_pool(two, 2);

    (void)state;
    for (int i = 0; i < 3; i++)
        pool->backends[i].passive.suspicion = SUSPICION_SILENT;
    for (int i = 0; i < 2; i++)
        assert_int_equal(alarms_of(pool, &pool->services[i], 1000), BIT(SILENT));
    pool->backends[1].passive.suspicion = SUSPICION_REFUSING;
    assert_int_equal(alarms_of(pool, &pool->services[0], 1000), BIT(REFUSING));
    assert_int_equal(alarms_of(pool, &pool->services[1], 1000), BIT(SILENT));
    pool->backends[1].passive.suspicion = SUSPICION_NONE;
    pool->backends[2].passive.suspicion = SUSPICION_REFUSING;
    assert_int_equal(alarms_of(pool, &pool->services[0], 1000), 0);
    assert_int_equal(alarms_of(pool, &pool->services[1], 1000), BIT(REFUSING_FULL_NAT));
    pool_destroy(pool);
}

/* A service that the configuration has no more drops new clients, as it should. */
static void test_removed(void **state)
{
    struct pool *pool = support_pool(two, 2);
    struct service *service = &pool->services[0];
    const uint16_t first = service->first_backend;

    (void)state;
    pool->backends[first].removed = pool->backends[pool->backends[first].next].removed = true;
    assert_int_equal(alarms_of(pool, service, 1000), BIT(NO_BACKEND));
    service->removed = true;
    assert_int_equal(alarms_of(pool, service, 1000), 0);
    pool_destroy(pool);
}

/* Nobody knows whose fragments they were: all services show it. */
/* Nobody of those who may get new clients answers. */
static void test_silent(void **state)
{
    struct pool *pool = support_pool(two, 2);
    const struct service *service = &pool->services[0];
    const uint16_t first = service->first_backend;

    (void)state;
    assert_int_equal(pool->backends[first].next, first + 1);
    pool->backends[first].passive.suspicion = SUSPICION_SILENT;
    assert_int_equal(alarms_of(pool, service, 1000), 0);
    pool->backends[first + 1].passive.suspicion = SUSPICION_SILENT;
    assert_int_equal(alarms_of(pool, service, 1000), BIT(SILENT));
    pool->backends[first + 1].passive.suspicion = SUSPICION_NONE;
    pool->backends[first + 1].state = CONFIG_STATE_DRAIN; /* it gets none anyway */
    assert_int_equal(alarms_of(pool, service, 1000), BIT(SILENT));
    pool->backends[first].health = HEALTH_DOWN;
    assert_int_equal(alarms_of(pool, service, 1000), BIT(NO_BACKEND));
    pool_destroy(pool);
}

static void test_lost_fragments(void **state)
{
    struct pool *pool = support_pool(two, 2);

    (void)state;
    alarms_note_fragments(pool, ALARM_FRAGMENTS_PER_S - 1, 500);
    for (int i = 0; i < 2; i++)
        assert_int_equal(alarms_of(pool, &pool->services[i], 500), 0);
    alarms_note_fragments(pool, ALARM_FRAGMENTS_PER_S, 1500);
    alarms_note_fragments(pool, 0, 2500); /* a quiet second ends nothing */
    for (int i = 0; i < 2; i++) {
        const struct service *service = &pool->services[i];
        assert_int_equal(alarms_of(pool, service, 2500), BIT(FRAGMENTS));
        assert_int_equal(alarms_of(pool, service, 1500 + ALARM_HOLD_MS - 1), BIT(FRAGMENTS));
        assert_int_equal(alarms_of(pool, service, 1500 + ALARM_HOLD_MS), 0);
    }
    pool_destroy(pool);
}

static void test_texts(void **state)
{
    (void)state;
    for (int i = 0; i < ALARM_COUNT; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(alarm_text((enum alarm)i), alarm_text((enum alarm)k));
    assert_string_equal(alarm_name(ALARM_NO_BACKEND), "no_backend");
    assert_string_equal(alarm_name(ALARM_FRAGMENTS), "fragments");
    assert_non_null(strstr(alarm_text(ALARM_NO_BACKEND), "no backend"));
    assert_non_null(strstr(alarm_text(ALARM_NO_SNAT_PORT), "snat"));
    assert_non_null(strstr(alarm_text(ALARM_NO_ROOM), "max_clients"));
    assert_non_null(strstr(alarm_text(ALARM_REFUSING), "half-open"));
    assert_null(strstr(alarm_text(ALARM_REFUSING), "full NAT"));
    assert_non_null(strstr(alarm_text(ALARM_REFUSING_FULL_NAT), "use mode transparent"));
    assert_non_null(strstr(alarm_text(ALARM_REFUSING_FULL_NAT), "IkeNumEstablishedForInitialQuery"));
    assert_non_null(strstr(alarm_text(ALARM_REFUSING_FULL_NAT), "block_threshold"));
    assert_non_null(strstr(alarm_text(ALARM_FRAGMENTS), "ipfrag_high_thresh"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_backend),
        cmocka_unit_test(test_no_backend_of_one_family),
        cmocka_unit_test(test_refusals_are_held),
        cmocka_unit_test(test_refusing),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_removed),
        cmocka_unit_test(test_lost_fragments),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
