/* What an administrator can do about a verdict of lb/diagnosis.h, in plain words. */
#pragma once

#include "lb/diagnosis.h"
#include "lb/drop.h"

/* What the advice depends on. */
struct advice_case {
    enum diagnosis_verdict verdict;
    const struct story *story; /* the handshake that decided the verdict; NULL: none */
    enum drop_reason reason;   /* DIAGNOSIS_REFUSED */
    enum config_mode mode;     /* of the service; not for DIAGNOSIS_NOTHING_SEEN */
    enum suspicion suspicion;  /* of the backend; SUSPICION_NONE where there is no story */
};

/* Appends to diagnosis->advice. */
void advice_give(const struct advice_case *c, struct diagnosis *diagnosis);
