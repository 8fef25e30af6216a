/* The network devices of this namespace as far as XDP is concerned, and whether they have changed. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* More are not looked at. */
#define LINKS_MAX 1024

struct link {
    uint32_t ifindex;
    char name[IF_NAMESIZE];
    uint8_t mac[6];
    bool is_ethernet; /* and has a MAC address; not the loopback */
    bool is_up;
    bool is_port;     /* of a bridge, a bond or the like: it is that one which IP knows */
    bool has_address; /* of IPv4 or IPv6 */
    bool has_vlans;   /* there are VLAN devices on it */
    uint32_t lower;   /* a VLAN device: what it is on; else 0 */
    uint16_t vlan;    /* its tag */
    uint64_t
        features; /* what it can do with XDP (lb/xdp/features.h), which links_list() leaves to the caller */
    bool are_features_known;
    uint32_t native_id; /* of the XDP program there; 0: none */
    uint32_t generic_id;
};

/* The one of that index among so many, or NULL. */
const struct link *link_find(const struct link *links, size_t count, uint32_t ifindex);

struct links;

/* 0 and *out, or -errno. */
int links_open(struct links **out);
void links_close(struct links *links);

enum links_change { LINKS_DEVICES = 1 << 0, LINKS_ROUTES = 1 << 1, LINKS_RULES = 1 << 2 };
#define LINKS_ALL (LINKS_DEVICES | LINKS_ROUTES | LINKS_RULES)

/* What has changed since the last call, at the first call everything: enum links_change. Addresses count as
 * devices. */
unsigned links_changes(struct links *links);

/* Fills up to LINKS_MAX of them in. Their number, or -errno; -EINTR: they are just changing, ask again. */
int links_list(struct links *links, struct link *out);
