#include "admin/explain_json.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "admin/clients_json.h"
#include "base/clock.h"
#include "ike/notify.h"
#include "lb/diagnosis.h"

#define HANDSHAKES_MAX (EXPLAIN_SESSIONS_MAX + JOURNAL_ENTRIES_MAX)

/* A session that lives, or has ended. */
struct handshake {
    const struct story *story;
    uint64_t as_of_ms; /* the story's times count back from here */
    bool has_ended;
};

enum part { PART_SCAN, PART_HEAD, PART_LISTS };

struct explanation {
    const struct dataplane *dp;
    struct addr address;
    uint64_t now_ms;
    uint64_t wall_ms;
    enum part part;
    uint32_t cursor; /* PART_SCAN: where in the table of pins */
    size_t list;     /* PART_LISTS: where in lists[] ... */
    size_t row;      /* ... and in that one */
    bool begun;
    bool is_complete;
    struct diagnosis_client clients[EXPLAIN_CLIENTS_MAX];
    uint32_t idle_ms[EXPLAIN_CLIENTS_MAX]; /* of each of them */
    size_t client_count;
    struct story sessions[EXPLAIN_SESSIONS_MAX];
    size_t session_count;
    uint32_t looked_at; /* by copy_tunnel() */
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];
    size_t entry_count;
    struct handshake handshakes[HANDSHAKES_MAX]; /* the youngest first */
    size_t handshake_count;
    const struct journal_entry *moves[JOURNAL_ENTRIES_MAX];
    size_t move_count;
    const struct journal_entry *refusals[JOURNAL_ENTRIES_MAX];
    size_t refusal_count;
};

/* The first of these sessions that is established takes the place of the last one copied. */
static void copy_tunnel(struct explanation *e, uint32_t session)
{
    for (; session != SESSION_NONE && e->looked_at < EXPLAIN_SESSIONS_LOOKED_AT; e->looked_at++) {
        const struct session *s = sessions_get(e->dp->bindings.tracking.sessions, session);
        if (s->story.stage == STAGE_ESTABLISHED) {
            e->sessions[e->session_count - 1] = s->story;
            return;
        }
        session = s->pin_next;
    }
}

/* The latest ones of a pin; handshakes that somebody forges in a client's name must not hide its tunnel. */
static void copy_sessions(struct explanation *e, struct diagnosis_client *client, uint32_t session)
{
    bool has_tunnel = false;

    while (session != SESSION_NONE && client->session_count < EXPLAIN_SESSIONS_A_PIN &&
           e->session_count < EXPLAIN_SESSIONS_MAX) {
        const struct session *s = sessions_get(e->dp->bindings.tracking.sessions, session);
        e->sessions[e->session_count++] = s->story;
        client->session_count++;
        has_tunnel |= s->story.stage == STAGE_ESTABLISHED;
        session = s->pin_next;
    }
    if (session != SESSION_NONE)
        e->is_complete = false;
    if (client->session_count && !has_tunnel)
        copy_tunnel(e, session);
}

/* Copies the pin and its sessions, as either may be gone in the next slice. */
static void add_client(struct explanation *e, uint32_t index)
{
    const struct bindings *b = &e->dp->bindings;

    if (e->client_count == EXPLAIN_CLIENTS_MAX) {
        e->is_complete = false;
        return;
    }
    const struct pin *pin = pins_get(b->pins, index);
    e->idle_ms[e->client_count] = clients_json_idle_ms(b, pin, e->now_ms);
    struct diagnosis_client *client = &e->clients[e->client_count++];
    *client = (struct diagnosis_client){.pin = *pin};
    copy_sessions(e, client, sessions_of_pin(b->tracking.sessions, index));
}

/* Looks for pins of the address in the next slots; true at the end of the table. */
static bool scan(struct explanation *e)
{
    struct pins *pins = e->dp->bindings.pins;
    uint32_t budget = EXPLAIN_SLICE_SLOTS;
    uint32_t index;

    while ((index = pins_next(pins, &e->cursor, &budget)) != PIN_NONE)
        if (addr_equal(&pins_get(pins, index)->client, &e->address))
            add_client(e, index);
    return budget > 0;
}

