/*
 * What `ikelb top` remembers of the last minute: the daemon counts from its start, and people want to know
 * what happens now.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* What is counted of each backend. The handshake's stages come last, in their order. */
enum top_count {
    TOP_NEW,
    TOP_ANSWERED,
    TOP_UNANSWERED,
    TOP_INIT_SENT,
    TOP_INIT_ANSWERED,
    TOP_AUTH_SENT,
    TOP_AUTH_ANSWERED,
    TOP_ESTABLISHED,
    TOP_COUNT_COUNT,
};

#define TOP_PERIOD_S     60U /* as far back as it goes */
#define TOP_NEW_PERIOD_S 10U /* new clients a second are those of this time */

/* What has happened; all zero for a backend that has been seen once only. */
struct top_trend {
    double new_per_s;
    uint64_t counts[TOP_COUNT_COUNT]; /* within TOP_PERIOD_S */
};

struct top_history;

/* NULL without memory. */
struct top_history *top_history_create(void);
void top_history_destroy(struct top_history *history);

/*
 * Takes a status document (which may go afterwards) of that time. Backends that are not in it are forgotten,
 * and what a backend did before its counters began anew is, too. About one document a second is kept. 0, or
 * -ENOMEM, after which it knows nothing.
 */
int top_history_add(struct top_history *history, const json_t *status, uint64_t now_ms);

/* What that backend did. */
struct top_trend top_history_of(const struct top_history *history, const char *service, const char *backend);

/* Handshakes left unanswered, in per cent of those with an outcome; -1 if there were none. */
int top_history_unanswered(const struct top_trend *trend);
