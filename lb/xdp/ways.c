#include "lb/xdp/ways.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

bool ways_put_port(struct xdp_port_slot *ports, const struct xdp_port_slot *port)
{
    for (uint32_t i = 0; i < XDP_WAY_PROBES; i++) {
        struct xdp_port_slot *at = &ports[xdp_way(port->key.ifindex, port->key.vlan, i)];
        if (at->key.ifindex && memcmp(&at->key, &port->key, sizeof at->key) != 0)
            continue;
        *at = *port;
        return true;
    }
    return false;
}

bool ways_put_exit(struct xdp_exit_slot *exits, const struct xdp_exit_slot *exit)
{
    for (uint32_t i = 0; i < XDP_WAY_PROBES; i++) {
        struct xdp_exit_slot *at = &exits[xdp_way(exit->ifindex, 0, i)];
        if (at->ifindex && at->ifindex != exit->ifindex)
            continue;
        *at = *exit;
        return true;
    }
    return false;
}

/* Nobody finds a slot that is being written: its ifindex is written first, and last. */
static void replace(void *slot, const void *wanted, size_t size)
{
    __u32 *ifindex = slot;

    if (memcmp(slot, wanted, size) == 0)
        return;
    __atomic_store_n(ifindex, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy((char *)slot + sizeof *ifindex, (const char *)wanted + sizeof *ifindex, size - sizeof *ifindex);
    __atomic_store_n(ifindex, *(const __u32 *)wanted, __ATOMIC_RELEASE);
}

_Static_assert(offsetof(struct xdp_port_slot, key.ifindex) == 0 &&
                   offsetof(struct xdp_exit_slot, ifindex) == 0,
               "what makes a slot found stands first");

int ways_write(struct xdp_port_slot *ports, struct xdp_exit_slot *exits, const struct plan *plan)
{
    struct xdp_port_slot *new_ports = calloc(XDP_WAYS, sizeof *new_ports);
    struct xdp_exit_slot *new_exits = calloc(XDP_WAYS, sizeof *new_exits);
    bool all = true;

    if (new_ports && new_exits) {
        for (size_t i = 0; i < plan->port_count; i++)
            all &= ways_put_port(new_ports, &plan->ports[i]);
        for (size_t i = 0; i < plan->exit_count; i++)
            all &= ways_put_exit(new_exits, &plan->exits[i]);
        for (size_t i = 0; i < XDP_WAYS; i++) {
            replace(&ports[i], &new_ports[i], sizeof ports[i]);
            replace(&exits[i], &new_exits[i], sizeof exits[i]);
        }
    }
    const int err = !new_ports || !new_exits ? -ENOMEM : all ? 0 : ERR_FULL;
    free(new_ports);
    free(new_exits);
    return err;
}
