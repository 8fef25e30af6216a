/* The XDP program in the kernel, and its maps in our memory: made anew, or taken over from a run that is
 * gone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "lb/xdp/layout.h"

/* A program of an earlier run, found on a device. */
struct maps_left {
    uint32_t ifindex;
    uint32_t id;
    bool is_generic;
    int program_fd;
};

#define MAPS_LEFT_MAX 64

#define MAPS_SLOTS_AN_ENTRY 2

struct fastpath_bpf;

struct maps {
    struct fastpath_bpf *skeleton;
    int program_fd;
    int passed_fd;
    uint32_t cpus;
    bool adopted; /* the entries are those of the run before */
    bool lasts;   /* what is attached can be found again by a later run of the same kind */
    struct xdp_entry *entries;
    struct xdp_place *places;
    struct xdp_source *sources;
    struct xdp_about *about;
    struct xdp_port_slot *ports;
    struct xdp_exit_slot *exits;
    const struct xdp_count *counts;
    uint32_t slots;
    struct maps_left left[MAPS_LEFT_MAX];
    size_t left_count;
};

/*
 * Finds what an earlier run has left on the devices of this namespace, if we may look (CAP_SYS_ADMIN); more
 * than MAPS_LEFT_MAX are not looked at.
 */
void maps_find_left(struct maps *maps);

/*
 * Loads the program, with room for at least `entries` entries; fits maps of maps_find_left() are used on.
 * Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and nothing of it later. 0, or a negative error, logged as a
 * warning, after which nothing but `left` is there.
 */
int maps_load(struct maps *maps, uint32_t entries, const struct log *log);

/* Frees everything here; what is attached stays. */
void maps_unload(struct maps *maps);
