/* One line of what `ikelb doctor` has found out: what was looked at, how it stands, and what to do. */
#pragma once

#define FINDING_TEXT_MAX 256 /* bytes, NUL included; longer texts are cut */

enum finding_status {
    FINDING_OK,
    FINDING_UNTESTED, /* and so neither good nor bad */
    FINDING_WARNING,  /* clients connect from here, but something is not as it should be */
    FINDING_FAILED,   /* clients fail */
};

struct finding {
    const char *id;    /* for scripts; static, like the other pointers */
    const char *title; /* for people */
    enum finding_status status;
    char text[FINDING_TEXT_MAX];
    const char *advice; /* what to do; NULL if there is nothing */
};

/* Sets all but id and title. */
void finding_set(struct finding *f, enum finding_status status, const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "ok", "not tested", "warning", "failed". */
const char *finding_status_name(enum finding_status status);
