/* Sockets that an earlier process left open for this one: finds the one that is wanted, and makes it as if
 * newly opened. Who kept them in between, and how, is not known here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* One of them. */
struct inherited_socket {
    int fd;             /* owned; -1 once it has been taken */
    bool usable;        /* an unconnected UDP socket of this network namespace that is bound to a port */
    struct endpoint at; /* if usable: where it is bound */
};

/* Plain: filled by inherited_init(), changed by the functions below only. */
struct inherited {
    struct inherited_socket *sockets; /* in the order of the descriptors given */
    size_t count;
};

/* Takes descriptors over, of whatever kind. 0, or -ENOMEM, with none taken over. */
int inherited_init(const int *fds, size_t count, struct inherited *out);

/* Closes those that nobody has taken. */
void inherited_deinit(struct inherited *inherited);

/*
 * The socket that is bound to this VIP and port, ready as from sockets_open_vip(): the caller's from now on.
 * What waits in it is kept. ERR_NOT_FOUND if there is none that can serve.
 */
int inherited_take_vip(struct inherited *inherited, const struct endpoint *vip);

/* The same for a socket as from sockets_open_return(). */
int inherited_take_return(struct inherited *inherited, int family, uint16_t *port);
