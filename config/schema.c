#include "config/schema.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/duration.h"

#define SECOND_MS 1000U
#define MINUTE_MS (60U * SECOND_MS)
#define HOUR_MS   (60U * MINUTE_MS)

#define SCHEMA(table, type)                                                                                  \
    {                                                                                                        \
        .keys = (table), .key_count = sizeof(table) / sizeof((table)[0]), .size = sizeof(struct type)        \
    }

/* clang-format off: one key, one glance. */
static const struct schema_key BACKEND_KEYS[] = {
    {.name = "name", .kind = SCHEMA_NAME, .required = true, .offset = offsetof(struct config_backend, name)},
    {.name = "address",
     .kind = SCHEMA_ADDRESS,
     .required = true,
     .offset = offsetof(struct config_backend, address)},
    {.name = "weight",
     .kind = SCHEMA_NUMBER,
     .offset = offsetof(struct config_backend, weight),
     .min = 1,
     .max = 1000,
     .fallback = 100},
    {.name = "state",
     .kind = SCHEMA_WORD,
     .offset = offsetof(struct config_backend, state),
     .words = &words_state,
     .fallback = CONFIG_STATE_ENABLED},
};
static const struct schema BACKEND = SCHEMA(BACKEND_KEYS, config_backend);

static const struct schema_key PERSISTENCE_KEYS[] = {
    {.name = "idle_timeout",
     .kind = SCHEMA_DURATION,
     .offset = offsetof(struct config_persistence, idle_timeout_ms),
     .min = SECOND_MS,
     .max = 168 * HOUR_MS,
     .fallback = HOUR_MS},
    {.name = "half_open_timeout",
     .kind = SCHEMA_DURATION,
     .offset = offsetof(struct config_persistence, half_open_timeout_ms),
     .min = SECOND_MS,
     .max = 10 * MINUTE_MS,
     .fallback = 30 * SECOND_MS},
    {.name = "spread_nat",
     .kind = SCHEMA_FLAG,
     .offset = offsetof(struct config_persistence, spread_nat),
     .words = &words_flag,
     .fallback = false},
};
static const struct schema PERSISTENCE = SCHEMA(PERSISTENCE_KEYS, config_persistence);

static const struct schema_key HEALTH_KEYS[] = {
    {.name = "probe", .kind = SCHEMA_PROBE, .words = &words_probe, .fallback = CONFIG_PROBE_IKE},
    {.name = "interval",
     .kind = SCHEMA_DURATION,
     .offset = offsetof(struct config_health, interval_ms),
     .min = 100,
     .max = HOUR_MS,
     .fallback = 2 * SECOND_MS},
    {.name = "timeout",
     .kind = SCHEMA_DURATION,
     .offset = offsetof(struct config_health, timeout_ms),
     .min = 10,
     .max = HOUR_MS,
     .fallback = SECOND_MS},
    {.name = "rise",
     .kind = SCHEMA_NUMBER,
     .offset = offsetof(struct config_health, rise),
     .min = 1,
     .max = 100,
     .fallback = 2},
    {.name = "fall",
     .kind = SCHEMA_NUMBER,
     .offset = offsetof(struct config_health, fall),
     .min = 1,
     .max = 100,
     .fallback = 3},
};
static const struct schema HEALTH = SCHEMA(HEALTH_KEYS, config_health);

static const struct schema_key SERVICE_KEYS[] = {
    {.name = "name", .kind = SCHEMA_NAME, .required = true, .offset = offsetof(struct config_service, name)},
    {.name = "vip",
     .kind = SCHEMA_ADDRESSES,
     .required = true,
     .in_place = true,
     .offset = offsetof(struct config_service, vips),
     .count_offset = offsetof(struct config_service, vip_count),
     .max = CONFIG_VIPS_MAX},
    {.name = "mode",
     .kind = SCHEMA_WORD,
     .offset = offsetof(struct config_service, mode),
     .words = &words_mode,
     .fallback = CONFIG_MODE_TRANSPARENT},
    {.name = "snat",
     .kind = SCHEMA_ADDRESSES,
     .offset = offsetof(struct config_service, snats),
     .count_offset = offsetof(struct config_service, snat_count),
     .max = CONFIG_SNATS_MAX},
    {.name = "schedule",
     .kind = SCHEMA_WORD,
     .offset = offsetof(struct config_service, schedule),
     .words = &words_schedule,
     .fallback = CONFIG_SCHEDULE_BOUNDED_HASH},
    {.name = "persistence",
     .kind = SCHEMA_SECTION,
     .offset = offsetof(struct config_service, persistence),
     .section = &PERSISTENCE},
    {.name = "health",
     .kind = SCHEMA_SECTION,
     .offset = offsetof(struct config_service, health),
     .section = &HEALTH},
    {.name = "backends",
     .kind = SCHEMA_SECTION_LIST,
     .required = true,
     .offset = offsetof(struct config_service, backends),
     .count_offset = offsetof(struct config_service, backend_count),
     .max = CONFIG_BACKENDS_MAX,
     .section = &BACKEND,
     .plural = "backends"},
};
static const struct schema SERVICE = SCHEMA(SERVICE_KEYS, config_service);

