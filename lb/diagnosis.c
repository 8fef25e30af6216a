#include "lb/diagnosis.h"

#include "lb/advice.h"
#include "lb/summary.h"

/* A time so little before the clock's begin is one that comes from after the facts were gathered. */
#define FUTURE_MS 60000

/* A handshake that is younger may simply not have come further yet. */
#define UNDER_WAY_MS 3000

/* One thing that is known of the address. */
struct event {
    enum diagnosis_verdict verdict;
    uint64_t age_ms;
    bool is_running;                   /* an established session that has not ended */
    bool is_young;                     /* it may come further by itself */
    const struct story *story;         /* or NULL */
    const struct journal_entry *entry; /* or NULL */
    const struct pin *pin;             /* where nothing but the pin is left; or NULL */
};

/* The latest events so far; .verdict NOTHING_SEEN: none. */
struct findings {
    struct event failure;
    struct event success; /* running or not */
    struct event running;
};

uint64_t diagnosis_age_ms(uint64_t now_ms, uint32_t then_ms)
{
    const uint32_t age_ms = (uint32_t)now_ms - then_ms;

    return age_ms > UINT32_MAX - FUTURE_MS ? 0 : age_ms;
}

static enum diagnosis_verdict verdict_of_story(const struct story *story)
{
    switch ((enum stage)story->stage) {
    case STAGE_ESTABLISHED:
        return DIAGNOSIS_ESTABLISHED;
    case STAGE_AUTH_ANSWERED:
        return story->flags & STORY_REKEYED ? DIAGNOSIS_TUNNEL_KNOWN : DIAGNOSIS_AUTH_ANSWERED;
    case STAGE_AUTH_SENT:
        return DIAGNOSIS_AUTH_UNANSWERED;
    case STAGE_INIT_ANSWERED:
        return DIAGNOSIS_ANSWERED_NO_AUTH;
    case STAGE_INIT_SENT:
        if (story->flags & STORY_ASKED_AGAIN)
            return DIAGNOSIS_ANSWERED_NO_AUTH;
        /* After the round that the server asked for, the first message came again: that one counts. */
        if (story->error || (story->flags & STORY_ANSWERED && story->init_count < 2))
            return DIAGNOSIS_INIT_REJECTED;
        return DIAGNOSIS_INIT_UNANSWERED;
    case STAGE_NONE:
    case STAGE_COUNT:
        break;
    }
    return DIAGNOSIS_TUNNEL_KNOWN;
}

/* Nothing has failed as far as anybody can see from outside: no failure before it counts any more. */
static bool is_progress(enum diagnosis_verdict verdict)
{
    return verdict == DIAGNOSIS_AUTH_ANSWERED || diagnosis_is_connected(verdict);
}

static struct event event_of_story(const struct story *story, uint64_t now_ms)
{
    const enum diagnosis_verdict verdict = verdict_of_story(story);
    const bool is_success = is_progress(verdict);

    return (struct event){
        .verdict = verdict,
        .age_ms = diagnosis_age_ms(now_ms, is_success ? story->stage_ms[story->stage] : story->seen_ms),
        .is_young = !is_success && verdict != DIAGNOSIS_INIT_REJECTED &&
                    diagnosis_age_ms(now_ms, story->stage_ms[story->stage]) < UNDER_WAY_MS,
        .story = story,
    };
}

static struct event event_of_entry(const struct journal_entry *entry, uint64_t now_ms)
{
    const uint64_t age_ms = now_ms > entry->at_ms ? now_ms - entry->at_ms : 0;
    struct event event = {.age_ms = age_ms, .entry = entry};

    switch (entry->event) {
    case JOURNAL_ENDED:
        event = event_of_story(&entry->story, entry->at_ms);
        event.age_ms += age_ms;
        event.is_young = false;
        event.entry = entry;
        break;
    case JOURNAL_LEFT:
        event.verdict =
            addr_equal(&entry->client.addr, &entry->other.addr) ? DIAGNOSIS_NOTHING_SEEN : DIAGNOSIS_MOVED;
        break;
    case JOURNAL_CAME: /* the session itself tells the rest */
        event.verdict = DIAGNOSIS_NOTHING_SEEN;
        break;
    case JOURNAL_REFUSED:
        event.verdict = DIAGNOSIS_REFUSED;
        break;
    }
    return event;
}

/* Where the table of sessions had no room, and for tunnels from before our time, the pin alone knows. */
static struct event event_of_pin(const struct pin *pin, uint64_t now_ms)
{
    static const enum diagnosis_verdict verdicts[STAGE_COUNT] = {
        [STAGE_NONE] = DIAGNOSIS_TUNNEL_KNOWN,
        [STAGE_INIT_SENT] = DIAGNOSIS_INIT_UNANSWERED,
        [STAGE_INIT_ANSWERED] = DIAGNOSIS_ANSWERED_NO_AUTH,
        [STAGE_AUTH_SENT] = DIAGNOSIS_AUTH_UNANSWERED,
        [STAGE_AUTH_ANSWERED] = DIAGNOSIS_AUTH_ANSWERED,
        [STAGE_ESTABLISHED] = DIAGNOSIS_ESTABLISHED,
    };
    const bool is_proven = pin->flags & PIN_CONFIRMED;
    const bool is_foreign = pin->stage == STAGE_NONE && !is_proven;

    return (struct event){
        .verdict = is_foreign ? DIAGNOSIS_TUNNEL_UNANSWERED : verdicts[pin->stage],
        .age_ms = diagnosis_age_ms(now_ms, is_proven ? pin->created_ms : pin->seen_ms),
        .is_running = pin->stage == STAGE_ESTABLISHED,
        .pin = pin,
    };
}

