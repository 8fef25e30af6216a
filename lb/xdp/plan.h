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

/* The attachment with that index, or NULL. */
const struct link *plan_find(const struct plan *plan, uint32_t ifindex);

/* Does the device take packets natively, as far as the kernel says? */
bool plan_can_send(const struct link *link);

/* May the program be attached natively to all of them, and send packets elsewhere from there? */
bool plan_can_receive(const struct plan *plan);

/* Devices, and what the kernel said that they can do when something was tried there. */
struct plan_trial {
    uint32_t ifindexes[LINKS_MAX];
    uint64_t features[LINKS_MAX];
    size_t count;
};

/* Makes it the plan's attachments as they are now. */
void plan_begin_trial(struct plan_trial *trial, const struct plan *plan);

/* Is one of them among the plan's attachments, and as it was? */
bool plan_has_tried(const struct plan *plan, const struct plan_trial *trial);
