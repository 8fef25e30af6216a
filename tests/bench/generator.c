/*
 * Drives the source (source.bpf.c) for a time and says what came of it:
 *
 *   generator KEY=VALUE...
 *
 * It prints "SENT ARRIVED LOST SECONDS WAITED", WAITED for a core although it was ready, and, with
 * `interval_ns`, "BUCKET COUNT" for each bucket of latency that is not empty. It sends into `interface` of
 * this network namespace; `meter` is the id that `sink` printed at the far end.
 *
 * It runs as SCHED_IDLE: a forwarder in user space on the same core always goes first, as it would before a
 * network card.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bench/meter.h"
#include <source.skel.h>

#define HEADERS          42 /* Ethernet, IPv4, UDP */
#define PAYLOAD_MIN      28
#define PAYLOAD_MAX      1472
#define SECONDS_MAX      60.0
#define BATCH            64    /* frames at a time, as a driver takes them from its ring */
#define LIMITED_REPEAT   32768 /* frames before a load of limited count is looked at */
#define STALL_NS         50000000ULL
#define IKE_INIT         34
#define IKE_VERSION      0x20
#define IKE_SA           33
#define IKE_INITIATOR    0x08
#define NANOS_PER_SECOND 1e9

struct options {
    const char *interface;
    uint32_t meter;
    double seconds;
    bool stubborn; /* not SCHED_IDLE */
    struct plan plan;
};

static volatile sig_atomic_t over;

static void on_alarm(int signum)
{
    (void)signum;
    over = 1;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "generator: %s: %s\n", what, strerror(errno));
    exit(1);
}

static _Noreturn void usage(const char *what)
{
    fprintf(stderr, "generator: %s: wrong option\n", what);
    exit(2);
}

static uint32_t ipv4(const char *text)
{
    struct in_addr a;

    if (inet_pton(AF_INET, text, &a) != 1)
        usage(text);
    return ntohl(a.s_addr);
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value > max)
        usage(text);
    return value;
}

static void hardware_address(const char *text, uint8_t *out)
{
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &out[0], &out[1], &out[2], &out[3], &out[4], &out[5]) !=
        6)
        usage(text);
}

static uint16_t kind(const char *text)
{
    if (strcmp(text, "esp") != 0 && strcmp(text, "ike") != 0)
        usage(text);
    return strcmp(text, "ike") == 0 ? KIND_IKE : KIND_ESP;
}

static uint32_t vary(const char *text)
{
    if (strcmp(text, "source") != 0 && strcmp(text, "destination") != 0)
        usage(text);
    return strcmp(text, "source") == 0 ? VARY_SOURCE : VARY_DESTINATION;
}

static void set_number(struct options *o, const char *key, const char *value)
{
    struct plan *plan = &o->plan;

    if (strcmp(key, "meter") == 0)
        o->meter = (uint32_t)number(value, UINT32_MAX);
    else if (strcmp(key, "stubborn") == 0)
        o->stubborn = number(value, 1);
    else if (strcmp(key, "sport") == 0)
        plan->sport = (uint16_t)number(value, UINT16_MAX);
    else if (strcmp(key, "dport") == 0)
        plan->dport = (uint16_t)number(value, UINT16_MAX);
    else if (strcmp(key, "payload") == 0)
        plan->payload = (uint16_t)number(value, PAYLOAD_MAX);
    else if (strcmp(key, "first") == 0)
        plan->first = (uint32_t)number(value, UINT32_MAX / 2);
    else if (strcmp(key, "count") == 0)
        plan->count = (uint32_t)number(value, UINT32_MAX / 2);
    else if (strcmp(key, "window") == 0)
        plan->window = number(value, UINT32_MAX);
    else if (strcmp(key, "limit") == 0)
        plan->limit = number(value, UINT64_MAX);
    else if (strcmp(key, "interval_ns") == 0)
        plan->interval_ns = number(value, UINT32_MAX);
    else
        usage(key);
}

static void set(struct options *o, const char *key, const char *value)
{
    if (strcmp(key, "interface") == 0)
        o->interface = value;
    else if (strcmp(key, "seconds") == 0)
        o->seconds = strtod(value, NULL);
    else if (strcmp(key, "from") == 0)
        o->plan.saddr = ipv4(value);
    else if (strcmp(key, "to") == 0)
        o->plan.daddr = ipv4(value);
    else if (strcmp(key, "eth_dst") == 0)
        hardware_address(value, o->plan.eth_dst);
    else if (strcmp(key, "kind") == 0)
        o->plan.kind = kind(value);
    else if (strcmp(key, "vary") == 0)
        o->plan.vary = vary(value);
    else
        set_number(o, key, value);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {
        .plan = {.payload = 200, .count = 1, .window = 256, .limit = UINT64_MAX, .stall_ns = STALL_NS}};

    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            usage(argv[i]);
        *value = '\0';
        set(&o, argv[i], value + 1);
    }
    if (!o.interface || o.plan.payload < PAYLOAD_MIN || o.plan.count == 0 || o.seconds <= 0 ||
        o.seconds > SECONDS_MAX)
        usage("a missing option, or one out of range");
    o.plan.ifindex = if_nametoindex(o.interface);
    if (o.plan.ifindex == 0)
        die(o.interface);
    return o;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* What the source need not compute for each packet. */
