/* The words in which a failed probe tells its cause. */
#pragma once

#include <stdint.h>

#define CAUSE_MAX 160 /* bytes, NUL included; longer texts are cut */

/* Formats a cause; returns `cause`. */
const char *cause_set(char cause[static CAUSE_MAX], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "WHERE: text of the errno", e.g. "TCP 443: Connection refused"; returns `cause`. */
const char *cause_set_errno(char cause[static CAUSE_MAX], const char *where, int error);

/* "1 s", "1.5 s", "500 ms"; returns `text`. */
#define CAUSE_DURATION_MAX 24
const char *cause_duration(uint32_t ms, char text[static CAUSE_DURATION_MAX]);
