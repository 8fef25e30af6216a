#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/probes.h"
#include "lb/pool_config.h"
#include "tests/unit/support.h"

#define PORT    4433
#define WAIT_NS UINT64_C(10000000000)

/* Two backends that are probed by TCP, which is quick in both outcomes: it is the listener that answers. */
static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"one", "127.0.0.1", 0, CONFIG_STATE_ENABLED},
                 {"two", "127.0.0.2", 0, CONFIG_STATE_ENABLED}},
};
enum { ONE, TWO };

static const struct config_health quick = {
    .probe = CONFIG_PROBE_TCP, .tcp_port = PORT, .interval_ms = 20, .timeout_ms = 15, .rise = 2, .fall = 3};

struct scene {
    uv_loop_t loop;
    struct pool *pool;
    struct config *config;
    struct log log;
    struct probes *probes;
    int listener; /* of 127.0.0.1; negative: none */
    int changes;  /* of states, as heard */
    bool closed;
};

static void on_changed(void *ctx)
{
    ((struct scene *)ctx)->changes++;
}

static void on_closed(void *ctx)
{
    ((struct scene *)ctx)->closed = true;
}

static void listen_at_one(struct scene *s)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;

    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(s->listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 100), 0);
}

static void stop_listening(struct scene *s)
{
    if (s->listener >= 0)
        close(s->listener);
    s->listener = -1;
}

/* The configuration of the first `count` backends with these probes, applied. */
static void apply(struct scene *s, const struct config_health *health, size_t count)
{
    config_destroy(s->config);
    s->config = support_config(&service, 1);
    s->config->services[0].health = *health;
    s->config->services[0].backend_count = count;
    assert_int_equal(pool_config_apply(s->pool, s->config, NULL), 0);
}

static struct scene *begin(const struct config_health *health)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->listener = -1;
    s->log = (struct log){.level = LOG_LEVEL_ERROR, .out = stderr};
    s->pool = pool_create();
    apply(s, health, 2);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(probes_create(&s->loop, s->config, s->pool, &s->log, on_changed, s, &s->probes), 0);
    return s;
}

static void end(struct scene *s)
{
    probes_close(s->probes, on_closed, s);
    assert_int_equal(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
    assert_true(s->closed);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    stop_listening(s);
    config_destroy(s->config);
    pool_destroy(s->pool);
    free(s);
}

static uint64_t answered(const struct scene *s, int backend)
{
    return histogram_count(&s->pool->backends[backend].probe_times);
}

static uint64_t failed(const struct scene *s, int backend)
{
    return s->pool->backends[backend].probes_failed_total;
}

/* Lets so many probes of a backend more come to an end. */
static void run_probes(struct scene *s, int backend, uint64_t count)
{
    const uint64_t goal = answered(s, backend) + failed(s, backend) + count;
    const uint64_t deadline_ns = uv_hrtime() + WAIT_NS;

    while (answered(s, backend) + failed(s, backend) < goal) {
        assert_true(uv_hrtime() < deadline_ns);
        assert_int_not_equal(uv_run(&s->loop, UV_RUN_ONCE), 0);
    }
}

/* What a prober has counted so far goes on counting. */
static void test_alike_is_undisturbed(void **state)
{
    struct scene *s = begin(&quick);

    (void)state;
    run_probes(s, ONE, 2);
    for (int i = 0; i < 3; i++) {
        apply(s, &quick, 2);
        assert_int_equal(probes_update(s->probes, s->config), 0);
    }
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_UNKNOWN);
    run_probes(s, ONE, 1);
    assert_int_equal(failed(s, ONE), quick.fall);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_DOWN);
    end(s);
}

/* Otherwise it begins anew, with what is believed. */
static void test_changed_begins_with_what_is_believed(void **state)
{
    struct config_health patient = quick;
    struct scene *s = begin(&quick);

    (void)state;
    listen_at_one(s);
    run_probes(s, ONE, 1);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_UP);
    stop_listening(s);
    run_probes(s, ONE, 2);
    patient.fall = 4;
    apply(s, &patient, 2);
    assert_int_equal(probes_update(s->probes, s->config), 0);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_UP);
    run_probes(s, ONE, 3);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_UP);
    run_probes(s, ONE, 1);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_DOWN);
    patient.rise = 1;
    apply(s, &patient, 2);
    listen_at_one(s);
    assert_int_equal(probes_update(s->probes, s->config), 0);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_DOWN);
    run_probes(s, ONE, 1);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_UP);
    end(s);
}

/* Without probes nothing is known, whatever was believed, and it takes clients all the same. */
static void test_none_is_unknown(void **state)
{
    struct config_health none = quick;
    struct scene *s = begin(&quick);

    (void)state;
    none.probe = CONFIG_PROBE_NONE;
    run_probes(s, ONE, quick.fall);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_DOWN);
    apply(s, &none, 2);
    assert_int_equal(probes_update(s->probes, s->config), 0);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_UNKNOWN);
    assert_true(pool_fitness(&s->pool->backends[ONE]) > 0);
    const uint64_t before = failed(s, ONE);
    for (int i = 0; i < 10; i++)
        uv_run(&s->loop, UV_RUN_NOWAIT);
    assert_int_equal(failed(s, ONE), before);
    apply(s, &quick, 2);
    listen_at_one(s);
    assert_int_equal(probes_update(s->probes, s->config), 0);
    run_probes(s, ONE, 1);
    assert_int_equal(s->pool->backends[ONE].health, HEALTH_UP);
    end(s);
}

static void ignore_gone(void *ctx, uint16_t backend)
{
    probes_forget(((struct scene *)ctx)->probes, backend);
}

/* What is removed is watched until it has gone, and what is new from its first turn on. */
static void test_removed_is_watched_to_its_end(void **state)
{
    struct config_health slow = quick;
    struct scene *s = begin(&quick);

    (void)state;
    slow.fall = 9;
    s->pool->backends[TWO].clients = 1;
    apply(s, &slow, 1);
    assert_int_equal(probes_update(s->probes, s->config), 0);
    run_probes(s, TWO, quick.fall); /* by the settings that it had */
    assert_int_equal(s->pool->backends[TWO].health, HEALTH_DOWN);
    s->pool->backends[TWO].clients = 0;
    assert_true(pool_config_collect(s->pool, ignore_gone, s));
    const uint64_t before = failed(s, TWO);
    run_probes(s, ONE, 3);
    assert_int_equal(failed(s, TWO), before);
    apply(s, &slow, 2);
    assert_int_equal(probes_update(s->probes, s->config), 0);
    run_probes(s, TWO + 1, 1); /* at an index of its own */
    assert_int_equal(failed(s, TWO), before);
    end(s);
}

/* A network of the program's own, of which only the loopback device is up. */
static void unshare_network(void)
{
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    assert_int_equal(unshare(CLONE_NEWNET), 0);
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alike_is_undisturbed),
        cmocka_unit_test(test_changed_begins_with_what_is_believed),
        cmocka_unit_test(test_none_is_unknown),
        cmocka_unit_test(test_removed_is_watched_to_its_end),
    };

    unshare_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
