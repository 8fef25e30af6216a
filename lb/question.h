/* Asking the kernel over netlink: requests that it acknowledges, and lists. */
#pragma once

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

/* What a list's parts are read into has so many bytes at most. */
#define QUESTION_DATA_MAX 64

struct question {
    int bus; /* NETLINK_ROUTE or NETLINK_GENERIC */
    uint32_t seq;
    struct mnl_socket *socket; /* NULL: the next question opens one */
    _Alignas(struct nlmsghdr) char message[256];
    char trouble[96]; /* the kernel's words about the last error, beside its number; empty: none */
};

/* A socket on the bus that has joined `groups` (of the bus's first 32; a bit each) and never blocks, which
 * the caller closes; NULL with errno set. */
struct mnl_socket *question_socket(int bus, unsigned groups);

/* 0 or -errno. */
int question_open(struct question *q, int bus);
void question_close(struct question *q);

/* Begins a message with a header of its type of so many bytes, all zero, which is its payload. It is the
 * question's own, and valid until the next one begins; with the attributes it has room for 256 bytes. */
struct nlmsghdr *question_begin(struct question *q, uint16_t type, size_t header_bytes);

/*
 * Sends the message and waits for the acknowledgement, which comes at once. `found`, unless it is NULL, gets
 * each message that is answered. 0 or -errno, also what `found` has set where it gives up.
 */
int question_ask(struct question *q, struct nlmsghdr *nlh, mnl_cb_t found, void *data);

/*
 * The same for a list, `found` gets each entry. If it changes while it is read it is asked for again, and
 * *data, `size` bytes, is again what it was at first. 0, or -errno, then *data has a part of it: -EINTR if it
 * does not come to rest. ERR_RANGE if `size` is more than QUESTION_DATA_MAX.
 */
int question_list(struct question *q, struct nlmsghdr *nlh, mnl_cb_t found, void *data, size_t size);
