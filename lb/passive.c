#include "lb/passive.h"

static void forget(struct passive *p)
{
    p->evidence = 0;
    p->several = false;
    p->suspicion = SUSPICION_NONE;
    p->avoided = false;
}

static void forget_if_old(struct passive *p, uint64_t now_ms)
{
    if (now_ms - p->asked_ms >= PASSIVE_FORGET_MS)
        forget(p);
}

/* Heard since then, be it by a tunnel or a probe. */
static bool is_heard_since(const struct passive *p, uint64_t then_ms)
{
    return p->heard_ms > then_ms || p->probe_ms > then_ms;
}

static void judge(struct passive *p, uint64_t now_ms)
{
    const bool is_alive = is_heard_since(p, p->since_ms + PASSIVE_ALIVE_MS);

    forget_if_old(p, now_ms);
    if (p->evidence < PASSIVE_EVIDENCE ||
        now_ms - p->since_ms < (is_alive ? PASSIVE_WAIT_MS : PASSIVE_SILENT_MS))
        return;
    if (is_alive && (!p->several || p->suspicion == SUSPICION_SILENT)) { /* it is back, and may try again */
        forget(p);
        return;
    }
    if (p->suspicion == SUSPICION_NONE)
        p->tried_ms = now_ms;
    p->suspicion = is_alive ? SUSPICION_REFUSING : SUSPICION_SILENT;
    p->avoided = now_ms - p->tried_ms < PASSIVE_TRIAL_MS;
}

void passive_asked(struct backend *backend, const struct addr *client, uint64_t now_ms)
{
    struct passive *p = &backend->passive;

    forget_if_old(p, now_ms);
    const bool same_client = p->evidence && addr_equal(&p->last_client, client);
    if (p->evidence == 0)
        p->since_ms = now_ms;
    else if (!same_client)
        p->several = true;
    if (p->evidence < PASSIVE_EVIDENCE)
        p->evidence += same_client ? PASSIVE_SAME_CLIENT : PASSIVE_ANOTHER_CLIENT;
    p->last_client = *client;
    p->asked_ms = now_ms;
    if (p->suspicion != SUSPICION_NONE)
        p->tried_ms = now_ms;
    judge(p, now_ms);
}

void passive_answered(struct backend *backend, bool is_v1)
{
    backend->passive.answers_v1 |= is_v1;
    forget(&backend->passive);
}

void passive_forget(struct backend *backend)
{
    forget(&backend->passive);
}

/* One that was silent and is heard again is forgiven at once. */
static void revive(struct passive *p, uint64_t now_ms)
{
    if (p->suspicion == SUSPICION_SILENT)
        judge(p, now_ms);
}

void passive_heard(struct backend *backend, uint64_t now_ms)
{
    backend->passive.heard_ms = now_ms;
    revive(&backend->passive, now_ms);
}

void passive_probed(struct backend *backend, uint64_t now_ms)
{
    backend->passive.probe_ms = now_ms;
    revive(&backend->passive, now_ms);
}

void passive_review(struct pool *pool, uint64_t now_ms)
{
    for (size_t i = 0; i < pool->backend_count; i++)
        if (pool->backends[i].used)
            judge(&pool->backends[i].passive, now_ms);
}

const char *passive_suspicion_name(enum suspicion suspicion)
{
    static const char *const names[SUSPICION_COUNT] = {
        [SUSPICION_SILENT] = "silent",
        [SUSPICION_REFUSING] = "refusing",
    };

    return names[suspicion];
}
