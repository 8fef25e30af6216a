/*
 * Ports and exits as the program has them. They are few, and asked for with each packet: a hash table of the
 * kernel would cost that more than all else that the program does.
 */
#pragma once

#include "lb/xdp/plan.h"

/* Adds one to the table, XDP_WAYS slots; false if there is no slot for it. */
bool ways_put_port(struct xdp_port_slot *ports, const struct xdp_port_slot *port);
bool ways_put_exit(struct xdp_exit_slot *exits, const struct xdp_exit_slot *exit);

/*
 * Makes the tables what the plan says. What stays as it was is not disturbed. 0; -ENOMEM and nothing has
 * changed; ERR_FULL if there was no slot for all: packets of the others pass up.
 */
int ways_write(struct xdp_port_slot *ports, struct xdp_exit_slot *exits, const struct plan *plan);
