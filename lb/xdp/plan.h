/*
 * Which devices the program is to be attached to in a mode, and what packets must know of devices: pure, from
 * a list of what is there.
 */
#pragma once

#include "lb/fastpath.h"
#include "lb/xdp/layout.h"
#include "lb/xdp/links.h"

#define PLAN_PORTS_MAX (2 * LINKS_MAX)

struct plan {
    const struct link *attachments[LINKS_MAX]; /* into the list that it was made of */
    size_t attachment_count;
    struct xdp_port_slot ports[PLAN_PORTS_MAX];
    size_t port_count;
    struct xdp_exit_slot exits[LINKS_MAX];
    size_t exit_count;
};

/* For FASTPATH_NATIVE or FASTPATH_GENERIC. */
void plan_make(struct plan *plan, const struct link *links, size_t count, enum fastpath_mode mode);

/* Do all devices that packets come from natively also take packets natively, as far as the kernel says? */
bool plan_can_send(const struct plan *plan);

/* May the program be attached natively to all of them, and send packets elsewhere from there? */
bool plan_can_receive(const struct plan *plan);

/* Of the attachments and of all that the kernel says they can do. */
uint64_t plan_fingerprint(const struct plan *plan);
