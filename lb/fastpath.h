/*
 * The fast path as the rest of lb/ knows it: something that may carry the tunnels of flows that are fully
 * known, and says when it last did. What it is made of is another's business (lb/xdp/xdp.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lb/bindings.h"

/* A flow as packets show it. */
struct fastpath_binding {
    struct endpoint client;
    struct endpoint vip;
    struct endpoint source; /* towards the backend: the client itself, or an address of full NAT */
    struct endpoint server;
    uint16_t backend;
    uint16_t source_index; /* as in struct flow */
    uint32_t spi;          /* of the client's ESP, which the backend has answered */
};

/* How long ago a packet last passed, in milliseconds. */
struct fastpath_ages {
    uint32_t client_ms;
    uint32_t backend_ms;
};

enum fastpath_mode { FASTPATH_OFF, FASTPATH_GENERIC, FASTPATH_NATIVE, FASTPATH_MODE_COUNT };

struct fastpath_interface {
    char name[16];
    enum fastpath_mode mode;
    char trouble[80]; /* why it is not served; empty: none */
};

#define FASTPATH_REASONS_MAX 16

/* What there is to tell of it; pointers are valid until the next turn of the loop. */
struct fastpath_report {
    enum fastpath_mode mode; /* of any interface */
    const char *trouble;     /* why there is no fast path although it is wanted; or NULL */
    uint32_t entries;        /* two a flow */
    uint32_t capacity;
    const struct fastpath_interface *interfaces;
    size_t interface_count;
    size_t reason_count; /* why packets of known flows went over the slow path all the same */
    const char *reasons[FASTPATH_REASONS_MAX];
    uint64_t passed_total[FASTPATH_REASONS_MAX];
};

struct fastpath_ops {
    /* Takes a flow, or another SPI of one that it has. False if it cannot. */
    bool (*enter)(void *ctx, const struct fastpath_binding *binding);

    /* Gives it back. */
    void (*leave)(void *ctx, const struct fastpath_binding *binding);

    /* The next packet of the backend is to go over the slow path, until the flow is entered again. */
    void (*ask)(void *ctx, const struct fastpath_binding *binding);

    /* False if it does not have the flow. */
    bool (*ages)(void *ctx, const struct fastpath_binding *binding, uint64_t now_ms,
                 struct fastpath_ages *out);

    /* Backends, their states or addresses have changed. */
    void (*refresh)(void *ctx);

    /* Also brings the backends' traffic up to date. */
    void (*report)(void *ctx, struct fastpath_report *out);
};

struct fastpath {
    const struct fastpath_ops *ops;
    void *ctx;
};

const char *fastpath_mode_name(enum fastpath_mode mode);

/* Whatever the slow path still has to learn from a flow's ESP, it has learnt; and its backend may be carried
 * for. */
bool fastpath_may_enter(const struct bindings *b, const struct flow *flow);

/* The backend has sent ESP on that flow: from now on the fast path carries it, if it may and can. */
void fastpath_answered(struct bindings *b, uint32_t flow);

/* The client has sent ESP with an SPI that the backend has not answered yet. */
void fastpath_unproved(struct bindings *b, uint32_t flow);

/* The slow path carries the flow again. */
void fastpath_leave(struct bindings *b, uint32_t flow);

/* The flow of that index, its times brought up to date. */
struct flow *fastpath_flow(const struct bindings *b, uint32_t flow, uint64_t now_ms);

/* May flows of that backend be carried? Where its clients may have to go elsewhere, no. */
bool fastpath_may_carry(const struct backend *backend);

/* The flow as packets show it; false if the fast path could never carry it. */
bool fastpath_describe(const struct bindings *b, const struct flow *flow, struct fastpath_binding *out);

/* Backends, their states or addresses have changed. */
void fastpath_refresh(const struct bindings *b);

/* What there is to tell; without a fast path its mode is FASTPATH_OFF and all else empty. */
void fastpath_report(const struct bindings *b, struct fastpath_report *out);
