#include "app/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <stddef.h>

struct need {
    unsigned capability;
    const char *name;
    const char *purpose;
};

static const struct need needs[] = {
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", "transparent sockets, the nft table, the rule and the route"},
    {CAP_NET_RAW, "CAP_NET_RAW", "packets with the clients' source addresses, and ICMP probes"},
};

int privileges_check(const struct log *log)
{
    int err = 0;

    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (capng_have_capability(CAPNG_EFFECTIVE, needs[i].capability))
            continue;
        log_error(log,
                  "the capability %s is missing: %s need it; run ikelb as root, or give it the capability",
                  needs[i].name, needs[i].purpose);
        err = -EPERM;
    }
    return err;
}
