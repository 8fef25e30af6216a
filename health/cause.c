#include "health/cause.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

const char *cause_set(char cause[static CAUSE_MAX], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(cause, CAUSE_MAX, fmt, args);
    va_end(args);
    return cause;
}

const char *cause_set_errno(char cause[static CAUSE_MAX], const char *where, int error)
{
    return cause_set(cause, "%s: %s", where, err_text(-error));
}

const char *cause_duration(uint32_t ms, char text[static CAUSE_DURATION_MAX])
{
    if (ms < 1000)
        snprintf(text, CAUSE_DURATION_MAX, "%u ms", ms);
    else if (ms % 1000 == 0)
        snprintf(text, CAUSE_DURATION_MAX, "%u s", ms / 1000);
    else
        snprintf(text, CAUSE_DURATION_MAX, "%.3g s", ms / 1000.0);
    return text;
}
