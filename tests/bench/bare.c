/*
 * The bare socket loop, to compare with: what nobody can avoid who carries packets between sockets.
 *
 *   bare raw VIP SERVER
 *   bare packet VIP SERVER INTERFACE MAC
 *
 * It takes datagrams of the VIP's port 4500, up to 64 with one system call, and sends them to the server with
 * the client's address, all with one more. It looks at nothing, remembers nothing, and knows no way back.
 * `raw`: it sends by a raw IPv4 socket, as ikelb does. `packet`: by a packet socket into the interface, to
 * the next hop's MAC address, past routes, firewall rules and queues.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PORT         4500
#define BATCH        64
#define PAYLOAD_MAX  1472
#define SOCKET_BYTES (4 << 20)
#define TTL          63

struct out {
    struct iphdr ip;
    struct udphdr udp;
    uint8_t payload[PAYLOAD_MAX];
};

union to {
    struct sockaddr any;
    struct sockaddr_in ip;
    struct sockaddr_ll link;
};

struct loop {
    int in, out;
    union to to;
    socklen_t to_len;
    struct sockaddr_in from[BATCH];
    struct out packets[BATCH];
    struct iovec received[BATCH], sent[BATCH];
    struct mmsghdr rx[BATCH], tx[BATCH];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in endpoint(const char *address)
{
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    if (inet_pton(AF_INET, address, &made.sin_addr) != 1)
        die(address);
    return made;
}

static void set(int fd, int level, int option, int value, const char *what)
{
    if (setsockopt(fd, level, option, &value, sizeof value) != 0)
        die(what);
}

static void open_in(struct loop *loop, const char *vip)
{
    const struct sockaddr_in at = endpoint(vip);

    loop->in = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (loop->in < 0 || bind(loop->in, (const struct sockaddr *)&at, sizeof at) != 0)
        die(vip);
    set(loop->in, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES, "SO_RCVBUFFORCE");
}

static void open_raw(struct loop *loop, const char *server)
{
    loop->to.ip = endpoint(server);
    loop->to_len = sizeof loop->to.ip;
    loop->out = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (loop->out < 0)
        die("a raw socket");
    set(loop->out, SOL_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT");
}

static void open_packet(struct loop *loop, const char *interface, const char *mac)
{
    const struct ether_addr *address = ether_aton(mac);

    if (!address)
        die(mac);
    loop->to.link = (struct sockaddr_ll){
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_IP),
        .sll_ifindex = (int)if_nametoindex(interface),
        .sll_halen = ETH_ALEN,
    };
    memcpy(loop->to.link.sll_addr, address, ETH_ALEN);
    loop->to_len = sizeof loop->to.link;
    loop->out = socket(AF_PACKET, SOCK_DGRAM, 0);
    if (loop->out < 0)
        die("a packet socket");
    set(loop->out, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS");
}

static void prepare(struct loop *loop, in_addr_t server)
{
    for (int i = 0; i < BATCH; i++) {
        struct out *packet = &loop->packets[i];
        packet->ip =
            (struct iphdr){.version = 4, .ihl = 5, .ttl = TTL, .protocol = IPPROTO_UDP, .daddr = server};
        packet->udp = (struct udphdr){.dest = htons(PORT)};
        loop->received[i] = (struct iovec){packet->payload, sizeof packet->payload};
        loop->sent[i] = (struct iovec){packet, 0};
        loop->rx[i].msg_hdr =
            (struct msghdr){.msg_name = &loop->from[i], .msg_iov = &loop->received[i], .msg_iovlen = 1};
        loop->tx[i].msg_hdr = (struct msghdr){
            .msg_name = &loop->to, .msg_namelen = loop->to_len, .msg_iov = &loop->sent[i], .msg_iovlen = 1};
    }
    set(loop->out, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES, "SO_SNDBUFFORCE");
}

static uint16_t checksum(const struct iphdr *ip)
{
    uint16_t words[sizeof *ip / sizeof(uint16_t)];
    uint32_t sum = 0;

    memcpy(words, ip, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

static void fill(struct loop *loop, int i)
{
    struct out *packet = &loop->packets[i];
    const uint16_t datagram = (uint16_t)(sizeof packet->udp + loop->rx[i].msg_len);
    const uint16_t whole = (uint16_t)(sizeof packet->ip + datagram);

    packet->ip.saddr = loop->from[i].sin_addr.s_addr;
    packet->ip.tot_len = htons(whole);
    packet->ip.id++;
    packet->ip.check = 0;
    packet->ip.check = checksum(&packet->ip);
    packet->udp.source = loop->from[i].sin_port;
    packet->udp.len = htons(datagram);
    loop->sent[i].iov_len = whole;
}

/* The number of packets carried. */
static int carry(struct loop *loop)
{
    for (int i = 0; i < BATCH; i++)
        loop->rx[i].msg_hdr.msg_namelen = sizeof loop->from[i];
    const int count = recvmmsg(loop->in, loop->rx, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++)
        fill(loop, i);
    for (int sent = 0; sent < count;) {
        const int n = sendmmsg(loop->out, &loop->tx[sent], (unsigned)(count - sent), 0);
        if (n < 0)
            die("sending");
        sent += n;
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct loop loop;

    if (argc == 4 && strcmp(argv[1], "raw") == 0) {
        open_raw(&loop, argv[3]);
    } else if (argc == 6 && strcmp(argv[1], "packet") == 0) {
        open_packet(&loop, argv[4], argv[5]);
    } else {
        fprintf(stderr, "usage: bare raw VIP SERVER | bare packet VIP SERVER INTERFACE MAC\n");
        return 2;
    }
    prepare(&loop, endpoint(argv[3]).sin_addr.s_addr);
    open_in(&loop, argv[2]);
    for (;;) {
        struct pollfd readable = {.fd = loop.in, .events = POLLIN};
        if (poll(&readable, 1, -1) < 0)
            die("waiting");
        while (carry(&loop) == BATCH)
            ;
    }
}
