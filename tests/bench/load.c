/*
 * A closed-loop UDP load: `load sink` counts datagrams into a shared file, `load send` keeps a fixed number
 * of them in flight against that count. What is slower than the sender slows the sender down, so a rate is
 * never bought with loss.
 *
 *   load sink COUNTER PORT SECONDS
 *   load send COUNTER SRC SRCS SRCPORT DST DSTS DSTPORT PAYLOAD WINDOW SECONDS
 *
 * SRC and DST are the first of SRCS and DSTS consecutive IPv4 addresses; packet i goes from address i % SRCS
 * to address i % DSTS. The payload looks like ESP, or like an IKE_SA_INIT where DSTPORT is 500. `send` prints
 * "RATE LOST": packets a second that arrived, and packets lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH       64
#define HEADERS     28
#define PAYLOAD_MAX 1472
#define STALL_MS    50 /* no progress for so long: what is still out is lost */

typedef _Atomic uint64_t counter;

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static counter *map_counter(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT, 0600);

    if (fd < 0 || ftruncate(fd, sizeof(counter)) < 0)
        die(path);
    counter *c = mmap(NULL, sizeof(counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (c == MAP_FAILED)
        die("mmap");
    close(fd);
    return c;
}

static int sink(const char *path, uint16_t port, double seconds)
{
    static uint8_t buffers[BATCH][64]; /* the rest of a datagram is of no interest: MSG_TRUNC */
    struct mmsghdr msgs[BATCH];
    struct iovec iovs[BATCH];
    counter *count = map_counter(path);
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int size = 8 << 20;
    const struct timeval wait = {.tv_usec = 200000};
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) < 0)
        die("sink socket");
    for (int i = 0; i < BATCH; i++) {
        iovs[i] = (struct iovec){buffers[i], sizeof buffers[i]};
        msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iovs[i], .msg_iovlen = 1};
    }
    for (const double end = now_s() + seconds; now_s() < end;) {
        const int n = recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE | MSG_TRUNC, NULL);
        if (n > 0)
            atomic_fetch_add_explicit(count, (uint64_t)n, memory_order_release);
    }
    return 0;
}

struct load {
    uint32_t src, srcs, dst, dsts;
    uint16_t src_port, dst_port;
    size_t payload;
    uint64_t window;
};

static void fill(uint8_t *packet, const struct load *load, uint64_t i)
{
    const uint16_t total = htons((uint16_t)(HEADERS + load->payload));
    const uint16_t udp = htons((uint16_t)(8 + load->payload));
    const uint32_t src = htonl(load->src + (uint32_t)(i % load->srcs));
    const uint32_t dst = htonl(load->dst + (uint32_t)(i % load->dsts));
    const uint16_t ports[2] = {htons(load->src_port), htons(load->dst_port)};
    static const uint8_t esp[4] = {0xc0, 0xff, 0xee, 0x01};
    static const uint8_t ike[28] = {1, 2, 3, 4, 5, 6, 7, 8, [17] = 0x20, [18] = 34, [19] = 0x08};
    const uint32_t ike_len = htonl((uint32_t)load->payload);

    packet[0] = 0x45;
    memcpy(packet + 2, &total, 2);
    packet[8] = 64;
    packet[9] = IPPROTO_UDP;
    memcpy(packet + 12, &src, 4);
    memcpy(packet + 16, &dst, 4);
    memcpy(packet + 20, ports, 4);
    memcpy(packet + 24, &udp, 2); /* checksum zero, as ESP in UDP wants it: RFC 3948 section 2.1 */
    if (load->dst_port == 500) {
        memcpy(packet + HEADERS, ike, sizeof ike);
        memcpy(packet + HEADERS + 24, &ike_len, 4); /* RFC 7296 section 3.1 */
    } else {
        memcpy(packet + HEADERS, esp, sizeof esp);
    }
}

static int send_load(const char *path, const struct load *load, double seconds)
{
    static uint8_t packets[BATCH][HEADERS + PAYLOAD_MAX];
    static struct mmsghdr msgs[BATCH];
    static struct iovec iovs[BATCH];
    static struct sockaddr_in to[BATCH];
    counter *count = map_counter(path);
    const uint64_t first = atomic_load(count);
    const int size = 8 << 20;
    const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    uint64_t sent = 0, lost = 0, seen = 0;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        die("raw socket");
    for (int i = 0; i < BATCH; i++) {
        iovs[i] = (struct iovec){packets[i], HEADERS + load->payload};
        to[i].sin_family = AF_INET;
        msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &iovs[i], .msg_iovlen = 1};
    }
    const double start = now_s();
    double progress = start;
    double t = start;
    while ((t = now_s()) - start < seconds) {
        const uint64_t arrived = atomic_load_explicit(count, memory_order_acquire) - first;
        if (arrived != seen) {
            seen = arrived;
            progress = t;
        }
        if (sent - lost - seen + BATCH > load->window) {
            if (t - progress > STALL_MS / 1e3) {
                lost = sent - seen;
                progress = t;
            }
            sched_yield();
            continue;
        }
        for (int i = 0; i < BATCH; i++) {
            fill(packets[i], load, sent + (uint64_t)i);
            memcpy(&to[i].sin_addr, packets[i] + 16, 4);
        }
        const int n = sendmmsg(fd, msgs, BATCH, 0);
        if (n < 0)
            die("sendmmsg");
        sent += (uint64_t)n;
    }
    printf("%.0f %llu\n", (double)seen / (t - start), (unsigned long long)lost);
    return 0;
}

static uint32_t ipv4(const char *text)
{
    struct in_addr a;

    if (inet_pton(AF_INET, text, &a) != 1)
        die(text);
    return ntohl(a.s_addr);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "sink") == 0)
        return sink(argv[2], (uint16_t)atoi(argv[3]), atof(argv[4]));
    if (argc == 12 && strcmp(argv[1], "send") == 0) {
        const struct load load = {
            .src = ipv4(argv[3]),
            .srcs = (uint32_t)atoi(argv[4]),
            .src_port = (uint16_t)atoi(argv[5]),
            .dst = ipv4(argv[6]),
            .dsts = (uint32_t)atoi(argv[7]),
            .dst_port = (uint16_t)atoi(argv[8]),
            .payload = (size_t)atoi(argv[9]),
            .window = (uint64_t)atoll(argv[10]),
        };
        if (load.srcs && load.dsts && load.payload >= 28 && load.payload <= PAYLOAD_MAX)
            return send_load(argv[2], &load, atof(argv[11]));
    }
    fputs("load: wrong usage; see the head of its source\n", stderr);
    return 2;
}
