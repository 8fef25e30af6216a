/* Questions to the kernel over netlink. */
#pragma once

#include <libmnl/libmnl.h>
#include <stdint.h>

struct question {
    int bus; /* NETLINK_ROUTE or NETLINK_GENERIC */
    uint32_t seq;
    struct mnl_socket *socket;
};

/* A socket on the bus that has joined `groups` (of the bus's first 32; a bit each); NULL with errno set. */
struct mnl_socket *question_socket(int bus, int flags, unsigned groups);

/* 0 or -errno. */
int question_open(struct question *q, int bus);
void question_close(struct question *q);

/*
 * Sends the request, whose number and flags are set here, and gives each message of the answer to `found`.
 * 0, or -errno, then `found` may have seen a part of it: -EINTR if the kernel's list has changed meanwhile,
 * so that the question should be asked again.
 */
int question_ask(struct question *q, struct nlmsghdr *nlh, uint16_t flags, mnl_cb_t found, void *data);
