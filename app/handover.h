/* Hands the UDP sockets over from one run to the next, by way of the service manager, which keeps them
 * meanwhile: what arrives between two runs waits in them. */
#pragma once

#include "base/log.h"
#include "lb/inherited.h"
#include "lb/io_socket.h"

struct handover;

/*
 * Takes what the service manager passes (sd_listen_fds(3)). Without one nothing is passed, and all that
 * follows has no effect. `log` is borrowed. 0 and *out, or -ENOMEM.
 */
int handover_create(const struct log *log, struct handover **out);

/* The sockets that were passed, for io_socket_create(). Borrowed. */
struct inherited *handover_inherited(struct handover *handover);

/*
 * Makes the service manager keep just the sockets that `io` has now, and closes what was passed and not
 * taken. To be called after the start and whenever sockets have been opened or closed.
 */
void handover_update(struct handover *handover, const struct io_socket *io);

/* Does the service manager keep the sockets, as far as can be known? Then the kernel set-up should stay as
 * well. */
bool handover_is_kept(const struct handover *handover);

/* Closes what was passed and not taken, and frees it. The service manager keeps what it has. NULL is allowed.
 */
void handover_destroy(struct handover *handover);
