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
    double value = (double)rate / 1000;
    size_t p = 0;

    if (rate < 1000) {
        snprintf(text, HUMAN_TEXT_MAX, rate ? "%" PRIu64 " %s" : "%" PRIu64, rate, unit);
        return text;
    }
    for (; value >= 999.5 && prefixes[p + 1]; p++)
        value /= 1000;
    snprintf(text, HUMAN_TEXT_MAX, "%.*f %c%s", value < 9.95 ? 1 : 0, value, prefixes[p], unit);
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
