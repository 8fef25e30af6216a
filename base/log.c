#include "base/log.h"

#include <stdarg.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 1024

static const char *const LEVEL_NAMES[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

/* RFC 8259 section 7: quote, backslash and control characters must be escaped; the rest passes. */
static void put_json_string(FILE *out, const char *s)
{
    for (; *s; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
}

/* A message may quote text from outside: a control character must not forge a line or move a terminal's
 * cursor. */
static void put_plain(FILE *out, const char *s)
{
    for (; *s; s++)
        fputc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, out);
}

void log_write(const struct log *log, enum log_level level, const char *fmt, ...)
{
    char message[LINE_MAX_BYTES];
    char when[CLOCK_TEXT_MAX];
    va_list args;

    if (!log || level > log->level)
        return;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    clock_wall_text(when);

    if (log->format == LOG_FORMAT_JSON) {
        fprintf(log->out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when, LEVEL_NAMES[level]);
        put_json_string(log->out, message);
        fputs("\"}\n", log->out);
    } else {
        fprintf(log->out, "%s %-5s ", when, LEVEL_NAMES[level]);
        put_plain(log->out, message);
        fputc('\n', log->out);
    }
    fflush(log->out);
}