/* In one millisecond the refusal was the later one: what was let in before it had used up the tokens. */
static void consider(struct event *place, const struct event *event)
{
    const bool is_tied = event->age_ms == place->age_ms && event->verdict == DIAGNOSIS_REFUSED;

    if (place->verdict == DIAGNOSIS_NOTHING_SEEN || event->age_ms < place->age_ms || is_tied)
        *place = *event;
}

static void add(struct findings *findings, const struct event *event)
{
    if (event->verdict == DIAGNOSIS_NOTHING_SEEN)
        return;
    if (event->is_running)
        consider(&findings->running, event);
    consider(is_progress(event->verdict) ? &findings->success : &findings->failure, event);
}

/* Has the journal a session of that service? Then what the pin remembers is about it. */
static bool has_entry(const struct diagnosis_facts *facts, uint16_t service)
{
    for (size_t i = 0; i < facts->entry_count; i++) {
        const struct journal_entry *e = &facts->entries[i];
        if (e->service == service && e->event != JOURNAL_REFUSED)
            return true;
    }
    return false;
}

static struct findings find(const struct diagnosis_facts *facts)
{
    struct findings findings = {0};

    for (size_t i = 0; i < facts->session_count; i++) {
        struct event event = event_of_story(&facts->sessions[i], facts->now_ms);
        event.is_running = event.verdict == DIAGNOSIS_ESTABLISHED;
        add(&findings, &event);
    }
    for (size_t i = 0; i < facts->entry_count; i++) {
        const struct event event = event_of_entry(&facts->entries[i], facts->now_ms);
        add(&findings, &event);
    }
    for (size_t i = 0; i < facts->client_count; i++) {
        const struct diagnosis_client *client = &facts->clients[i];
        if (client->session_count || client->pin.flags & PIN_LEFT || has_entry(facts, client->pin.service))
            continue;
        const struct event event = event_of_pin(&client->pin, facts->now_ms);
        add(&findings, &event);
    }
    return findings;
}

static uint16_t backend_of(const struct event *event)
{
    if (event->story)
        return event->story->backend;
    if (event->pin)
        return event->pin->backend;
    return event->entry->story.backend; /* JOURNAL_LEFT */
}

static uint16_t service_of(const struct event *event)
{
    if (event->story)
        return event->story->service;
    return event->pin ? event->pin->service : event->entry->service;
}

static const char *backend_name(const struct diagnosis_facts *facts, const struct event *event)
{
    return facts->pool->backends[backend_of(event)].name;
}

/* `connected`: also of the address, and connected; or NULL. */
static void summarize(const struct diagnosis_facts *facts, const struct event *event,
                      const struct event *connected, struct diagnosis *out)
{
    struct summary_case c = {
        .verdict = event->verdict,
        .is_running = event->is_running,
        .is_young = event->is_young,
        .story = event->story,
        .entry = event->entry,
        .connected_to = connected ? backend_name(facts, connected) : NULL,
    };

    if (event->verdict != DIAGNOSIS_NOTHING_SEEN && event->verdict != DIAGNOSIS_REFUSED)
        c.backend = backend_name(facts, event);
    summary_give(&c, out);
}

static void advise(const struct diagnosis_facts *facts, const struct event *event, struct diagnosis *out)
{
    struct advice_case c = {
        .verdict = event->verdict,
        .story = event->story,
        .reason = event->entry ? (enum drop_reason)event->entry->reason : (enum drop_reason)0,
        .suspicion =
            event->story ? facts->pool->backends[event->story->backend].passive.suspicion : SUSPICION_NONE,
    };

    if (event->verdict != DIAGNOSIS_NOTHING_SEEN)
        c.mode = facts->pool->services[service_of(event)].mode;
    advice_give(&c, out);
}

void diagnosis_make(const struct diagnosis_facts *facts, struct diagnosis *out)
{
    const struct findings findings = find(facts);
    const struct event *success = &findings.success;
    const struct event *failure = &findings.failure;
    const struct event *running = &findings.running;
    const bool any_success = success->verdict != DIAGNOSIS_NOTHING_SEEN;
    const bool has_failed = failure->verdict != DIAGNOSIS_NOTHING_SEEN;
    const bool failed_since = has_failed && (!any_success || failure->age_ms < success->age_ms);
    const struct event *connected = running->is_running ? running : success;
    const struct event *event = failed_since ? failure : connected;

    *out = (struct diagnosis){.verdict = event->verdict, .age_ms = event->age_ms};
    summarize(facts, event, failed_since && running->is_running ? running : NULL, out);
    advise(facts, event, out);
}

const char *diagnosis_word(enum diagnosis_verdict verdict)
{
    static const char *const words[DIAGNOSIS_COUNT] = {
#define DIAGNOSIS_WORD(name, word, connected) [DIAGNOSIS_##name] = (word),
        DIAGNOSIS_LIST(DIAGNOSIS_WORD)
#undef DIAGNOSIS_WORD
    };

    return words[verdict];
}

bool diagnosis_is_connected(enum diagnosis_verdict verdict)
{
    static const bool connected[DIAGNOSIS_COUNT] = {
#define DIAGNOSIS_CONNECTED(name, word, is_connected) [DIAGNOSIS_##name] = (is_connected),
        DIAGNOSIS_LIST(DIAGNOSIS_CONNECTED)
#undef DIAGNOSIS_CONNECTED
    };

    return connected[verdict];
}
