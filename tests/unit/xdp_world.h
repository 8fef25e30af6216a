/*
 * The XDP program in the kernel, without traffic: packets are handed to it one by one (BPF_PROG_TEST_RUN), in
 * a network namespace of the test's own:
 *
 *   clients 198.51.100.0/24   ikelb-c  [the program]  ikelb-b   10.1.0.0/24 servers
 *           2001:db8:c::/64                                     2001:db8:1::/64
 *                                                     ikelb-t   carries VLANs:
 *                                                     ikelb-t7  10.7.0.0/24, 2001:db8:7::/64
 *                                                     ikelb-t8  10.8.0.0/24, 2001:db8:8::/64
 *
 * The program knows VLAN devices only from its maps, and not every kernel has them: any device stands for
 * one.
 *
 * Each host NUMBER of a network has the link-layer address 02:00:00:00:01:NUMBER, up to WORLD_HOSTS.
 */
#pragma once

#include "lb/xdp/maps.h"
#include "lb/xdp/places.h"
#include "lb/xdp/table.h"
#include "lb/xdp/traffic.h"
#include "tests/unit/frame.h"

#define WORLD_HOSTS 4
#define WORLD_SPI   0xc0ffee01
#define WORLD_IDLE  57000 /* ticks: about a minute */
#define WORLD_MTU   1500  /* but for ikelb-c, which has 9000 */

enum world_device { WORLD_CLIENTS, WORLD_SERVERS, WORLD_TRUNK, WORLD_VLAN_7, WORLD_VLAN_8, WORLD_DEVICES };

/* The ways a packet can go: both directions of a tunnel, by mode and family. */
struct world_way {
    const char *name;
    bool is_out;
    struct fastpath_binding binding;
    const char *client, *vip, *source, *server; /* source NULL: transparent */
};

#define WORLD_WAYS 8

struct world {
    struct maps maps;
    struct traffic_counts traffic;
    struct table table;
    uint32_t ifindex[WORLD_DEVICES];
    uint8_t mac[WORLD_DEVICES][6];
    struct world_way ways[WORLD_WAYS];
};

/* A packet of one way with all that decides on it, as it would be forwarded; a test spoils something. */
struct world_case {
    struct world *world;
    const struct world_way *way;
    struct frame in;
    struct frame out; /* what is to leave */
    uint32_t ingress; /* ifindex */
    struct xdp_entry *entry;
    struct xdp_place *place;
    struct xdp_port port; /* of the device where the way begins */
};

#define WORLD_NOT_COUNTED (-1) /* it passes up, and nobody has counted why */
#define WORLD_FORWARDED   (-2)

/* Makes the namespace and loads the program, in a group's set-up. Without the right to, *state is NULL. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* The world, or skips the test. */
struct world *world_of(void **state);

/* Turns IP forwarding on or off on a device, or on "all". */
void world_set_forwarding(const char *device, bool on);

uint32_t world_now(void); /* ticks */

/* Forgets every flow, and gives the program its ports and exits anew. */
void world_reset(struct world *world);

/* After a reset: the flow of that way and its usual packet. */
void world_begin(struct world *world, const struct world_way *way, struct world_case *out);

/* The entry is that of packets from c->in.src now; what leaves in transparent mode inbound comes from there.
 */
void world_move(struct world_case *c);

/* Writes c->port for its device. */
void world_put_port(const struct world_case *c, uint32_t ifindex, uint32_t vlan);
void world_put_exit(const struct world *world, uint32_t ifindex, struct xdp_exit exit);

/*
 * Sends the packet and fails the test unless its fate is that: WORLD_FORWARDED as c->out and counted, or
 * passed up unchanged for that reason (enum xdp_pass), or WORLD_NOT_COUNTED. `what` is for messages.
 */
void world_check(struct world_case *c, int fate, const char *what);

/* Sends the packet in earnest: it leaves by a device. */
void world_send(struct world_case *c);

/* The same as world_check() for bytes as they are. */
void world_check_bytes(struct world_case *c, const uint8_t *bytes, size_t len, int fate, const char *what);
