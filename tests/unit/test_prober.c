#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "base/err.h"
#include "health/cause.h"
#include "health/prober.h"
#include "health/socket.h"
#include "tests/unit/ike_server.h"

#define EVENTS_MAX 64

/* A prober of 127.0.0.1 with a server beside it, and what has been heard of it. */
struct scene {
    uv_loop_t loop;
    struct server server;
    struct server_socket sockets[2];
    struct prober *prober;
    struct health_event events[EVENTS_MAX];
    char causes[EVENTS_MAX][CAUSE_MAX];
    int count;
    int wanted; /* the prober is stopped after so many events */
    int descriptors;
    bool closed;
};

static const struct health_settings quick = {
    .probe = HEALTH_PROBE_IKE,
    .interval_ms = 40,
    .timeout_ms = 30,
    .rise = 2,
    .fall = 3,
};

static void on_event(void *ctx, const struct health_event *e)
{
    struct scene *s = ctx;

    assert_true(s->count < EVENTS_MAX);
    assert_int_equal(e->success, e->cause == NULL);
    assert_int_equal(e->success, e->round_trip_us > 0);
    assert_int_equal(e->state, prober_state(s->prober));
    snprintf(s->causes[s->count], CAUSE_MAX, "%s", e->cause ? e->cause : "");
    s->events[s->count++] = *e;
    if (s->count == s->wanted) {
        prober_stop(s->prober);
        uv_stop(&s->loop);
    }
}

static void on_closed(void *ctx)
{
    ((struct scene *)ctx)->closed = true;
}

static struct scene *begin(const struct health_settings *settings, const char *target)
{
    struct scene *s = calloc(1, sizeof *s);
    struct health_settings copy = *settings;

    assert_non_null(s);
    assert_int_equal(addr_parse(target, &copy.target), 0);
    s->descriptors = server_open_descriptors();
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(prober_create(&s->loop, &copy, on_event, s, &s->prober), 0);
    return s;
}

static struct scene *begin_with_server(enum server_manner plain, enum server_manner natt)
{
    struct scene *s = begin(&quick, "127.0.0.1");

    s->server.manners[0] = plain;
    s->server.manners[1] = natt;
    server_open(&s->server, s->sockets, &s->loop, "127.0.0.1");
    return s;
}

/* Runs until so many more events have come. */
static void run(struct scene *s, int more)
{
    s->wanted = s->count + more;
    prober_start(s->prober);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->count, s->wanted);
}

/* Nothing may be left open: no handle in the loop, no descriptor in the process. */
static void end(struct scene *s)
{
    prober_close(s->prober, on_closed, s);
    server_close(&s->server);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_true(s->closed);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    assert_int_equal(server_open_descriptors(), s->descriptors);
    free(s);
}

static void assert_event(const struct scene *s, int i, enum health_state state, bool changed,
                         const char *cause)
{
    if (s->events[i].state != state || s->events[i].changed != changed || strcmp(s->causes[i], cause) != 0)
        fail_msg("event %d: %s%s, cause \"%s\"", i, judge_state_name(s->events[i].state),
                 s->events[i].changed ? " (changed)" : "", s->causes[i]);
}

static void test_answers_mean_up(void **state)
{
    static const enum server_manner alive[] = {
        SERVER_REFUSES, SERVER_ACCEPTS, SERVER_WANTS_COOKIE, SERVER_WANTS_GROUP, SERVER_V1_ONLY,
    };

    (void)state;
    for (size_t i = 0; i < sizeof alive / sizeof alive[0]; i++) {
        struct scene *s = begin_with_server(alive[i], alive[i]);
        run(s, 2);
        assert_event(s, 0, HEALTH_UP, true, "");
        assert_event(s, 1, HEALTH_UP, false, "");
        end(s);
    }
}

