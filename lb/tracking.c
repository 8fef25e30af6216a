#include "lb/tracking.h"

#include <errno.h>

/* One packet may end so many sessions. */
#define END_MAX 32

/* Steps of a sweep that ending a session counts for. */
#define END_STEPS 16

/* Of UDP: what is larger does not fit into one IPv4 packet of 1,500 bytes. */
#define ONE_PACKET_MAX 1472

int tracking_init(struct tracking *t, struct pool *pool, struct pins *pins, uint32_t max_clients,
                  uint32_t unconfirmed_max, uint64_t seed)
{
    *t = (struct tracking){
        .pool = pool,
        .pins = pins,
        .sessions = sessions_create(max_clients, unconfirmed_max, max_clients, seed),
        .journal = journal_create(seed),
    };
    if (t->sessions && t->journal)
        return 0;
    tracking_deinit(t);
    return -ENOMEM;
}

void tracking_deinit(struct tracking *t)
{
    sessions_destroy(t->sessions);
    journal_destroy(t->journal);
    *t = (struct tracking){0};
}

static struct handshake_counts *counts_of(const struct tracking *t, const struct story *story)
{
    return &t->pool->backends[story->backend].handshakes;
}

void tracking_forget(struct tracking *t, uint32_t index)
{
    t->pool->backends[sessions_get(t->sessions, index)->story.backend].sessions--;
    sessions_remove(t->sessions, index);
}

uint32_t tracking_begin(struct tracking *t, uint32_t pin, const struct story *story, bool confirmed,
                        uint64_t now_ms)
{
    uint32_t index = SESSION_NONE;

    if (!sessions_has_room(t->sessions, confirmed) && sessions_unconfirmed_count(t->sessions))
        tracking_end(t, sessions_oldest_unconfirmed(t->sessions), now_ms);
    if (sessions_insert(t->sessions, pin, story, confirmed, &index) != 0)
        return SESSION_NONE;
    t->pool->backends[story->backend].sessions++;
    return index;
}

void tracking_set_stage(struct tracking *t, uint32_t pin, enum stage stage)
{
    struct pin *p = pins_get(t->pins, pin);
    uint32_t *clients_at = t->pool->backends[p->backend].clients_at;

    clients_at[p->stage]--;
    clients_at[stage]++;
    p->stage = (uint8_t)stage;
}

void tracking_reach(struct tracking *t, uint32_t session, enum stage stage, uint64_t now_ms)
{
    struct session *s = sessions_get(t->sessions, session);
    const bool is_first = !(s->story.reached & 1U << stage);

    if (is_first && !(s->story.flags & STORY_REKEYED))
        counts_of(t, &s->story)->reached[stage]++;
    const bool is_furthest = story_reach(&s->story, stage, now_ms);
    if (is_furthest && sessions_of_pin(t->sessions, s->pin) == session)
        tracking_set_stage(t, s->pin, (enum stage)s->story.stage);
}

void tracking_answered(struct tracking *t, uint32_t session, uint16_t backend)
{
    struct story *story = &sessions_get(t->sessions, session)->story;

    if (!(story->flags & STORY_ANSWERED))
        t->pool->backends[backend].handshakes.answered_total++;
    story->flags |= STORY_ANSWERED;
}

void tracking_set_backend(struct tracking *t, uint32_t session, uint16_t backend)
{
    struct story *story = &sessions_get(t->sessions, session)->story;

    t->pool->backends[story->backend].sessions--;
    t->pool->backends[backend].sessions++;
    story->backend = backend;
}

void tracking_fail_over(struct tracking *t, uint32_t session, uint16_t backend)
{
    struct story *story = &sessions_get(t->sessions, session)->story;

    counts_of(t, story)->unanswered_total++;
    t->pool->services[story->service].failovers_total++;
    story->failovers = (uint8_t)(story->failovers + (story->failovers < UINT8_MAX));
    tracking_set_backend(t, session, backend);
    counts_of(t, story)->reached[STAGE_INIT_SENT]++;
}

void tracking_note_size(struct tracking *t, uint32_t session, uint16_t backend, enum story_flag from,
                        size_t len)
{
    struct handshake_counts *counts = &t->pool->backends[backend].handshakes;

    if (len <= ONE_PACKET_MAX)
        return;
    sessions_get(t->sessions, session)->story.flags |= (uint16_t)from;
    if (from == STORY_LARGE_FROM_CLIENT)
        counts->large_in_total++;
    else
        counts->large_out_total++;
}

static void count_end(const struct tracking *t, const struct story *story)
{
    struct handshake_counts *counts = counts_of(t, story);

    if (story->flags & STORY_REKEYED)
        return;
    if (!(story->flags & STORY_ANSWERED))
        counts->unanswered_total++;
    else if (story->stage == STAGE_INIT_ANSWERED)
        counts->stalled_total++;
    else if (story->stage == STAGE_AUTH_SENT)
        counts->auth_unanswered_total++;
}