/* The sections below lie flat in struct config, hence their offset of 0 in FILE_KEYS. */
static const struct schema_key ADMIN_KEYS[] = {
    {.name = "listen",
     .kind = SCHEMA_LISTEN,
     .needs_restart = true,
     .may_be_off = true,
     .offset = offsetof(struct config, admin_listen),
     .fallback_text = "127.0.0.1:8809"},
    {.name = "token_file", .kind = SCHEMA_PATH, .offset = offsetof(struct config, admin_token_file)},
    {.name = "socket",
     .kind = SCHEMA_PATH,
     .needs_restart = true,
     .offset = offsetof(struct config, admin_socket),
     .fallback_text = "/run/ikelb/ikelb.sock"},
};
static const struct schema ADMIN = SCHEMA(ADMIN_KEYS, config);

static const struct schema_key DATAPLANE_KEYS[] = {
    {.name = "fastpath",
     .kind = SCHEMA_WORD,
     .needs_restart = true,
     .offset = offsetof(struct config, fastpath),
     .words = &words_fastpath,
     .fallback = CONFIG_FASTPATH_AUTO},
    {.name = "max_clients",
     .kind = SCHEMA_NUMBER,
     .needs_restart = true,
     .offset = offsetof(struct config, max_clients),
     .min = 1000,
     .max = 10000000,
     .fallback = 1000000},
    {.name = "source_rate",
     .kind = SCHEMA_NUMBER,
     .may_be_off = true,
     .offset = offsetof(struct config, source_rate),
     .min = 1,
     .max = 1000000,
     .fallback = 200},
    {.name = "source_burst",
     .kind = SCHEMA_NUMBER,
     .offset = offsetof(struct config, source_burst),
     .min = 1,
     .max = 10000000,
     .fallback = 2000},
};
static const struct schema DATAPLANE = SCHEMA(DATAPLANE_KEYS, config);

static const struct schema_key STATE_KEYS[] = {
    {.name = "file",
     .kind = SCHEMA_PATH,
     .needs_restart = true,
     .may_be_off = true,
     .offset = offsetof(struct config, state_file),
     .fallback_text = "/var/lib/ikelb/state"},
};
static const struct schema STATE = SCHEMA(STATE_KEYS, config);

static const struct schema_key LOG_KEYS[] = {
    {.name = "level",
     .kind = SCHEMA_WORD,
     .offset = offsetof(struct config, log_level),
     .words = &words_log_level,
     .fallback = LOG_LEVEL_INFO},
    {.name = "format",
     .kind = SCHEMA_WORD,
     .offset = offsetof(struct config, log_format),
     .words = &words_log_format,
     .fallback = LOG_FORMAT_TEXT},
};
static const struct schema LOG = SCHEMA(LOG_KEYS, config);

static const struct schema_key FILE_KEYS[] = {
    {.name = "services",
     .kind = SCHEMA_SECTION_LIST,
     .required = true,
     .offset = offsetof(struct config, services),
     .count_offset = offsetof(struct config, service_count),
     .max = CONFIG_SERVICES_MAX,
     .section = &SERVICE,
     .plural = "services"},
    {.name = "admin", .kind = SCHEMA_SECTION, .section = &ADMIN},
    {.name = "dataplane", .kind = SCHEMA_SECTION, .section = &DATAPLANE},
    {.name = "state", .kind = SCHEMA_SECTION, .section = &STATE},
    {.name = "log", .kind = SCHEMA_SECTION, .section = &LOG},
};
/* clang-format on */
const struct schema schema_file = SCHEMA(FILE_KEYS, config);

const struct schema_key *schema_find(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        if (strcmp(schema->keys[i].name, name) == 0)
            return &schema->keys[i];
    }
    return NULL;
}

void schema_set_defaults(const struct schema *schema, void *object)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct schema_key *key = &schema->keys[i];
        char *slot = (char *)object + key->offset;

        switch (key->kind) {
        case SCHEMA_SECTION:
            schema_set_defaults(key->section, slot);
            break;
        case SCHEMA_PATH:
            snprintf(slot, CONFIG_PATH_MAX, "%s", key->fallback_text ? key->fallback_text : "");
            break;
        case SCHEMA_LISTEN:
            (void)endpoint_parse(key->fallback_text, (struct endpoint *)(void *)slot);
            break;
        case SCHEMA_NUMBER:
        case SCHEMA_DURATION:
        case SCHEMA_WORD:
            memcpy(slot, &key->fallback, sizeof key->fallback);
            break;
        case SCHEMA_FLAG:
            *(bool *)slot = key->fallback;
            break;
        case SCHEMA_PROBE:
            ((struct config_health *)(void *)slot)->probe = (enum config_probe)key->fallback;
            break;
        case SCHEMA_NAME:
        case SCHEMA_ADDRESS:
        case SCHEMA_ADDRESSES:
        case SCHEMA_SECTION_LIST:
            break; /* Required, or empty by default. */
        }
    }
}

