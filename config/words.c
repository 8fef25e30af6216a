#include "config/words.h"

#include "config/config.h"

#define WORDS(list)                                                                                          \
    {                                                                                                        \
        .names = (list), .count = sizeof(list) / sizeof((list)[0])                                           \
    }

static const char *const FLAGS[] = {
    [false] = "false",
    [true] = "true",
};
static const char *const MODES[] = {
    [CONFIG_MODE_TRANSPARENT] = "transparent",
    [CONFIG_MODE_FULL_NAT] = "full-nat",
};
static const char *const SCHEDULES[] = {
    [CONFIG_SCHEDULE_BOUNDED_HASH] = "bounded-hash",
    [CONFIG_SCHEDULE_SOURCE_HASH] = "source-hash",
    [CONFIG_SCHEDULE_LEAST_CLIENTS] = "least-clients",
    [CONFIG_SCHEDULE_ROUND_ROBIN] = "round-robin",
};
static const char *const STATES[] = {
    [CONFIG_STATE_ENABLED] = "enabled",
    [CONFIG_STATE_DRAIN] = "drain",
    [CONFIG_STATE_DISABLED] = "disabled",
};
static const char *const PROBES[] = {
    [CONFIG_PROBE_IKE] = "ike",
    [CONFIG_PROBE_ICMP] = "icmp",
    [CONFIG_PROBE_TCP] = "tcp:PORT",
    [CONFIG_PROBE_NONE] = "none",
};
static const char *const FASTPATHS[] = {
    [CONFIG_FASTPATH_AUTO] = "auto",
    [CONFIG_FASTPATH_NATIVE] = "native",
    [CONFIG_FASTPATH_GENERIC] = "generic",
    [CONFIG_FASTPATH_OFF] = "off",
};
static const char *const LOG_LEVELS[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};
static const char *const LOG_FORMATS[] = {
    [LOG_FORMAT_TEXT] = "text",
    [LOG_FORMAT_JSON] = "json",
};

const struct words words_flag = WORDS(FLAGS);
const struct words words_mode = WORDS(MODES);
const struct words words_schedule = WORDS(SCHEDULES);
const struct words words_state = WORDS(STATES);
const struct words words_probe = WORDS(PROBES);
const struct words words_fastpath = WORDS(FASTPATHS);
const struct words words_log_level = WORDS(LOG_LEVELS);
const struct words words_log_format = WORDS(LOG_FORMATS);
