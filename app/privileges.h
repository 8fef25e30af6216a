/* What the daemon may do: what it needs is asked for before it begins, and all else is given up for good. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/log.h"

/* Who the daemon is to be from then on. */
struct privileges_user {
    const char *name;
    uid_t uid;
    gid_t gid;
};

/* Looks a user up by name, which is borrowed. 0, or -ENOENT if there is none, or -errno. */
int privileges_find_user(const char *name, struct privileges_user *out);

/*
 * As many descriptors as the largest configuration needs, as far as the hard limit allows: a shell gives
 * 1,024, and each VIP takes several. 0, or -EMFILE, logged, if that is less than `needed`.
 */
int privileges_raise_descriptors(size_t needed, const struct log *log);

/* 0, or -EPERM after each capability that is missing has been logged. */
int privileges_check(const struct log *log);

/*
 * Makes the directory that `path` lies in, with that mode, if it is not there, and gives what it has made to
 * the user, who can then make files in it; a directory that is there stays as it is. 0, or -errno, logged.
 */
int privileges_make_directory(const char *path, mode_t mode, const struct privileges_user *user,
                              const struct log *log);

/*
 * Becomes that user, unless `user` is NULL, and gives up every capability but CAP_NET_ADMIN, CAP_NET_RAW and
 * CAP_NET_BIND_SERVICE, also for programs that would be executed, which can gain none either. What the
 * process has not got it does not get. 0, or a negative error, logged; then only ending is safe.
 */
int privileges_drop(const struct privileges_user *user, const struct log *log);
