#include "lb/passive.h"

static bool is_suspect(const struct passive *p, uint64_t now_ms)
{
    return p->evidence >= PASSIVE_EVIDENCE && now_ms - p->since_ms >= PASSIVE_WAIT_MS;
}

static void judge(struct passive *p, uint64_t now_ms)
{
    if (!is_suspect(p, now_ms))
        return;
    const uint64_t alive_ms = p->since_ms + PASSIVE_ALIVE_MS;
    const bool is_alive = p->heard_ms > alive_ms || p->probe_ms > alive_ms;
    if (p->suspicion == SUSPICION_NONE)
        p->tried_ms = now_ms;
    p->suspicion = is_alive ? SUSPICION_REFUSING : SUSPICION_SILENT;
    p->avoided = now_ms - p->tried_ms < PASSIVE_TRIAL_MS;
}

void passive_asked(struct backend *backend, const struct addr *client, uint64_t now_ms)
{
    struct passive *p = &backend->passive;
    const bool same_client = p->evidence && addr_equal(&p->last_client, client);

    if (p->evidence == 0)
        p->since_ms = now_ms;
    if (p->evidence < PASSIVE_EVIDENCE)
        p->evidence += same_client ? PASSIVE_SAME_CLIENT : PASSIVE_ANOTHER_CLIENT;
    p->last_client = *client;
    if (p->suspicion != SUSPICION_NONE)
        p->tried_ms = now_ms;
    judge(p, now_ms);
}

void passive_answered(struct backend *backend)
{
    struct passive *p = &backend->passive;

    p->evidence = 0;
    p->suspicion = SUSPICION_NONE;
    p->avoided = false;
}

void passive_heard(struct backend *backend, uint64_t now_ms)
{
    backend->passive.heard_ms = now_ms;
}

void passive_probed(struct backend *backend, uint64_t now_ms)
{
    backend->passive.probe_ms = now_ms;
}

void passive_review(struct pool *pool, uint64_t now_ms)
{
    for (size_t i = 0; i < pool->backend_count; i++)
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
