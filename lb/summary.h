/* What has become of a client, by a verdict of lb/diagnosis.h, in plain words. */
#pragma once

#include "lb/diagnosis.h"

/* What the sentences depend on. */
struct summary_case {
    enum diagnosis_verdict verdict;
    bool is_running;                   /* an established session that has not ended */
    bool is_young;                     /* it may come further by itself */
    const struct story *story;         /* the handshake that decided the verdict; NULL: none */
    const struct journal_entry *entry; /* what decided it; NULL: the journal has nothing of it */
    const char *backend;               /* its name; not for NOTHING_SEEN and REFUSED */
    const char *connected_to;          /* by another tunnel; NULL: there is none */
};

/* Appends to diagnosis->summary. */
void summary_give(const struct summary_case *c, struct diagnosis *diagnosis);
