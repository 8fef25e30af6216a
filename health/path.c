#include "health/path.h"

#include <errno.h>
#include <stdlib.h>

#include "health/mtu_search.h"

#define KNOCKS_MAX     (MTU_SEARCH_WIDTH + 2)
#define LIMITS_MAX     8                /* so many routers in a row may each name a smaller limit */
#define FRAGMENTS_BASE MTU_SEARCH_WIDTH /* the places of the knocks with fragments, by port */

/* Which question the knocks of a round ask. */
enum stage {
    STAGE_LARGEST, /* does the largest size pass? */
    STAGE_CONTROL, /* it vanished: does a small one? */
    STAGE_SEARCH,
};

struct slot {
    struct path *path;
    struct knock *knock; /* NULL once ended */
    uint16_t size;
    enum knock_end end;
};

struct path {
    struct path_request request;
    struct path_result result;
    struct slot slots[KNOCKS_MAX];
    enum stage stage;
    struct mtu_search search;
    struct socket_limit limit; /* the last one that was named */
    unsigned limits;
    bool finished; /* with the sizes; fragments may be under way */
    bool failed;   /* no memory: what is under way ends, nothing more begins */
};

static void advance(struct path *p);

void path_cancel(struct path *p)
{
    for (int i = 0; i < KNOCKS_MAX; i++)
        if (p->slots[i].knock)
            knock_cancel(p->slots[i].knock);
    free(p);
}

static bool is_busy(const struct path *p, int from, int to)
{
    for (int i = from; i < to; i++)
        if (p->slots[i].knock)
            return true;
    return false;
}

static void on_knocked(void *ctx, const struct knock_outcome *outcome)
{
    struct slot *slot = ctx;
    struct path *p = slot->path;

    slot->knock = NULL;
    slot->end = outcome->end;
    if (outcome->error == -EMSGSIZE && outcome->limit.mtu) {
        p->limit = outcome->limit;
        p->limits++;
    }
    advance(p);
}

static void knock_at(struct path *p, int place, uint16_t size, bool natt, enum socket_fragments fragments)
{
    struct slot *slot = &p->slots[place];
    const struct knock_request request = {
        .loop = p->request.loop,
        .target = p->request.target,
        .natt_port = natt,
        .packet_len = size,
        .fragments = fragments,
        .delay_ms =
            (uint32_t)(place < FRAGMENTS_BASE ? place : place - FRAGMENTS_BASE + 1) * KNOCK_SPACING_MS,
        .timeout_ms = p->request.patience_ms,
        .done = on_knocked,
        .ctx = slot,
    };

    slot->path = p;
    slot->size = size;
    slot->end = KNOCK_SILENT;
    if (!p->failed && knock_start(&request, &slot->knock) < 0)
        p->failed = true;
}

/* Where tunnels will run, if that is possible. */
static void try_size(struct path *p, int place, uint16_t size)
{
    knock_at(p, place, size, p->request.alive[1], SOCKET_FRAGMENTS_NEVER);
}

static void begin_stage(struct path *p, enum stage stage, uint16_t size)
{
    p->stage = stage;
    try_size(p, 0, size);
}

static void settle(struct path *p, enum path_mtu_kind kind, uint32_t mtu)
{
    p->result.mtu_kind = kind;
    p->result.mtu = (uint16_t)mtu;
}

/* Begins the next round of the search. False when it is over. */
static bool search_on(struct path *p)
{
    uint16_t sizes[MTU_SEARCH_WIDTH];
    const size_t count = p->failed ? 0 : mtu_search_next(&p->search, sizes);

    p->stage = STAGE_SEARCH;
    for (size_t i = 0; i < MTU_SEARCH_WIDTH; i++)
        p->slots[i].size = 0;
    for (size_t i = 0; i < count; i++)
        try_size(p, (int)i, sizes[i]);
    if (count)
        return true;
    if (!p->failed)
        settle(p, PATH_MTU_BLACK_HOLE, p->search.passes);
    return false;
}

static bool after_largest(struct path *p)
{
    const struct slot *slot = &p->slots[0];
    const uint32_t mtu = p->limit.mtu;

    if (slot->end == KNOCK_ANSWERED) {
        settle(p, p->limits && !p->limit.is_own ? PATH_MTU_REPORTED : PATH_MTU_FULL, slot->size);
        return false;
    }
    if (slot->end == KNOCK_ERROR && mtu >= KNOCK_PACKET_MIN && mtu < slot->size && p->limits < LIMITS_MAX) {
        begin_stage(p, STAGE_LARGEST, (uint16_t)mtu);
        return true;
    }
    p->search = (struct mtu_search){.passes = knock_packet_floor(&p->request.target), .fails = slot->size};
    begin_stage(p, STAGE_CONTROL, (uint16_t)p->search.passes);
    return true;
}

/* Without an answer to a small one either, nothing can be said. */
static bool after_control(struct path *p)
{
    return p->slots[0].end == KNOCK_ANSWERED && search_on(p);
}

static bool after_search(struct path *p)
{
    for (int i = 0; i < MTU_SEARCH_WIDTH; i++)
        if (p->slots[i].size && p->slots[i].end == KNOCK_ANSWERED)
            mtu_search_passed(&p->search, p->slots[i].size);
    for (int i = 0; i < MTU_SEARCH_WIDTH; i++)
        if (p->slots[i].size && p->slots[i].end != KNOCK_ANSWERED)
            mtu_search_failed(&p->search, p->slots[i].size);
    return search_on(p);
}

static bool go_on(struct path *p)
{
    switch (p->stage) {
    case STAGE_LARGEST:
        return after_largest(p);
    case STAGE_CONTROL:
        return after_control(p);
    default:
        return after_search(p);
    }
}

static enum path_fragments fragments_of(const struct slot *slot)
{
    if (!slot->size)
        return PATH_FRAGMENTS_UNTESTED;
    return slot->end == KNOCK_ANSWERED ? PATH_FRAGMENTS_ARRIVE : PATH_FRAGMENTS_LOST;
}

/* Called when a knock has ended; the last one of its round brings the next. */
static void advance(struct path *p)
{
    if (is_busy(p, 0, FRAGMENTS_BASE))
        return;
    if (!p->finished && go_on(p) && is_busy(p, 0, FRAGMENTS_BASE))
        return;
    p->finished = true;
    if (is_busy(p, FRAGMENTS_BASE, KNOCKS_MAX))
        return;
    for (int i = 0; i < 2; i++)
        p->result.fragments[i] = fragments_of(&p->slots[FRAGMENTS_BASE + i]);
    p->request.done(p->request.ctx, &p->result);
    free(p);
}

int path_start(const struct path_request *request, struct path **out)
{
    struct path *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    p->request = *request;
    for (int i = 0; i < 2; i++)
        if (request->alive[i] && request->link_mtu < PATH_FRAGMENTED_LEN)
            knock_at(p, FRAGMENTS_BASE + i, PATH_FRAGMENTED_LEN, i == 1, SOCKET_FRAGMENTS_ALLOWED);
    begin_stage(p, STAGE_LARGEST, PATH_MTU_MAX);
    if (p->failed) {
        path_cancel(p);
        return -ENOMEM;
    }
    if (out)
        *out = p;
    return 0;
}
