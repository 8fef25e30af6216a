#include "admin/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *human_count(uint64_t n, char text[static HUMAN_TEXT_MAX])
{
    char digits[HUMAN_TEXT_MAX];
    const size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *out = text;

    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

const char *human_rate(uint64_t rate, const char *unit, char text[static HUMAN_TEXT_MAX])
{
    static const char prefixes[] = "kMGTPE";
    uint64_t tenths =
        rate / 100 + (rate % 100 >= 50); /* of a thousand, rounded, so that 999,960 becomes "1.0 M" */
    size_t p = 0;

    if (rate < 1000) {
        snprintf(text, HUMAN_TEXT_MAX, rate ? "%" PRIu64 " %s" : "%" PRIu64, rate, unit);
        return text;
    }
    while (tenths >= 9995 && prefixes[p + 1]) {
        tenths = (tenths + 500) / 1000;
        p++;
    }
    if (tenths < 100)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %c%s", tenths / 10, tenths % 10, prefixes[p],
                 unit);
    else
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " %c%s", (tenths + 5) / 10, prefixes[p], unit);
    return text;
}

const char *human_duration(uint64_t seconds, char text[static HUMAN_TEXT_MAX])
{
    const uint64_t minutes = seconds / 60;
    const uint64_t hours = minutes / 60;
    const uint64_t days = hours / 24;

    if (days)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 "d %" PRIu64 "h", days, hours % 24);
    else if (hours)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 "h %" PRIu64 "m", hours, minutes % 60);
    else if (minutes)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 "m %" PRIu64 "s", minutes, seconds % 60);
    else
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 "s", seconds);
    return text;
}