const void *schema_items(const struct schema_key *key, const void *object, size_t *count)
{
    const char *slot = (const char *)object + key->offset;
    const void *array = slot;

    memcpy(count, (const char *)object + key->count_offset, sizeof *count);
    if (!key->in_place)
        memcpy(&array, slot, sizeof array);
    return array;
}

/* Words are stored through the uint32_t that carries their default. */
_Static_assert(sizeof(enum config_mode) == sizeof(uint32_t) && sizeof(enum log_level) == sizeof(uint32_t),
               "an enum is not 32 bits wide");

static void list_words(const struct words *words, const char *before, char *text)
{
    size_t used = (size_t)snprintf(text, SCHEMA_TEXT_MAX, "%s", before);

    for (size_t i = 0; i < words->count && used < SCHEMA_TEXT_MAX; i++)
        used +=
            (size_t)snprintf(text + used, SCHEMA_TEXT_MAX - used, "%s%s", i > 0 ? ", " : "", words->names[i]);
}

const char *schema_key_names(const struct schema *schema, char text[static SCHEMA_TEXT_MAX])
{
    const char *names[SCHEMA_KEYS_MAX];
    struct words words = {.names = names};

    for (size_t i = 0; i < schema->key_count; i++)
        names[words.count++] = schema->keys[i].name;
    if (words.count == 0)
        snprintf(text, SCHEMA_TEXT_MAX, "(none in this version)");
    else
        list_words(&words, "", text);
    return text;
}

static void expected_duration(const struct schema_key *key, char text[static SCHEMA_TEXT_MAX])
{
    char min[DURATION_TEXT_MAX];
    char max[DURATION_TEXT_MAX];

    snprintf(text, SCHEMA_TEXT_MAX, "a whole number with a unit (ms, s, m or h) from %s to %s",
             duration_format(key->min, min), duration_format(key->max, max));
}

static void expected_section(const struct schema_key *key, char text[static SCHEMA_TEXT_MAX])
{
    char names[SCHEMA_TEXT_MAX];

    schema_key_names(key->section, names);
    snprintf(text, SCHEMA_TEXT_MAX, "a mapping of %.400s", names);
}

const char *schema_expected(const struct schema_key *key, char text[static SCHEMA_TEXT_MAX])
{
    text[0] = '\0';
    switch (key->kind) {
    case SCHEMA_NAME:
        snprintf(text, SCHEMA_TEXT_MAX, "a name of 1 to %d characters out of A-Z a-z 0-9 . _ -",
                 CONFIG_NAME_MAX - 1);
        break;
    case SCHEMA_PATH:
        snprintf(text, SCHEMA_TEXT_MAX, "%san absolute path of at most %d printable ASCII characters",
                 key->may_be_off ? SCHEMA_OFF " or " : "", CONFIG_PATH_MAX - 1);
        break;
    case SCHEMA_NUMBER:
        snprintf(text, SCHEMA_TEXT_MAX, "%sa whole number from %u to %u",
                 key->may_be_off ? SCHEMA_OFF " or " : "", key->min, key->max);
        break;
    case SCHEMA_DURATION:
        expected_duration(key, text);
        break;
    case SCHEMA_FLAG:
        snprintf(text, SCHEMA_TEXT_MAX, "%s or %s", key->words->names[true], key->words->names[false]);
        break;
    case SCHEMA_WORD:
    case SCHEMA_PROBE:
        list_words(key->words, "one of ", text);
        break;
    case SCHEMA_ADDRESS:
        snprintf(text, SCHEMA_TEXT_MAX, "a unicast IPv4 or IPv6 address");
        break;
    case SCHEMA_LISTEN:
        snprintf(text, SCHEMA_TEXT_MAX, "%s",
                 SCHEMA_OFF " or ADDRESS:PORT, such as 127.0.0.1:8809 or \"[::1]:8809\"");
        break;
    case SCHEMA_ADDRESSES:
        snprintf(text, SCHEMA_TEXT_MAX, "a unicast IPv4 or IPv6 address, or a list of 1 to %u", key->max);
        break;
    case SCHEMA_SECTION:
        expected_section(key, text);
        break;
    case SCHEMA_SECTION_LIST:
        snprintf(text, SCHEMA_TEXT_MAX, "a list of 1 to %u %s", key->max, key->plural);
        break;
    }
    return text;
}
