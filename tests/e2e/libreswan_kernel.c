/*
 * Preloaded into libreswan's pluto: what it asks of the kernel's IPsec is granted and not done, so that it
 * needs no kernel with ESP and leaves no policies behind. Each security association goes as a line to the
 * file that the environment names as SA_FILE, for esp.py, which does the ESP:
 *
 *   in|out SPI SOURCE PORT DESTINATION PORT REQID KEY
 *
 * The key is that of the integrity check; there is no encryption.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef ssize_t write_function(int, const void *, size_t);

static bool is_xfrm(int fd)
{
    int domain = 0, protocol = 0;
    socklen_t size = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_NETLINK)
        return false;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == NETLINK_XFRM;
}

/* The value of an attribute behind the fixed part of a message, or NULL. */
static const unsigned char *find(const struct nlmsghdr *message, unsigned short type)
{
    const unsigned char *bytes = (const unsigned char *)message;
    struct nlattr head;

    for (size_t at = NLMSG_SPACE(sizeof(struct xfrm_usersa_info)); at + sizeof(head) <= message->nlmsg_len;
         at += NLA_ALIGN(head.nla_len)) {
        memcpy(&head, bytes + at, sizeof(head));
        if (head.nla_type == type)
            return bytes + at + NLA_HDRLEN;
    }
    return NULL;
}

static void print_sa(const struct nlmsghdr *message, const char *path)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    struct xfrm_usersa_info sa;
    struct xfrm_encap_tmpl encap;
    struct xfrm_algo_auth auth;
    const unsigned char *ports = find(message, XFRMA_ENCAP), *key = find(message, XFRMA_ALG_AUTH_TRUNC);
    FILE *file = path && ports && key ? fopen(path, "a") : NULL;

    if (!file) {
        fprintf(stderr, "libreswan_kernel: no SA_FILE, or an SA that is not of the kind expected\n");
        return;
    }
    memcpy(&sa, NLMSG_DATA(message), sizeof(sa));
    memcpy(&encap, ports, sizeof(encap));
    memcpy(&auth, key, sizeof(auth));
    inet_ntop(sa.family, &sa.saddr, source, sizeof(source));
    inet_ntop(sa.family, &sa.id.daddr, destination, sizeof(destination));
    /* What comes in got its SPI from the kernel, and is an update. */
    fprintf(file, "%s %u %s %u %s %u %u ", message->nlmsg_type == XFRM_MSG_UPDSA ? "in" : "out",
            ntohl(sa.id.spi), source, ntohs(encap.encap_sport), destination, ntohs(encap.encap_dport),
            sa.reqid);
    for (size_t i = 0; i < auth.alg_key_len / 8; i++)
        fprintf(file, "%02x", key[sizeof(auth) + i]);
    fputc('\n', file);
    fclose(file);
}

ssize_t write(int fd, const void *data, size_t size)
{
    write_function *next = (write_function *)dlsym(RTLD_NEXT, "write");
    struct nlmsghdr *message = (struct nlmsghdr *)data;
    ssize_t written;

    if (size < sizeof(*message) || !is_xfrm(fd))
        return next(fd, data, size);
    const unsigned short type = message->nlmsg_type;
    switch (type) {
    case XFRM_MSG_NEWSA:
    case XFRM_MSG_UPDSA:
        print_sa(message, getenv("SA_FILE"));
        break;
    case XFRM_MSG_DELSA:
    case XFRM_MSG_NEWPOLICY:
    case XFRM_MSG_UPDPOLICY:
    case XFRM_MSG_DELPOLICY:
    case XFRM_MSG_MIGRATE:
        break;
    default:
        return next(fd, data, size);
    }
    /* A message of this type is acknowledged by the kernel, which does nothing else about it. */
    message->nlmsg_type = NLMSG_NOOP;
    message->nlmsg_flags |= NLM_F_ACK;
    written = next(fd, data, size);
    message->nlmsg_type = type;
    return written;
}
