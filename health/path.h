/* How large datagrams come to an IKE server: in one piece (the path MTU), and in IP fragments. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/knock.h"

/* Nobody's way through the internet is wider; a larger MTU of one's own link does not matter. */
#define PATH_MTU_MAX 1500

/* An IP packet of this size is sent in fragments over every usual link: as large as a long chain of
 * certificates. */
#define PATH_FRAGMENTED_LEN 4000

/* A path asks at most three times at its beginning, each KNOCK_SPACING_MS after the one before. */
#define PATH_BEGINNING_MS (3 * KNOCK_SPACING_MS)

enum path_mtu_kind {
    PATH_MTU_UNKNOWN,    /* not even a small packet was answered */
    PATH_MTU_FULL,       /* nothing is lost: PATH_MTU_MAX, or as much as this machine's own link carries */
    PATH_MTU_REPORTED,   /* a router has said that larger ones don't pass */
    PATH_MTU_BLACK_HOLE, /* larger ones vanish, and no router says so */
};

enum path_fragments {
    PATH_FRAGMENTS_UNTESTED, /* the port is dead, or this machine's link carries even that in one piece */
    PATH_FRAGMENTS_ARRIVE,
    PATH_FRAGMENTS_LOST,
};

struct path_result {
    enum path_mtu_kind mtu_kind;
    uint16_t mtu;                     /* the largest IP packet that was answered; 0 if unknown */
    enum path_fragments fragments[2]; /* to ports 500 and 4500 */
};

struct path_request {
    uv_loop_t *loop;
    struct addr target;
    bool alive[2];        /* which of the ports 500 and 4500 answer; one of them does */
    uint32_t link_mtu;    /* of this machine's route to the target */
    uint32_t patience_ms; /* how long to wait for an answer to one size */
    void (*done)(void *ctx, const struct path_result *result);
    void *ctx;
};

struct path;

/*
 * Measures; `done` is called once, from the loop, with a result that is borrowed for the call, and the path
 * then frees itself. At most 8 + 2 questions are under way at once, and about 50 are asked in all, none of
 * which leaves anything on the server. It takes up to six times the patience where packets vanish. 0, or
 * -ENOMEM.
 */
int path_start(const struct path_request *request, struct path **out);

/* Breaks it off and frees it; `done` is not called. Not allowed from `done` on. */
void path_cancel(struct path *p);
