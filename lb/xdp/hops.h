/* Next hops: where packets go from here, and that the kernel goes on asking whether they are still there. */
#pragma once

#include <stdint.h>

#include "base/addr.h"
#include "lb/question.h"

struct hop {
    uint32_t ifindex;
    struct addr addr; /* the gateway, or the destination itself */
};

/* The hop that packets for `dst` go to now. 0, or -errno if there is none, and *out is zero. */
int hop_towards(struct question *question, const struct addr *dst, struct hop *out);

/*
 * Tells the kernel that the hop's link-layer address is in use, as it would see by itself from what it sends:
 * it then asks whether it is still right (RFC 4861 section 7.3, and ARP alike). What the fast path sends it
 * does not see. A hop that the kernel knows nothing of is let be.
 */
void hop_use(struct question *question, const struct hop *hop);
