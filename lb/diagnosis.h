/*
 * Why a client does or doesn't connect: from what is known of its address to a verdict in plain words, with
 * what to do. A pure function: no clock, no tables of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb/pool.h"
#include "persist/journal.h"
#include "persist/pins.h"

/*
 * X(name, word, connected): the word is what users and scripts see; `connected` says that the client is or
 * was served. A tunnel is "known" if its handshake was before our time.
 */
#define DIAGNOSIS_LIST(X)                                                                                    \
    X(NOTHING_SEEN, "nothing-seen", false)                                                                   \
    X(INIT_UNANSWERED, "init-unanswered", false)                                                             \
    X(INIT_REJECTED, "init-rejected", false)       /* the server has answered, with an error */              \
    X(ANSWERED_NO_AUTH, "answered-no-auth", false) /* the client did not go on after the answer */           \
    X(AUTH_UNANSWERED, "auth-unanswered", false)                                                             \
    X(REFUSED, "refused", false)                     /* by ikelb itself */                                   \
    X(TUNNEL_UNANSWERED, "tunnel-unanswered", false) /* tunnel traffic of the client, and no answer */       \
    X(AUTH_ANSWERED, "auth-answered", false)         /* no tunnel traffic yet: idle, or not let in */        \
    X(ESTABLISHED, "established", true)                                                                      \
    X(MOVED, "moved", true) /* the session has gone on to another address */                                 \
    X(TUNNEL_KNOWN, "tunnel-known", true)

enum diagnosis_verdict {
#define DIAGNOSIS_ENUM(name, word, connected) DIAGNOSIS_##name,
    DIAGNOSIS_LIST(DIAGNOSIS_ENUM)
#undef DIAGNOSIS_ENUM
        DIAGNOSIS_COUNT
};

/* A pin of the address, and how many of its sessions are among those given. */
struct diagnosis_client {
    struct pin pin;
    uint32_t session_count;
};

/* What is known of one address, at all services. */
struct diagnosis_facts {
    const struct pool *pool;
    const struct diagnosis_client *clients;
    size_t client_count;
    const struct story *sessions; /* of sessions that have not ended, of all those clients, in any order */
    size_t session_count;
    const struct journal_entry *entries; /* of the address */
    size_t entry_count;
    uint64_t now_ms;
};

#define DIAGNOSIS_SUMMARY_MAX 512
#define DIAGNOSIS_ADVICE_MAX  8

struct diagnosis {
    enum diagnosis_verdict verdict;
    uint64_t age_ms;                          /* of what decided it; 0 for NOTHING_SEEN */
    char summary[DIAGNOSIS_SUMMARY_MAX];      /* one sentence or some */
    const char *advice[DIAGNOSIS_ADVICE_MAX]; /* what to do, the likeliest first; static */
    size_t advice_count;
};

/*
 * The verdict. The latest event decides, but a tunnel that is established outranks all failures before it,
 * and where one fails beside it the summary says both.
 */
void diagnosis_make(const struct diagnosis_facts *facts, struct diagnosis *out);

/* How long ago a time in a story was, as of `now_ms`; right for 49 days. What is yet to come is now. */
uint64_t diagnosis_age_ms(uint64_t now_ms, uint32_t then_ms);

/* "init-unanswered" and so on. Static. */
const char *diagnosis_word(enum diagnosis_verdict verdict);

/* Is or was the client served? */
bool diagnosis_is_connected(enum diagnosis_verdict verdict);