static void test_silence_means_down(void **state)
{
    static const struct {
        enum server_manner plain, natt;
        const char *cause;
    } cases[] = {
        {SERVER_REFUSES, SERVER_SILENT, "no answer on UDP 4500 within 30 ms"},
        {SERVER_SILENT, SERVER_REFUSES, "no answer on UDP 500 within 30 ms"},
        {SERVER_SILENT, SERVER_SILENT, "no answer on UDP 500 and UDP 4500 within 30 ms"},
        {SERVER_OTHER_SPI, SERVER_REFUSES, "no IKE answer, but other datagrams, on UDP 500 within 30 ms"},
        {SERVER_REFUSES, SERVER_ECHOES, "no IKE answer, but other datagrams, on UDP 4500 within 30 ms"},
        {SERVER_REFUSES, SERVER_BABBLES, "no IKE answer, but other datagrams, on UDP 4500 within 30 ms"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene *s = begin_with_server(cases[i].plain, cases[i].natt);
        run(s, 4);
        assert_event(s, 0, HEALTH_UNKNOWN, false, cases[i].cause);
        assert_event(s, 1, HEALTH_UNKNOWN, false, cases[i].cause);
        assert_event(s, 2, HEALTH_DOWN, true, cases[i].cause);
        assert_event(s, 3, HEALTH_DOWN, false, cases[i].cause);
        end(s);
    }
}

static void test_recovery(void **state)
{
    struct scene *s = begin_with_server(SERVER_REFUSES, SERVER_REFUSES);

    (void)state;
    run(s, 1);
    s->server.manners[1] = SERVER_SILENT;
    run(s, 3);
    assert_event(s, 3, HEALTH_DOWN, true, "no answer on UDP 4500 within 30 ms");
    s->server.manners[1] = SERVER_REFUSES;
    run(s, 2);
    assert_event(s, 4, HEALTH_DOWN, false, "");
    assert_event(s, 5, HEALTH_UP, true, "");
    end(s);
}

/* A server that ignores handshakes from our address, but not the version it cannot know, is alive. */
static void test_reminder(void **state)
{
    struct scene *s = begin_with_server(SERVER_VERSION_ONLY, SERVER_VERSION_ONLY);

    (void)state;
    run(s, 1);
    assert_event(s, 0, HEALTH_UP, true, "");
    assert_true(s->events[0].round_trip_us >= 10000);
    assert_int_equal(s->server.counts[0], 2);
    end(s);

    /* One that answers is not asked twice. */
    s = begin_with_server(SERVER_REFUSES, SERVER_REFUSES);
    run(s, 3);
    assert_false(s->events[0].refusing);
    assert_int_equal(s->server.counts[0], 3);
    assert_int_equal(s->server.counts[1], 3);
    end(s);
}

/* One that is ignored once may have lost that handshake; only twice in a row it is ignored on purpose. */
static void test_refusing_takes_two(void **state)
{
    static const struct {
        enum server_manner manner;
        bool refusing;
    } probes[] = {
        {SERVER_VERSION_ONLY, false}, {SERVER_REFUSES, false},      {SERVER_VERSION_ONLY, false},
        {SERVER_SILENT, false},       {SERVER_VERSION_ONLY, true},  {SERVER_VERSION_ONLY, true},
        {SERVER_REFUSES, false},      {SERVER_VERSION_ONLY, false},
    };
    struct scene *s = begin_with_server(SERVER_SILENT, SERVER_REFUSES);

    (void)state;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        s->server.manners[0] = probes[i].manner;
        run(s, 1);
        assert_int_equal(s->events[i].success, probes[i].manner != SERVER_SILENT);
        if (s->events[i].refusing != probes[i].refusing)
            fail_msg("probe %zu: %s", i, probes[i].refusing ? "not refusing" : "refusing");
    }
    end(s);
}

static void test_closed_port_fails_at_once(void **state)
{
    struct health_settings settings = quick;
    const uint64_t before = uv_hrtime();

    (void)state;
    settings.timeout_ms = settings.interval_ms = 10000;
    struct scene *s = begin(&settings, "127.0.0.1");
    run(s, 1);
    assert_event(s, 0, HEALTH_UNKNOWN, false, "UDP 500: destination port unreachable (ICMP)");
    assert_true(uv_hrtime() - before < 2000000000);
    end(s);

    s = begin(&settings, "127.0.0.1");
    server_open(&s->server, s->sockets, &s->loop, "127.0.0.1");
    server_close_port(&s->server, 1);
    run(s, 1);
    assert_event(s, 0, HEALTH_UNKNOWN, false, "UDP 4500: destination port unreachable (ICMP)");
    end(s);
}

static void test_each_probe_is_fresh(void **state)
{
    struct scene *s = begin_with_server(SERVER_REFUSES, SERVER_REFUSES);

    (void)state;
    run(s, 20);
    const struct server *v = &s->server;
    assert_int_equal(v->seen_count, 40);
    for (int i = 0; i < v->seen_count; i++) {
        assert_in_range(v->seen[i].from.port, HEALTH_PORT_MIN, HEALTH_PORT_MAX);
        assert_true(header_is_init_request(&v->seen[i].datagram.header));
        for (int j = 0; j < i; j++)
            assert_false(
                header_spi_equal(&v->seen[i].datagram.header.spi_i, &v->seen[j].datagram.header.spi_i));
    }
    end(s);
}

static void test_ipv6(void **state)
{
    struct scene *s = begin(&quick, "::1");

    (void)state;
    server_open(&s->server, s->sockets, &s->loop, "::1");
    run(s, 1);
    assert_event(s, 0, HEALTH_UP, true, "");
    server_close_port(&s->server, 0);
    run(s, 3);
    assert_event(s, 3, HEALTH_DOWN, true, "UDP 500: destination port unreachable (ICMP)");
    end(s);
}