static uint64_t begun_ago_ms(const struct explanation *e, const struct handshake *h)
{
    const uint64_t later_ms = e->now_ms > h->as_of_ms ? e->now_ms - h->as_of_ms : 0;

    return later_ms + diagnosis_age_ms(h->as_of_ms, h->story->stage_ms[STAGE_NONE]);
}

static void add_handshake(struct explanation *e, const struct handshake *h)
{
    const uint64_t ago_ms = begun_ago_ms(e, h);
    size_t place = e->handshake_count++;

    for (; place && begun_ago_ms(e, &e->handshakes[place - 1]) > ago_ms; place--)
        e->handshakes[place] = e->handshakes[place - 1];
    e->handshakes[place] = *h;
}

/* A change of the port alone is in the journal twice, as leaving and as coming. */
static bool is_move(const struct journal_entry *entry)
{
    return entry->event == JOURNAL_LEFT ||
           (entry->event == JOURNAL_CAME && !addr_equal(&entry->client.addr, &entry->other.addr));
}

/* When all clients have been found. */
static void collect(struct explanation *e)
{
    e->entry_count = journal_find(e->dp->bindings.tracking.journal, &e->address, e->entries);
    for (size_t i = 0; i < e->session_count; i++)
        add_handshake(e, &(struct handshake){.story = &e->sessions[i], .as_of_ms = e->now_ms});
    for (size_t i = 0; i < e->entry_count; i++) {
        const struct journal_entry *entry = &e->entries[i];
        if (entry->event == JOURNAL_ENDED)
            add_handshake(
                e, &(struct handshake){.story = &entry->story, .as_of_ms = entry->at_ms, .has_ended = true});
        else if (entry->event == JOURNAL_REFUSED)
            e->refusals[e->refusal_count++] = entry;
        else if (is_move(entry))
            e->moves[e->move_count++] = entry;
    }
}

static json_t *seconds(uint64_t ms)
{
    return json_real((double)ms / 1000);
}

/* {"ago_s", "at"} of something so long ago, to which more may be added. */
static json_t *moment(const struct explanation *e, uint64_t ago_ms)
{
    char text[CLOCK_TEXT_MAX];

    return json_pack("{s:o, s:s}", "ago_s", seconds(ago_ms), "at",
                     clock_wall_format(e->wall_ms > ago_ms ? e->wall_ms - ago_ms : 0, text));
}

static uint64_t ago_ms_of(const struct explanation *e, uint64_t at_ms)
{
    return e->now_ms > at_ms ? e->now_ms - at_ms : 0;
}

static json_t *client_row(const struct explanation *e, size_t i)
{
    return clients_json_row(e->dp, &e->clients[i].pin, e->idle_ms[i], e->now_ms);
}

static json_t *stages_json(const struct explanation *e, const struct handshake *h)
{
    json_t *list = json_array();

    for (int stage = STAGE_INIT_SENT; list && stage < STAGE_COUNT; stage++) {
        if (!(h->story->reached & 1U << stage))
            continue;
        const uint64_t ago_ms =
            ago_ms_of(e, h->as_of_ms) + diagnosis_age_ms(h->as_of_ms, h->story->stage_ms[stage]);
        json_t *one = moment(e, ago_ms);
        json_object_set_new(one, "stage", json_string(stage_name((enum stage)stage)));
        json_array_append_new(list, one);
    }
    return list;
}

