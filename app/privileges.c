#include "app/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <libgen.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

struct need {
    unsigned capability;
    const char *name;
    const char *purpose;
    bool required;
};

/* Nothing else is kept. Where the system lets anybody bind low ports CAP_NET_BIND_SERVICE need not be there.
 */
static const struct need needs[] = {
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", "transparent sockets, the nft table, the rule and the route", true},
    {CAP_NET_RAW, "CAP_NET_RAW", "packets with the clients' source addresses, and ICMP probes", true},
    {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", "UDP port 500", false},
};

#define NEED_COUNT (sizeof needs / sizeof needs[0])

#define DESCRIPTORS 65536 /* as LimitNOFILE= of the unit */

int privileges_find_user(const char *name, struct privileges_user *out)
{
    errno = 0;
    const struct passwd *entry = getpwnam(name); // NOLINT(concurrency-mt-unsafe): there is one thread yet

    if (!entry)
        return errno ? -errno : -ENOENT;
    *out = (struct privileges_user){.name = name, .uid = entry->pw_uid, .gid = entry->pw_gid};
    return 0;
}

int privileges_raise_descriptors(size_t needed, const struct log *log)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    const rlim_t wanted = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};
    if (limit.rlim_cur < wanted && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    if (limit.rlim_cur >= needed)
        return 0;
    log_error(log,
              "cannot start: at most %ju open files are allowed, and %zu are needed (raise the limit: "
              "`ulimit -n`, or LimitNOFILE= in the unit)",
              (uintmax_t)limit.rlim_cur, needed);
    return -EMFILE;
}

int privileges_check(const struct log *log)
{
    int err = 0;

    for (size_t i = 0; i < NEED_COUNT; i++) {
        if (!needs[i].required || capng_have_capability(CAPNG_EFFECTIVE, needs[i].capability))
            continue;
        log_error(log,
                  "the capability %s is missing: %s need it; run ikelb as root, or give it the capability",
                  needs[i].name, needs[i].purpose);
        err = -EPERM;
    }
    return err;
}

int privileges_make_directory(const char *path, mode_t mode, const struct privileges_user *user,
                              const struct log *log)
{
    char *copy = strdup(path);
    int err = 0;

    if (!copy)
        return -ENOMEM;
    const char *directory = dirname(copy);
    if (mkdir(directory, mode) == 0) {
        if (chown(directory, user->uid, user->gid) < 0 || chmod(directory, mode) < 0)
            err = -errno;
    } else if (errno != EEXIST) {
        err = -errno;
    }
    if (err)
        log_error(log, "cannot make the directory %s for the user %s: %s", directory, user->name,
                  err_text(err));
    free(copy);
    return err;
}

static bool is_needed(unsigned capability)
{
    for (size_t i = 0; i < NEED_COUNT; i++)
        if (needs[i].capability == capability)
            return true;
    return false;
}

/* A service manager may have given only what is needed; then it may have forbidden capset(2), too. */
static bool holds_more(void)
{
    for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
        if (!is_needed(capability) && capng_have_capability(CAPNG_PERMITTED, capability))
            return true;
    return false;
}

/*
 * Prepares the sets that are to be: what is needed and there, and nothing else. The bounding set can be
 * changed only by who may change capabilities; who may not has no way to gain any once privileges_drop() is
 * done.
 */
static int bound_capabilities(void)
{
    bool held[NEED_COUNT];

    for (size_t i = 0; i < NEED_COUNT; i++)
        held[i] = capng_have_capability(CAPNG_PERMITTED, needs[i].capability) != 0;
    const bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;

    capng_clear(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
    for (size_t i = 0; i < NEED_COUNT; i++)
        if (held[i])
            (void)capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                                needs[i].capability, -1);
    return may_bound ? capng_apply(CAPNG_SELECT_BOUNDS) : 0;
}

static int change_user(const struct privileges_user *user, const struct log *log)
{
    const int result = capng_change_id((int)user->uid, (int)user->gid, CAPNG_INIT_SUPP_GRP);

    if (result) {
        log_error(log, "cannot become the user %s (step %d): start ikelb as root, or already as that user",
                  user->name, -result);
        return -EPERM;
    }
    /* The kernel takes this away from who changes his identity, but a crash shall leave a core, as it does
     * under a service manager. Nothing has been read yet that the user may not see. */
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int privileges_drop(const struct privileges_user *user, const struct log *log)
{
    const bool changes = user && (user->uid != geteuid() || user->gid != getegid());
    int err = capng_get_caps_process() < 0 ? -EPERM : 0;
    const bool is_due = !err && (changes || holds_more());

    if (is_due && bound_capabilities() != 0)
        err = -EPERM;
    if (!err && changes)
        err = change_user(user, log);
    else if (!err && is_due && capng_apply(CAPNG_SELECT_CAPS) != 0)
        err = -EPERM;
    if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        err = -errno;
    if (err)
        log_error(log, "cannot give up privileges: %s", err_text(err));
    return err;
}
