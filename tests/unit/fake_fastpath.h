/*
 * A fast path that only remembers what it was told, and fails the test when that makes no sense: a flow that
 * is entered twice, or let go without having been entered.
 */
#pragma once

#include "lb/fastpath.h"
#include "tests/unit/support.h"
#include "tests/unit/unit.h"

#define FAKE_FLOWS_MAX 64

struct fake_flow {
    struct fastpath_binding binding;
    bool is_asked;
};

struct fake_fastpath {
    struct fastpath fastpath;
    struct fake_flow flows[FAKE_FLOWS_MAX];
    size_t count;
    bool refuses;
    bool has_lost;             /* it does not know its flows any more: ages() has no answer */
    struct fastpath_ages ages; /* of every flow */
    uint64_t now_ms;           /* of the last ages() */
    int enters, asks, leaves, refreshes;
    uint32_t lookups;             /* of ages() */
    struct fastpath_binding last; /* of the last call */
};

static inline bool fake_is_same_flow(const struct fastpath_binding *a, const struct fastpath_binding *b)
{
    return endpoint_equal(&a->client, &b->client) && endpoint_equal(&a->vip, &b->vip) &&
           endpoint_equal(&a->source, &b->source) && endpoint_equal(&a->server, &b->server) &&
           a->backend == b->backend && a->source_index == b->source_index;
}

static inline struct fake_flow *fake_find(struct fake_fastpath *fake, const struct fastpath_binding *binding)
{
    for (size_t i = 0; i < fake->count; i++)
        if (fake_is_same_flow(&fake->flows[i].binding, binding))
            return &fake->flows[i];
    return NULL;
}

static inline bool fake_enter(void *ctx, const struct fastpath_binding *binding)
{
    struct fake_fastpath *fake = ctx;
    struct fake_flow *flow = fake_find(fake, binding);

    fake->enters++;
    fake->last = *binding;
    assert_int_not_equal(binding->spi, 0);
    if (fake->refuses)
        return false;
    assert_true(!flow || flow->is_asked);
    assert_true(flow || fake->count < FAKE_FLOWS_MAX);
    if (!flow)
        flow = &fake->flows[fake->count++];
    *flow = (struct fake_flow){.binding = *binding};
    return true;
}

static inline void fake_leave(void *ctx, const struct fastpath_binding *binding)
{
    struct fake_fastpath *fake = ctx;
    struct fake_flow *flow = fake_find(fake, binding);

    fake->leaves++;
    fake->last = *binding;
    assert_non_null(flow);
    *flow = fake->flows[--fake->count];
}

static inline void fake_ask(void *ctx, const struct fastpath_binding *binding)
{
    struct fake_fastpath *fake = ctx;
    struct fake_flow *flow = fake_find(fake, binding);

    fake->asks++;
    fake->last = *binding;
    assert_non_null(flow);
    assert_false(flow->is_asked);
    flow->is_asked = true;
}

static inline bool fake_ages(void *ctx, const struct fastpath_binding *binding, uint64_t now_ms,
                             struct fastpath_ages *out)
{
    struct fake_fastpath *fake = ctx;

    assert_non_null(fake_find(fake, binding));
    fake->now_ms = now_ms;
    fake->lookups++;
    *out = fake->ages;
    return !fake->has_lost;
}

static inline void fake_refresh(void *ctx)
{
    struct fake_fastpath *fake = ctx;

    fake->refreshes++;
}

static inline void fake_report(void *ctx, struct fastpath_report *out)
{
    const struct fake_fastpath *fake = ctx;

    out->mode = FASTPATH_NATIVE;
    out->entries = (uint32_t)(2 * fake->count);
}

/* The net gets that fast path, which carries nothing yet. */
static inline void fake_attach(struct fake_fastpath *fake, struct support_net *net)
{
    static const struct fastpath_ops ops = {.enter = fake_enter,
                                            .leave = fake_leave,
                                            .ask = fake_ask,
                                            .ages = fake_ages,
                                            .refresh = fake_refresh,
                                            .report = fake_report};

    *fake = (struct fake_fastpath){.fastpath = {.ops = &ops, .ctx = fake}};
    net->dp.bindings.fastpath = &fake->fastpath;
}

/* It has exactly the flows that say so, and those are asked for that say so. */
static inline void fake_check(struct fake_fastpath *fake, struct support_net *net)
{
    const struct bindings *b = &net->dp.bindings;
    uint32_t cursor = 0, budget = UINT32_MAX, index;
    size_t count = 0;

    while ((index = flows_next(b->flows, &cursor, &budget)) != FLOW_NONE) {
        const struct flow *flow = flows_get(b->flows, index);
        struct fastpath_binding binding;
        assert_false((flow->flags & (FLOW_FAST | FLOW_ASKED)) == FLOW_ASKED);
        if (!(flow->flags & FLOW_FAST))
            continue;
        count++;
        assert_true(fastpath_describe(b, flow, &binding));
        const struct fake_flow *entered = fake_find(fake, &binding);
        assert_non_null(entered);
        assert_int_equal(entered->is_asked, (flow->flags & FLOW_ASKED) != 0);
    }
    assert_int_equal(count, fake->count);
}