static void complete(struct plan *plan)
{
    const uint32_t fixed = plan->vary == VARY_SOURCE ? plan->daddr : plan->saddr;
    const uint32_t total = 20U + 8U + plan->payload;

    plan->ip_sum = 0x4500 + total + 0x4000 + IPPROTO_UDP + (fixed >> 16) + (fixed & 0xffff); /* TTL 64 */
    plan->mask = 0;
    while (plan->mask < plan->count - 1)
        plan->mask = plan->mask << 1 | 1;
}

static void fill_payload(uint8_t *payload, const struct plan *plan)
{
    const uint32_t len = htonl(plan->payload);

    if (plan->kind != KIND_IKE)
        return;
    memset(payload + 4, 0x5a, 4); /* the rest of SPIi; SPIr stays zero. RFC 7296 section 3.1 */
    payload[16] = IKE_SA;
    payload[17] = IKE_VERSION;
    payload[18] = IKE_INIT;
    payload[19] = IKE_INITIATOR;
    memcpy(payload + 24, &len, sizeof len);
}

static void *map_memory(int fd, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, (size + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        die("mmap");
    return memory;
}

static struct source_bpf *load(int meter_fd)
{
    struct source_bpf *skel = source_bpf__open();

    if (!skel || bpf_map__reuse_fd(skel->maps.meters, meter_fd) < 0 || source_bpf__load(skel) < 0)
        die("the program does not load");
    return skel;
}

static void start_alarm(double seconds)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval timer = {
        .it_value = {.tv_sec = (time_t)seconds,
                     .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)},
        .it_interval = {.tv_usec = 100000}, /* again, should the first one come between two calls */
    };

    if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &timer, NULL) < 0)
        die("timer");
}

/* Until the time is over, or all packets of a limited number have arrived or are lost. */
static void run(int prog_fd, const struct options *o, const volatile struct plan *plan)
{
    static uint8_t frame[HEADERS + PAYLOAD_MAX];
    const bool limited = o->plan.limit != UINT64_MAX;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
                .data_size_in = (uint32_t)(HEADERS + o->plan.payload), .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
                .repeat = limited ? LIMITED_REPEAT : INT32_MAX,
                .batch_size = o->plan.interval_ns ? 1 : BATCH);

    fill_payload(frame + HEADERS, &o->plan);
    while (!over) {
        if (plan->end_ns)
            return;
        if (bpf_prog_test_run_opts(prog_fd, &opts) < 0 && errno != EINTR)
            die("BPF_PROG_TEST_RUN");
    }
}

static void print_latencies(const volatile struct meter *meter)
{
    for (int i = 0; i < METER_BUCKETS; i++) {
        if (meter->latency[i])
            printf("%d %llu\n", i, (unsigned long long)meter->latency[i]);
    }
}

/* For how long this process has waited for a core so far; 0 where the kernel does not say. */
static double waited_s(void)
{
    FILE *file = fopen("/proc/self/schedstat", "r");
    unsigned long long run, waited;
    const bool found = file && fscanf(file, "%llu %llu", &run, &waited) == 2;

    if (file)
        fclose(file);
    return found ? (double)waited / NANOS_PER_SECOND : 0;
}

/* Empties the meter, and lets the source begin. */
static uint64_t begin(struct options *o, volatile struct plan *plan, volatile struct meter *meter)
{
    for (int i = 0; i < METER_BUCKETS; i++)
        meter->latency[i] = 0;
    meter->timing = o->plan.interval_ns != 0;
    meter->port = o->plan.dport;
    const uint64_t start = now_ns();
    o->plan.arrived_before = meter->arrived;
    o->plan.next_ns = o->plan.progress_ns = start;
    *plan = o->plan;
    start_alarm(o->seconds);
    return start;
}

static void print_outcome(const volatile struct plan *plan, const volatile struct meter *meter,
                          uint64_t start, double waited)
{
    const uint64_t arrived = meter->arrived - plan->arrived_before;
    const uint64_t end = plan->end_ns ? plan->end_ns : now_ns();

    printf("%llu %llu %llu %.6f %.6f\n", (unsigned long long)plan->sent, (unsigned long long)arrived,
           (unsigned long long)plan->lost, (double)(end - start) / NANOS_PER_SECOND, waited);
    if (plan->interval_ns)
        print_latencies(meter);
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    const struct sched_param param = {0};

    if (!o.stubborn && sched_setscheduler(0, SCHED_IDLE, &param) < 0)
        die("SCHED_IDLE");
    const int meter_fd = bpf_map_get_fd_by_id(o.meter);
    if (meter_fd < 0)
        die("meter");
    complete(&o.plan);
    struct source_bpf *skel = load(meter_fd);
    volatile struct meter *meter = map_memory(meter_fd, sizeof *meter);
    volatile struct plan *plan = map_memory(bpf_map__fd(skel->maps.plans), sizeof *plan);
    const double waited = waited_s();
    const uint64_t start = begin(&o, plan, meter);
    run(bpf_program__fd(skel->progs.source), &o, plan);
    print_outcome(plan, meter, start, waited_s() - waited);
    source_bpf__destroy(skel);
    return 0;
}