/* The 16 hexadecimal digits of an SPI, or null if it is zero. */
static json_t *spi_json(const struct ike_spi *spi)
{
    char text[2 * sizeof spi->bytes + 1];

    if (header_spi_is_zero(spi))
        return json_null();
    for (size_t i = 0; i < sizeof spi->bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", spi->bytes[i]);
    return json_string(text);
}

/* What the first message said is not known of a session whose first message we have not seen; and a server
 * announces nothing but in a full answer to a client that has announced it. */
static json_t *fragmentation_json(const struct story *story)
{
    const bool is_seen = !(story->flags & STORY_REKEYED);
    const bool client = story->flags & STORY_CLIENT_FRAGMENTATION;
    const bool is_answered = client && story->stage >= STAGE_INIT_ANSWERED;

    return json_pack("{s:o, s:o}", "client", is_seen ? json_boolean(client) : json_null(), "server",
                     is_seen && is_answered ? json_boolean(story->flags & STORY_SERVER_FRAGMENTATION)
                                            : json_null());
}

/* An error that was got over is none any more. */
static json_t *error_json(const struct story *story)
{
    const char *name = notify_name(story->error);

    if (story->error == 0 || story->stage >= STAGE_INIT_ANSWERED)
        return json_null();
    return name ? json_string(name) : json_sprintf("%u", story->error);
}

static json_t *handshake_row(const struct explanation *e, size_t i)
{
    const struct handshake *h = &e->handshakes[i];
    const struct story *story = h->story;
    const struct pool *pool = e->dp->bindings.pool;
    const uint64_t seen_ms = ago_ms_of(e, h->as_of_ms) + diagnosis_age_ms(h->as_of_ms, story->seen_ms);

    return json_pack(
        "{s:s, s:s, s:o, s:o, s:s, s:i, s:b, s:o, s:o, s:o, s:i, s:i, s:i, s:i, s:o, s:o, s:{s:b, s:b}, s:b, "
        "s:b}",
        "service", pool->services[story->service].name, "backend", pool->backends[story->backend].name,
        "spi_i", spi_json(&story->spi_i), "spi_r", spi_json(&story->spi_r), "stage",
        stage_name((enum stage)story->stage), "port", story->client_port, "ended", h->has_ended,
        "begun_ago_s", seconds(begun_ago_ms(e, h)), "last_ike_ago_s", seconds(seen_ms), "stages",
        stages_json(e, h), "init_count", story->init_count, "auth_count", story->auth_count, "failovers",
        story->failovers, "roams", story->roams, "error", error_json(story), "fragmentation",
        fragmentation_json(story), "large_messages", "in", (story->flags & STORY_LARGE_FROM_CLIENT) != 0,
        "out", (story->flags & STORY_LARGE_FROM_SERVER) != 0, "rekeyed", (story->flags & STORY_REKEYED) != 0,
        "conflict", (story->flags & STORY_CONFLICT) != 0);
}

static json_t *move_row(const struct explanation *e, size_t i)
{
    const struct journal_entry *entry = e->moves[i];
    const struct pool *pool = e->dp->bindings.pool;
    const bool has_left = entry->event == JOURNAL_LEFT;
    const struct endpoint *from = has_left ? &entry->client : &entry->other;
    const struct endpoint *to = has_left ? &entry->other : &entry->client;
    char from_text[ENDPOINT_TEXT_MAX];
    char to_text[ENDPOINT_TEXT_MAX];
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "service", pool->services[entry->service].name,
                            "backend", pool->backends[entry->story.backend].name, "from",
                            endpoint_format(from, from_text), "to", endpoint_format(to, to_text), "spi_i",
                            spi_json(&entry->story.spi_i), "spi_r", spi_json(&entry->story.spi_r));

    json_object_update_new(row, moment(e, ago_ms_of(e, entry->at_ms)));
    return row;
}

static json_t *refusal_row(const struct explanation *e, size_t i)
{
    const struct journal_entry *entry = e->refusals[i];
    json_t *row =
        json_pack("{s:s, s:s, s:I, s:o}", "service", e->dp->bindings.pool->services[entry->service].name,
                  "reason", drop_reason_name((enum drop_reason)entry->reason), "count",
                  (json_int_t)entry->count, "since_ago_s", seconds(ago_ms_of(e, entry->since_ms)));

    json_object_update_new(row, moment(e, ago_ms_of(e, entry->at_ms)));
    return row;
}

