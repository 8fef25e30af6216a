/* The policy rule and the route that deliver packets with ikelb's mark to the machine itself, by rtnetlink.
 */
#pragma once

#include "base/log.h"

/*
 * `ip rule add fwmark MARK/MASK lookup TABLE` and `ip route add local default dev lo table TABLE`. What
 * an earlier run left is kept, without a gap, if it is just that, and replaced if not. 0 or -errno, logged.
 */
int delivery_start(int family, const struct log *log);

/* Removes both if they are there. */
void delivery_stop(int family, const struct log *log);
