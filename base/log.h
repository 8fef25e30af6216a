/* The log: one line an event on standard error, as text or as one JSON object; levels as in syslog. */
#pragma once

#include <stdio.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log {
    enum log_level level; /* the finest level that is written */
    enum log_format format;
    FILE *out;
};

/* Writes one line if `level` is on. A NULL log is silent, so that tests need none. */
void log_write(const struct log *log, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(log, ...) log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(log, ...)  log_write(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(log, ...)  log_write(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__)