static int listen_on(uint16_t port)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void test_tcp(void **state)
{
    struct health_settings settings = quick;

    (void)state;
    settings.probe = HEALTH_PROBE_TCP;
    settings.tcp_port = 443;
    const int fd = listen_on(443);
    struct scene *s = begin(&settings, "127.0.0.1");
    run(s, 1);
    assert_event(s, 0, HEALTH_UP, true, "");
    close(fd);
    s->descriptors--;
    run(s, 3);
    assert_event(s, 3, HEALTH_DOWN, true, "TCP 443: Connection refused");
    end(s);
}

/* A listener whose backlog is full answers nothing. */
static void test_tcp_silence(void **state)
{
    struct health_settings settings = quick;
    int fillers[8];

    (void)state;
    settings.probe = HEALTH_PROBE_TCP;
    settings.tcp_port = 444;
    const int fd = listen_on(444);
    assert_int_equal(listen(fd, 0), 0);
    for (int i = 0; i < 8; i++) {
        const struct endpoint e = {.addr = addr_from_v4("\x7f\0\0\1"), .port = 444};
        fillers[i] = socket_tcp(&e);
        assert_true(fillers[i] >= 0);
    }
    struct scene *s = begin(&settings, "127.0.0.1");
    run(s, 1);
    assert_event(s, 0, HEALTH_UNKNOWN, false, "no answer on TCP 444 within 30 ms");
    end(s);
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(fd);
}