/* A rekeyed SA that a younger one has followed is no news. */
static bool is_news(const struct tracking *t, const struct session *session)
{
    return !(session->story.flags & STORY_REKEYED) || session->pin_prev == SESSION_NONE ||
           !(sessions_get(t->sessions, session->pin_prev)->story.flags & STORY_REKEYED);
}

void tracking_end(struct tracking *t, uint32_t index, uint64_t now_ms)
{
    const struct session *session = sessions_get(t->sessions, index);
    const struct journal_entry entry = {
        .event = JOURNAL_ENDED,
        .client = {.addr = pins_get(t->pins, session->pin)->client, .port = session->story.client_port},
        .service = session->story.service,
        .at_ms = now_ms,
        .story = session->story,
    };

    count_end(t, &session->story);
    if (is_news(t, session))
        journal_note(t->journal, &entry);
    tracking_forget(t, index);
}

bool tracking_end_of_pin(struct tracking *t, uint32_t pin, uint64_t now_ms)
{
    for (int ended = 0; ended < END_MAX; ended++) {
        const uint32_t session = sessions_of_pin(t->sessions, pin);
        if (session == SESSION_NONE)
            return true;
        tracking_end(t, session, now_ms);
    }
    return sessions_of_pin(t->sessions, pin) == SESSION_NONE;
}

void tracking_chosen(struct tracking *t, uint32_t chosen)
{
    const struct session *session = sessions_get(t->sessions, chosen);

    if (session->story.failovers == 0)
        return;
    for (uint32_t index = sessions_of_pin(t->sessions, session->pin), left = END_MAX;
         index != SESSION_NONE && left; left--) {
        const struct session *other = sessions_get(t->sessions, index);
        const uint32_t next = other->pin_next;
        if (index != chosen && header_spi_equal(&other->story.spi_i, &session->story.spi_i))
            tracking_forget(t, index);
        index = next;
    }
}

void tracking_refused(struct tracking *t, uint16_t service, const struct endpoint *client, uint16_t reason,
                      uint64_t now_ms)
{
    const struct journal_entry entry = {
        .event = JOURNAL_REFUSED,
        .client = *client,
        .service = service,
        .reason = reason,
        .count = 1,
        .at_ms = now_ms,
        .since_ms = now_ms,
    };

    journal_note(t->journal, &entry);
}

static bool is_due(uint64_t now_ms, uint32_t since_ms, uint32_t timeout_ms)
{
    return (uint32_t)now_ms - since_ms >= timeout_ms;
}

/*
 * An unconfirmed session lives for the half-open timeout. A confirmed one lives as its pin does: a tunnel may
 * need no IKE for hours. Only beside a younger one of its pin, which most likely has followed it by rekeying,
 * it ends after the idle timeout without an IKE message, or sooner if it never carried a tunnel: whoever
 * fails to authenticate again and again must not fill the table. A removed backend waits for nothing but what
 * is left of its clients, and a session of a pin that has moved is not.
 */
static bool session_is_due(const struct tracking *t, const struct session *session, uint64_t now_ms)
{
    const struct story *story = &session->story;
    const struct config_persistence *limits = &t->pool->services[story->service].persistence;

    if (pool_is_left(&t->pool->backends[story->backend]))
        return true;
    if (!session->confirmed)
        return is_due(now_ms, story->stage_ms[STAGE_NONE], limits->half_open_timeout_ms);
    const uint32_t timeout_ms =
        story->stage == STAGE_ESTABLISHED ? limits->idle_timeout_ms : limits->half_open_timeout_ms;
    return session->pin_prev != SESSION_NONE && is_due(now_ms, story->seen_ms, timeout_ms);
}

void tracking_sweep(struct tracking *t, uint64_t now_ms, uint32_t steps)
{
    uint32_t budget = steps / 2;
    uint32_t index;

    for (uint32_t left = steps / 2 / END_STEPS + 1; left; left--) {
        index = sessions_oldest_unconfirmed(t->sessions);
        if (index == SESSION_NONE || !session_is_due(t, sessions_get(t->sessions, index), now_ms))
            break;
        tracking_end(t, index, now_ms);
    }
    while ((index = sessions_next(t->sessions, &t->hand, &budget)) != SESSION_NONE) {
        if (!session_is_due(t, sessions_get(t->sessions, index), now_ms))
            continue;
        tracking_end(t, index, now_ms);
        budget -= budget < END_STEPS ? budget : END_STEPS;
    }
    if (budget)
        t->hand = 0;
}
