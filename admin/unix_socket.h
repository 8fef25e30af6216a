/* The listening UNIX socket: replaces what a dead daemon left behind, refuses to take over from a live one.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"

struct unix_socket {
    char path[CONFIG_PATH_MAX];
    dev_t device; /* of the socket's file, so that nobody else's is removed */
    ino_t inode;
};

/*
 * Listens at `path` with mode 0660, and makes the directory (mode 0755, one level) if it is missing. The
 * descriptor (non-blocking, close-on-exec) and what unix_socket_remove() needs in *out; or a negative error:
 * ERR_EXISTS when somebody answers there, -ENOTSOCK when the path is something else than a socket,
 * -ENAMETOOLONG, or what the system says.
 */
int unix_socket_listen(const char *path, struct unix_socket *out);

/* Removes the socket's file if it is still the one that unix_socket_listen() made. Closes nothing. */
void unix_socket_remove(const struct unix_socket *s);
