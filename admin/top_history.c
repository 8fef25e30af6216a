#include "admin/top_history.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/field.h"

/* About one document a second, so many that a whole period lies between the first and the last. */
#define APART_LEAST_MS 900U
#define PERIOD_MS      (UINT64_C(1000) * TOP_PERIOD_S)
#define NEW_PERIOD_MS  (UINT64_C(1000) * TOP_NEW_PERIOD_S)
#define SAMPLES_MAX    (TOP_PERIOD_S * 1000 / APART_LEAST_MS + 2)

/* SERVICE/BACKEND of the longest names that the daemon has, with room to spare. */
#define KEY_MAX 512

struct sample {
    uint64_t at_ms;
    uint64_t counts[TOP_COUNT_COUNT];
};

/* A backend's samples, the oldest first. */
struct track {
    size_t count;
    struct sample samples[SAMPLES_MAX];
};

struct top_history {
    json_t *index; /* "SERVICE/BACKEND" -> its place in `tracks` */
    struct track **tracks;
    size_t count;
};

static const char *key_of(const char *service, const char *backend, char key[static KEY_MAX])
{
    snprintf(key, KEY_MAX, "%s/%s", service, backend);
    return key;
}

static void forget(struct top_history *history)
{
    for (size_t i = 0; i < history->count; i++)
        free(history->tracks[i]);
    free(history->tracks);
    json_decref(history->index);
    *history = (struct top_history){0};
}

struct top_history *top_history_create(void)
{
    return calloc(1, sizeof(struct top_history));
}

void top_history_destroy(struct top_history *history)
{
    if (history)
        forget(history);
    free(history);
}

/* The place of a track, or NULL. */
static struct track **find(const struct top_history *history, const char *key)
{
    const json_t *place = json_object_get(history->index, key);

    return place ? &history->tracks[json_integer_value(place)] : NULL;
}

static struct sample sample_of(const json_t *backend, uint64_t now_ms)
{
    const json_t *handshakes = json_object_get(backend, "handshakes");

    return (struct sample){
        .at_ms = now_ms,
        .counts =
            {
                [TOP_NEW] = field_number(backend, "new_clients_total"),
                [TOP_ANSWERED] = field_number(handshakes, "answered"),
                [TOP_UNANSWERED] = field_number(handshakes, "unanswered"),
                [TOP_INIT_SENT] = field_number(handshakes, "init_sent"),
                [TOP_INIT_ANSWERED] = field_number(handshakes, "init_answered"),
                [TOP_AUTH_SENT] = field_number(handshakes, "auth_sent"),
                [TOP_AUTH_ANSWERED] = field_number(handshakes, "auth_answered"),
                [TOP_ESTABLISHED] = field_number(handshakes, "established"),
            },
    };
}

/* Counters that go back are those of a daemon that was started anew. */
static bool goes_back(const struct sample *before, const struct sample *sample)
{
    for (int i = 0; i < TOP_COUNT_COUNT; i++)
        if (sample->counts[i] < before->counts[i])
            return true;
    return false;
}

static void add_sample(struct track *track, const struct sample *sample)
{
    if (track->count && goes_back(&track->samples[track->count - 1], sample))
        track->count = 0;
    if (track->count && sample->at_ms - track->samples[track->count - 1].at_ms < APART_LEAST_MS)
        return;
    while (track->count == SAMPLES_MAX ||
           (track->count && sample->at_ms - track->samples[0].at_ms > PERIOD_MS)) {
        track->count--;
        memmove(track->samples, track->samples + 1, track->count * sizeof *track->samples);
    }
    track->samples[track->count++] = *sample;
}

/* Moves a backend's track from `old`, or makes one, and adds what the document says. */
static int take(struct top_history *history, const struct top_history *old, const char *key,
                const struct sample *sample)
{
    struct track **known = find(old, key);
    struct track *track;

    if (find(history, key)) /* named twice: no daemon does that */
        return 0;
    track = known ? *known : calloc(1, sizeof *track);
    if (!track)
        return -ENOMEM;
    if (json_object_set_new_nocheck(history->index, key, json_integer((json_int_t)history->count)) != 0) {
        if (!known)
            free(track);
        return -ENOMEM;
    }
    if (known)
        *known = NULL;
    history->tracks[history->count++] = track;
    add_sample(track, sample);
    return 0;
}

static int take_all(struct top_history *history, const struct top_history *old, const json_t *services,
                    uint64_t now_ms)
{
    size_t s, b;
    json_t *service, *backend;
    char key[KEY_MAX];

    json_array_foreach(services, s, service)
    {
        json_array_foreach(json_object_get(service, "backends"), b, backend)
        {
            const struct sample sample = sample_of(backend, now_ms);
            key_of(field_text(service, "name"), field_text(backend, "name"), key);
            if (take(history, old, key, &sample) != 0)
                return -ENOMEM;
        }
    }
    return 0;
}

int top_history_add(struct top_history *history, const json_t *status, uint64_t now_ms)
{
    const json_t *services = json_object_get(status, "services");
    struct top_history old = *history;
    int err = -ENOMEM;

    *history = (struct top_history){
        .index = json_object(),
        .tracks = calloc(field_backends(services) + 1, sizeof *history->tracks),
    };
    if (history->index && history->tracks)
        err = take_all(history, &old, services, now_ms);
    forget(&old);
    if (err)
        forget(history);
    return err;
}

/* The oldest sample that is no older than that; the last at the latest. */
static const struct sample *since(const struct track *track, uint64_t period_ms)
{
    const struct sample *last = &track->samples[track->count - 1];
    const struct sample *from = track->samples;

    while (last->at_ms - from->at_ms > period_ms)
        from++;
    return from;
}

struct top_trend top_history_of(const struct top_history *history, const char *service, const char *backend)
{
    char key[KEY_MAX];
    struct track **found = find(history, key_of(service, backend, key));
    struct top_trend trend = {0};

    if (!found)
        return trend;
    const struct sample *last = &(*found)->samples[(*found)->count - 1];
    const struct sample *first = (*found)->samples;
    const struct sample *recent = since(*found, NEW_PERIOD_MS);
    for (int i = 0; i < TOP_COUNT_COUNT; i++)
        trend.counts[i] = last->counts[i] - first->counts[i];
    if (last->at_ms > recent->at_ms)
        trend.new_per_s = (double)(last->counts[TOP_NEW] - recent->counts[TOP_NEW]) * 1000 /
                          (double)(last->at_ms - recent->at_ms);
    return trend;
}

int top_history_unanswered(const struct top_trend *trend)
{
    const uint64_t all = trend->counts[TOP_ANSWERED] + trend->counts[TOP_UNANSWERED];

    /* Rounded up, so that one unanswered handshake of very many is not none. */
    return all ? (int)((trend->counts[TOP_UNANSWERED] * 100 + all - 1) / all) : -1;
}
