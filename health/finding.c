#include "health/finding.h"

#include <stdarg.h>
#include <stdio.h>

void finding_set(struct finding *f, enum finding_status status, const char *advice, const char *format, ...)
{
    va_list args;

    f->status = status;
    f->advice = advice;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
}

const char *finding_status_name(enum finding_status status)
{
    static const char *const names[] = {
        [FINDING_OK] = "ok",
        [FINDING_UNTESTED] = "not tested",
        [FINDING_WARNING] = "warning",
        [FINDING_FAILED] = "failed",
    };

    return names[status];
}
