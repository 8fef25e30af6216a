/*
 * What the XDP program and its loader share: the values of the maps, and the hash that finds an entry.
 *
 * Entries live in an array that both sides map, not in one of the kernel's hash tables: a packet then touches
 * one cache line of a table of millions, and entering, looking at and removing an entry cost no system call.
 * Only the loader writes entries (lb/xdp/table.h), but for `seen`.
 */
#pragma once

#include <linux/types.h>

/* Changes whenever a running program of the version before could not serve this one's loader. */
#define XDP_LAYOUT_VERSION 1

/*
 * An entry stands in its home slot or in one of the next. In a table that is half full, half a slot on, on
 * average; of a million entries three find no place within so many.
 */
#define XDP_WINDOW 32

/* Room for the backends and source addresses of two runs of the daemon, whose numbers differ:
 * lb/xdp/places.h. */
#define XDP_PLACES_A_RUN  2048
#define XDP_SOURCES_A_RUN 512
#define XDP_RUNS          2

#define XDP_SPIS_MAX 4

/* Nanoseconds of CLOCK_MONOTONIC, shifted by so much, are a tick (1.05 ms); 32 bits come round in 52 days. */
#define XDP_TICK_SHIFT 20

/* So many ticks a time may be ahead of one's own clock, which is coarse. */
#define XDP_AHEAD_MAX 1000

enum xdp_state {
    XDP_FREE,
    XDP_IN,   /* packets of a client to a VIP */
    XDP_OUT,  /* packets of a backend to a client */
    XDP_GONE, /* not free yet: a packet may be under way that has just found it */
};

/* Addresses are IPv6, or IPv4 in its mapped form (RFC 4291 section 2.5.5.2). All but times, SPIs and numbers
 * are in network order. */
struct xdp_entry {
    __u64 src[2]; /* as the packet has them */
    __u64 dst[2];
    __be16 src_port;
    __be16 dst_port;
    __u8 state;      /* enum xdp_state */
    __u8 reach;      /* of the slot, not of the entry: how far from here entries stand whose home it is */
    __be16 new_port; /* XDP_IN: the source port towards the backend; XDP_OUT: the client's */
    __u32 seen;      /* ticks; when the latest packet passed, or since when it is XDP_GONE */
    __u16 place;     /* of the backend */
    union {
        __u16 source;   /* XDP_IN: index of the source address, or XDP_SOURCE_CLIENT */
        __u16 is_asked; /* XDP_OUT: the slow path wants to see the next packet */
    };
    union {
        __u32 spis[XDP_SPIS_MAX]; /* XDP_IN: host order; 0: none */
        __u64 client[2];          /* XDP_OUT: where it goes */
    };
};

#define XDP_SOURCE_CLIENT 0xffff

/* A backend. */
struct xdp_place {
    __u64 server[2];
    __u64 vip[2];  /* of its service */
    __u32 ifindex; /* where its packets come in; 0: not known, none is taken */
    __u32 is_open; /* 0: all of its packets pass up */
    __u32 idle;    /* ticks that a flow lives without a packet */
    __u32 spare[5];
};

struct xdp_source {
    __u64 addr[2];
};

/* Packets and bytes (UDP payload) of one backend, one direction and one CPU. */
struct xdp_count {
    __u64 packets;
    __u64 bytes;
};

/* Where a packet comes in: a device and, if the tag is still in the packet, the VLAN. */
struct xdp_port_key {
    __u32 ifindex;
    __u32 vlan; /* 0: no tag */
};

struct xdp_port {
    __u32
        ifindex; /* of the interface that IP knows; 0: one of several VLANs, whose tag the driver has taken */
    __u8 mac[6];
    __u8 is_generic;
    __u8 spare;
};

/* Where packets for an interface leave. */
struct xdp_exit {
    __u32 ifindex;    /* of the device */
    __u16 vlan;       /* the tag to put on; 0: none */
    __u8 takes_parts; /* also frames in more than one buffer, which others lose without a word */
    __u8 spare;
};

/* Both are kept in small tables: one that is asked for stands in one of a few slots, or it is not there. */
#define XDP_WAYS       4096 /* slots */
#define XDP_WAY_PROBES 8

struct xdp_port_slot {
    struct xdp_port_key key; /* an ifindex of 0: empty */
    struct xdp_port port;
    __u32 spare;
};

struct xdp_exit_slot {
    __u32 ifindex; /* that a route names; 0: empty */
    struct xdp_exit exit;
    __u32 spare;
};

static inline __u32 xdp_way(__u32 ifindex, __u32 vlan, __u32 probe)
{
    return ((((ifindex ^ vlan << 16) * 0x9e3779b1U) >> 20) + probe) % XDP_WAYS;
}

/* Why a packet of a known flow passed up all the same. */
#define XDP_PASS_LIST(X)                                                                                     \
    X(NOT_ESP, "ike")           /* IKE, or garbage */                                                        \
    X(CLOSED, "backend_closed") /* its backend is down, draining or disabled */                              \
    X(NEW_SPI, "new_spi")                                                                                    \
    X(ASKED, "asked") /* the slow path wants to see the backend's next packet */                             \
    X(TTL, "ttl")                                                                                            \
    X(CHECKSUM, "checksum")   /* of IPv4's header; or none in IPv6; or in more than one buffer */            \
    X(INTERFACE, "interface") /* not addressed to us, or not where the backend's packets come in */          \
    X(MTU, "mtu")                                                                                            \
    X(NEIGHBOUR, "neighbour")   /* its link-layer address is not known */                                    \
    X(FORWARDING, "forwarding") /* IP forwarding is off on the interface */                                  \
    X(ROUTE, "route")           /* no way there, or not one for forwarding */                                \
    X(EXIT, "exit")             /* the next interface cannot take packets from here */                       \
    X(IDLE, "idle")             /* nobody has used the flow for longer than it lives */

enum xdp_pass {
#define XDP_PASS_ENUM(name, label) XDP_PASS_##name,
    XDP_PASS_LIST(XDP_PASS_ENUM)
#undef XDP_PASS_ENUM
        XDP_PASS_COUNT,
};

/* What the next run must know to go on with these maps. */
struct xdp_about {
    __u32 version; /* XDP_LAYOUT_VERSION */
    __u32 slots;
    __u64 seed;
    __u32 run;          /* which of XDP_RUNS wrote the entries' numbers last */
    __u32 alive;        /* ticks; when the daemon last said that it is there */
    __u32 is_direct[2]; /* IPv4, IPv6: no rule leads such packets to another table than a device's own */
};

static inline __u64 xdp_mix(__u64 h, __u64 word)
{
    h ^= word;
    h *= 0x9fb21c651e98df25ULL;
    return h ^ (h >> 32);
}

/* The home slot. The seed is random: nobody outside can choose addresses that meet in one window. */
static inline __u32 xdp_home(const __u64 src[2], const __u64 dst[2], __be16 src_port, __be16 dst_port,
                             __u64 seed, __u32 slots)
{
    __u64 h = xdp_mix(seed, src[1]);

    h = xdp_mix(h, dst[1]);
    h = xdp_mix(h, src[0] ^ (dst[0] << 1 | dst[0] >> 63));
    h = xdp_mix(h, (__u64)src_port << 16 | dst_port);
    return (__u32)(((h >> 32) * slots) >> 32);
}