static void set_sysctl(const char *path, const char *value)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(value, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_icmp(void **state)
{
    static const char *const targets[] = {"127.0.0.1", "::1"};
    struct health_settings settings = quick;

    (void)state;
    settings.probe = HEALTH_PROBE_ICMP;
    for (int i = 0; i < 2; i++) {
        struct scene *s = begin(&settings, targets[i]);
        run(s, 2);
        assert_event(s, 0, HEALTH_UP, true, "");
        assert_event(s, 1, HEALTH_UP, false, "");
        end(s);
    }

    set_sysctl("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1");
    struct scene *s = begin(&settings, "127.0.0.1");
    run(s, 3);
    assert_event(s, 2, HEALTH_DOWN, true, "no ICMP echo reply within 30 ms");
    set_sysctl("/proc/sys/net/ipv4/icmp_echo_ignore_all", "0");
    run(s, 2);
    assert_event(s, 4, HEALTH_UP, true, "");
    end(s);
}

static void test_none(void **state)
{
    struct health_settings settings = quick;

    (void)state;
    settings.probe = HEALTH_PROBE_NONE;
    struct scene *s = begin(&settings, "127.0.0.1");
    prober_start(s->prober);
    uv_run(&s->loop, UV_RUN_DEFAULT); /* returns at once: there is nothing to wait for */
    assert_int_equal(s->count, 0);
    assert_int_equal(prober_state(s->prober), HEALTH_UNKNOWN);
    end(s);
}

static void test_own_failures(void **state)
{
    static const struct {
        enum health_probe probe;
        const char *unreachable;
        const char *no_descriptor;
    } cases[] = {
        {HEALTH_PROBE_IKE, "UDP 500: Network is unreachable", "UDP 500: Too many open files"},
        {HEALTH_PROBE_ICMP, "ICMP echo: Network is unreachable", "ICMP echo: Too many open files"},
        {HEALTH_PROBE_TCP, "TCP 443: Network is unreachable", "TCP 443: Too many open files"},
    };
    struct rlimit limit, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct health_settings settings = quick;
        settings.probe = cases[i].probe;
        settings.tcp_port = 443;
        settings.fall = 2;
        struct scene *s = begin(&settings, "192.0.2.1");
        run(s, 1);
        assert_event(s, 0, HEALTH_UNKNOWN, false, cases[i].unreachable);
        none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        run(s, 1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_event(s, 1, HEALTH_DOWN, true, cases[i].no_descriptor);
        end(s);
    }
}

/* Every port of the range is taken but one; then that one too. */
static void test_ports_run_out(void **state)
{
    const struct socket_udp what = {.target = {.addr = addr_from_v4("\x7f\0\0\1"), .port = 500}};
    static int fds[HEALTH_PORT_MAX - HEALTH_PORT_MIN + 1];
    const int count = sizeof fds / sizeof fds[0];
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlim_t usual = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)count + 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < count; i++) {
        fds[i] = socket_udp(&what);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(socket_udp(&what), -EADDRINUSE);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    limit.rlim_cur = usual;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void stop_loop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void run_for(struct scene *s, uint64_t ms)
{
    uv_timer_t timer;

    uv_timer_init(&s->loop, &timer);
    uv_timer_start(&timer, stop_loop, ms, 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&s->loop, UV_RUN_NOWAIT);
}

static void test_stop_breaks_off(void **state)
{
    struct scene *s = begin_with_server(SERVER_SILENT, SERVER_SILENT);

    (void)state;
    prober_start(s->prober);
    prober_start(s->prober);
    while (s->server.counts[0] == 0)
        uv_run(&s->loop, UV_RUN_ONCE);
    prober_stop(s->prober);
    prober_stop(s->prober);
    run_for(s, 100);
    assert_int_equal(s->count, 0);
    assert_int_equal(s->server.counts[0], 1);
    end(s);
}

static void test_start_is_idempotent(void **state)
{
    struct scene *s = begin_with_server(SERVER_SILENT, SERVER_SILENT);

    (void)state;
    s->wanted = 1;
    prober_start(s->prober);
    while (s->server.counts[0] == 0)
        uv_run(&s->loop, UV_RUN_ONCE);
    prober_start(s->prober);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_event(s, 0, HEALTH_UNKNOWN, false, "no answer on UDP 500 and UDP 4500 within 30 ms");
    assert_int_equal(s->server.counts[0], 2); /* the handshake and the reminder of one probe */
    end(s);
}

/* The state is kept, and so is what is believed from before. */
static void test_initial_state(void **state)
{
    struct health_settings settings = quick;

    (void)state;
    settings.initial = HEALTH_DOWN;
    struct scene *s = begin(&settings, "127.0.0.1");
    server_open(&s->server, s->sockets, &s->loop, "127.0.0.1");
    assert_int_equal(prober_state(s->prober), HEALTH_DOWN);
    run(s, 2);
    assert_event(s, 0, HEALTH_DOWN, false, "");
    assert_event(s, 1, HEALTH_UP, true, "");
    end(s);
}

static void close_on_event(void *ctx, const struct health_event *e)
{
    struct scene *s = ctx;

    (void)e;
    s->count++;
    prober_close(s->prober, on_closed, s);
    server_close(&s->server);
}

static void test_close_within_event(void **state)
{
    (void)state;
    for (int manner = SERVER_REFUSES; manner <= SERVER_SILENT; manner++) {
        struct scene *s = begin_with_server((enum server_manner)manner, (enum server_manner)manner);
        struct health_settings settings = quick;

        prober_close(s->prober, on_closed, s);
        uv_run(&s->loop, UV_RUN_NOWAIT);
        assert_true(s->closed);
        s->closed = false;
        settings.target = addr_from_v4("\x7f\0\0\1");
        assert_int_equal(prober_create(&s->loop, &settings, close_on_event, s, &s->prober), 0);
        prober_start(s->prober);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        assert_true(s->closed);
        assert_int_equal(s->count, 1);
        assert_int_equal(uv_loop_close(&s->loop), 0);
        assert_int_equal(server_open_descriptors(), s->descriptors);
        free(s);
    }
}

/* The loop was busy for longer than the timeout: the answers that wait in the sockets count. */
static void test_busy_loop_is_no_failure(void **state)
{
    struct scene *s = begin_with_server(SERVER_VERSION_ONLY, SERVER_VERSION_ONLY);

    (void)state;
    s->wanted = 1;
    prober_start(s->prober);
    /* Two handshakes in vain, then the two reminders; when they have been answered, time runs out. */
    while (s->server.counts[0] + s->server.counts[1] < 4) {
        uv_run(&s->loop, UV_RUN_ONCE);
        if (s->server.counts[0] + s->server.counts[1] > 2)
            usleep(40000);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_event(s, 0, HEALTH_UP, true, "");
    end(s);
}

static void test_settings_are_checked(void **state)
{
    struct health_settings settings = quick;
    struct prober *p;
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    settings.interval_ms = 0;
    assert_int_equal(prober_create(&loop, &settings, on_event, NULL, &p), ERR_RANGE);
    settings = quick;
    settings.timeout_ms = 0;
    assert_int_equal(prober_create(&loop, &settings, on_event, NULL, &p), ERR_RANGE);
    settings = quick;
    settings.probe = HEALTH_PROBE_TCP;
    assert_int_equal(prober_create(&loop, &settings, on_event, NULL, &p), ERR_RANGE);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_mean_up),
        cmocka_unit_test(test_silence_means_down),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_reminder),
        cmocka_unit_test(test_refusing_takes_two),
        cmocka_unit_test(test_closed_port_fails_at_once),
        cmocka_unit_test(test_each_probe_is_fresh),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_silence),
        cmocka_unit_test(test_icmp),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_own_failures),
        cmocka_unit_test(test_ports_run_out),
        cmocka_unit_test(test_stop_breaks_off),
        cmocka_unit_test(test_start_is_idempotent),
        cmocka_unit_test(test_initial_state),
        cmocka_unit_test(test_close_within_event),
        cmocka_unit_test(test_busy_loop_is_no_failure),
        cmocka_unit_test(test_settings_are_checked),
    };

    server_unshare_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
