/* The XDP program in the kernel, and its maps in our memory: made anew, or taken over from a run that is
 * gone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb/xdp/layout.h"

/* A program of an earlier run, found on a device; one that is on several has one descriptor. */
struct maps_left {
    uint32_t ifindex;
    uint32_t id;
    bool is_generic;
    int program_fd;
};

#define MAPS_LEFT_MAX    1024
#define MAPS_TROUBLE_MAX 160

#define MAPS_SLOTS_AN_ENTRY 2

struct fastpath_bpf;

struct maps {
    struct fastpath_bpf *skeleton;
    int program_fd;
    uint32_t program_id;
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
    uint32_t hidden; /* a device with a program that we may not look at; 0: none */
};

/*
 * Finds what an earlier run has left on the devices of this namespace, if we may look (CAP_SYS_ADMIN); more
 * than MAPS_LEFT_MAX are not looked at.
 */
void maps_find_left(struct maps *maps);

/* No descriptor of the i-th of `left` is needed any more. */
void maps_forget_left(struct maps *maps, size_t i);

/*
 * Loads the program, with room for at least `entries` entries; fits maps of maps_find_left() are used on.
 * Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and nothing of it later. 0, or a negative error, after which
 * nothing but `left` is there, and *trouble says what was wrong.
 */
int maps_load(struct maps *maps, uint32_t entries, char trouble[static MAPS_TROUBLE_MAX]);

/* Frees everything here; what is attached stays. */
void maps_unload(struct maps *maps);
