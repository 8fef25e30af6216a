#include "lb/xdp/plan.h"

#include <string.h>

#include "lb/xdp/features.h"

/* Do packets come in there as IP sees it? */
static bool is_served(const struct link *link)
{
    return link->is_ethernet && link->is_up && link->has_address && !link->is_port;
}

static void attach(struct plan *plan, const struct link *link)
{
    for (size_t i = 0; i < plan->attachment_count; i++)
        if (plan->attachments[i] == link)
            return;
    plan->attachments[plan->attachment_count++] = link;
}

static void add_port(struct plan *plan, uint32_t ifindex, uint32_t vlan, const struct link *as,
                     enum fastpath_mode mode)
{
    struct xdp_port_slot *at = &plan->ports[plan->port_count++];

    *at = (struct xdp_port_slot){
        .key = {.ifindex = ifindex, .vlan = vlan},
        .port = {.ifindex = as->ifindex, .is_generic = mode == FASTPATH_GENERIC},
    };
    memcpy(at->port.mac, as->mac, sizeof at->port.mac);
}

static bool has_port(const struct plan *plan, uint32_t ifindex, uint32_t vlan)
{
    for (size_t i = 0; i < plan->port_count; i++)
        if (plan->ports[i].key.ifindex == ifindex && plan->ports[i].key.vlan == vlan)
            return true;
    return false;
}

/*
 * In generic mode the program is on the VLAN device. A device that has VLANs on it is left out: a packet's
 * tag may not be in the packet there, so that the program would not see it, and it would stay on.
 */
static void serve_generic(struct plan *plan, const struct link *link)
{
    if (link->has_vlans)
        return;
    attach(plan, link);
    add_port(plan, link->ifindex, 0, link, FASTPATH_GENERIC);
}

/*
 * Natively it is on the device below. Where the driver has taken the tag off, a packet can be of any VLAN of
 * the device: it says so by an interface of 0.
 */
static void serve_native(struct plan *plan, const struct link *links, size_t count, const struct link *link)
{
    const struct link *lower = link->lower ? link_find(links, count, link->lower) : NULL;

    if (link->lower && (!lower || lower->is_port || lower->lower)) /* VLANs in VLANs, or on somebody's port */
        return;
    attach(plan, lower ? lower : link);
    add_port(plan, lower ? lower->ifindex : link->ifindex, link->vlan, link, FASTPATH_NATIVE);
    if (!lower || is_served(lower) || has_port(plan, lower->ifindex, 0))
        return;
    add_port(plan, lower->ifindex, 0, lower, FASTPATH_NATIVE);
    plan->ports[plan->port_count - 1].port.ifindex = 0;
}

/* What is sent natively to a device that cannot take it is lost without a word. */
static bool can_take(const struct link *link)
{
    return !link->are_features_known || link->features & FEATURES_NDO_XMIT;
}

static bool takes_parts(const struct link *link)
{
    return !link->are_features_known || link->features & FEATURES_NDO_XMIT_SG;
}

static void add_exit(struct plan *plan, const struct link *links, size_t count, const struct link *link,
                     enum fastpath_mode mode)
{
    const bool is_native = mode == FASTPATH_NATIVE;
    const struct link *device = is_native && link->lower ? link_find(links, count, link->lower) : link;

    if (!link->is_ethernet || !link->is_up || link->is_port || !device || (is_native && !can_take(device)) ||
        (device != link && device->lower))
        return;
    plan->exits[plan->exit_count++] = (struct xdp_exit_slot){
        .ifindex = link->ifindex,
        .exit = {.ifindex = device->ifindex,
                 .vlan = device == link ? 0 : link->vlan,
                 .takes_parts = !is_native || takes_parts(device)},
    };
}

void plan_make(struct plan *plan, const struct link *links, size_t count, enum fastpath_mode mode)
{
    plan->attachment_count = plan->port_count = plan->exit_count = 0;
    for (size_t i = 0; i < count && i < LINKS_MAX; i++) {
        add_exit(plan, links, count, &links[i], mode);
        if (!is_served(&links[i]))
            continue;
        if (mode == FASTPATH_GENERIC)
            serve_generic(plan, &links[i]);
        else
            serve_native(plan, links, count, &links[i]);
    }
}

bool plan_can_send(const struct link *link)
{
    return (link->features & FEATURES_NDO_XMIT) != 0;
}

bool plan_can_receive(const struct plan *plan)
{
    const uint64_t wanted = FEATURES_BASIC | FEATURES_REDIRECT;

    for (size_t i = 0; i < plan->attachment_count; i++)
        if ((plan->attachments[i]->features & wanted) != wanted)
            return false;
    return true;
}

const struct link *plan_find(const struct plan *plan, uint32_t ifindex)
{
    for (size_t i = 0; i < plan->attachment_count; i++)
        if (plan->attachments[i]->ifindex == ifindex)
            return plan->attachments[i];
    return NULL;
}

void plan_begin_trial(struct plan_trial *trial, const struct plan *plan)
{
    trial->count = plan->attachment_count;
    for (size_t i = 0; i < plan->attachment_count; i++) {
        trial->ifindexes[i] = plan->attachments[i]->ifindex;
        trial->features[i] = plan->attachments[i]->features;
    }
}

bool plan_has_tried(const struct plan *plan, const struct plan_trial *trial)
{
    for (size_t i = 0; i < trial->count; i++) {
        const struct link *link = plan_find(plan, trial->ifindexes[i]);
        if (link && link->features == trial->features[i])
            return true;
    }
    return false;
}
