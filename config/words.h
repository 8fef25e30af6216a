/* The words of the file for each enum, in the order of the enum's values. */
#pragma once

#include <stddef.h>

struct words {
    const char *const *names;
    size_t count;
};

extern const struct words words_flag; /* the values are those of a bool */
extern const struct words words_mode;
extern const struct words words_schedule;
extern const struct words words_state;
extern const struct words words_probe;
extern const struct words words_fastpath;
extern const struct words words_log_level;
extern const struct words words_log_format;