static json_t *head_json(const struct explanation *e)
{
    const struct diagnosis_facts facts = {
        .pool = e->dp->bindings.pool,
        .clients = e->clients,
        .client_count = e->client_count,
        .sessions = e->sessions,
        .session_count = e->session_count,
        .entries = e->entries,
        .entry_count = e->entry_count,
        .now_ms = e->now_ms,
    };
    struct diagnosis d;
    json_t *advice = json_array();

    diagnosis_make(&facts, &d);
    for (size_t i = 0; advice && i < d.advice_count; i++)
        json_array_append_new(advice, json_string(d.advice[i]));
    return json_pack("{s:s, s:b, s:s, s:o, s:o, s:b}", "verdict", diagnosis_word(d.verdict), "connected",
                     diagnosis_is_connected(d.verdict), "summary", d.summary, "ago_s",
                     d.verdict == DIAGNOSIS_NOTHING_SEEN ? json_null() : seconds(d.age_ms), "advice", advice,
                     "complete", e->is_complete);
}

/* The document's lists, in their order. */
static const struct {
    const char *name;
    size_t count_at; /* where in struct explanation the number of rows stands */
    json_t *(*row)(const struct explanation *e, size_t i);
} lists[] = {
    {"clients", offsetof(struct explanation, client_count), client_row},
    {"handshakes", offsetof(struct explanation, handshake_count), handshake_row},
    {"moves", offsetof(struct explanation, move_count), move_row},
    {"refusals", offsetof(struct explanation, refusal_count), refusal_row},
};

#define LIST_COUNT (sizeof lists / sizeof lists[0])

static size_t count_of(const struct explanation *e, size_t list)
{
    size_t count;

    memcpy(&count, (const char *)e + lists[list].count_at, sizeof count);
    return count;
}

static int write_lists(struct explanation *e, FILE *out)
{
    for (int rows = 0; rows < BODY_SLICE_ROWS; rows++) {
        if (e->row == 0)
            fprintf(out, ",\"%s\":[", lists[e->list].name);
        if (e->row < count_of(e, e->list)) {
            if (e->row)
                fputc(',', out);
            const int err = body_write_json(out, lists[e->list].row(e, e->row++), 0);
            if (err)
                return err;
        }
        if (e->row < count_of(e, e->list))
            continue;
        fputc(']', out);
        e->row = 0;
        if (++e->list == LIST_COUNT) {
            fputc('}', out);
            return BODY_END;
        }
    }
    return BODY_MORE;
}

/* While pins are looked for, blanks go out: each slice has to write something. */
static int next_slice(void *state, FILE *out)
{
    struct explanation *e = state;
    char text[ADDR_TEXT_MAX];
    int err;

    switch (e->part) {
    case PART_SCAN:
        if (!e->begun)
            fprintf(out, "{\"address\":\"%s\",", addr_format(&e->address, text));
        else
            fputc(' ', out);
        e->begun = true;
        if (scan(e))
            e->part = PART_HEAD;
        return BODY_MORE;
    case PART_HEAD:
        collect(e);
        err = body_write_json(out, head_json(e), JSON_EMBED);
        e->part = PART_LISTS;
        return err ? err : BODY_MORE;
    case PART_LISTS:
        break;
    }
    return write_lists(e, out);
}

int explain_json(const struct dataplane *dp, const struct addr *address, uint64_t now_ms, uint64_t wall_ms,
                 struct body *out)
{
    struct explanation *e = calloc(1, sizeof *e);

    if (!e)
        return -ENOMEM;
    e->dp = dp;
    e->address = *address;
    e->now_ms = now_ms;
    e->wall_ms = wall_ms;
    e->is_complete = true;
    *out = (struct body){.next = next_slice, .destroy = free, .state = e};
    return 0;
}
