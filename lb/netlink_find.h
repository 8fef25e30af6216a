/* Asks the kernel which rules and routes with ikelb's protocol number are there, by rtnetlink. */
#pragma once

#include <stdbool.h>

struct mnl_socket;

/* What an earlier run has left, of one family. */
struct netlink_found {
    int count; /* with our protocol number, and the priority, mark and table of ours, or the same place */
    int same_count; /* of these: such as we would add, and nothing more */
};

/* Dumps the policy rules. 0 or -errno; then nothing is known. */
int netlink_find_rules(struct mnl_socket *socket, int family, struct netlink_found *out);

/* Dumps the default routes of our table. 0 or -errno; then nothing is known. */
int netlink_find_routes(struct mnl_socket *socket, int family, struct netlink_found *out);
