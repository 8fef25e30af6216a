#include "config/loader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "config/duration.h"
#include "config/schema.h"
#include "config/suggest.h"

struct loader {
    struct report *report;
    int err;
};

/* Reads a scalar into `slot`. */
typedef void reader_fn(struct loader *loader, const struct schema_key *key, struct node *node, void *slot);

static void read_node(struct loader *loader, const struct schema_key *key, struct node *node, void *slot);
static void read_section(struct loader *loader, const struct schema *schema, struct node *node, void *object);

/* "REASON; must be EXPECTED". */
static void reject(struct loader *loader, const struct schema_key *key, struct node *node, const char *reason)
{
    char expected[SCHEMA_TEXT_MAX];

    node_reject(loader->report, node, "%s; must be %s", reason, schema_expected(key, expected));
}

/* The same, with the value quoted before the reason. */
static void reject_text(struct loader *loader, const struct schema_key *key, struct node *node,
                        const char *reason)
{
    char quoted[REPORT_QUOTED_MAX];
    char expected[SCHEMA_TEXT_MAX];

    node_reject(loader->report, node, "%s %s; must be %s", report_quote(node->text, node->len, quoted),
                reason, schema_expected(key, expected));
}

static void read_name(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (node->len == 0 || node->len >= CONFIG_NAME_MAX)
        reject_text(loader, key, node, node->len == 0 ? "is empty" : "is too long");
    else if (strspn(node->text, ALLOWED) != node->len)
        reject_text(loader, key, node, "is not a name");
    else if (strcmp(node->text, ".") == 0 || strcmp(node->text, "..") == 0)
        /* Names stand in the paths of the HTTP API, out of which clients remove these two. */
        reject_text(loader, key, node, "cannot be a name, as it stands for a directory");
    else
        memcpy(slot, node->text, node->len + 1);
}

static bool is_text(const struct node *node, const char *text)
{
    return strcmp(node->text, text) == 0 && node->len == strlen(text);
}

static void read_path(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    if (node->len >= CONFIG_PATH_MAX) {
        reject_text(loader, key, node, "is too long");
        return;
    }
    if (key->may_be_off && is_text(node, SCHEMA_OFF)) {
        memset(slot, 0, CONFIG_PATH_MAX);
        return;
    }
    for (size_t i = 0; i < node->len; i++) {
        if (node->text[i] < 0x20 || node->text[i] > 0x7e) {
            reject_text(loader, key, node, "has other characters");
            return;
        }
    }
    if (node->text[0] != '/')
        reject_text(loader, key, node, "is not absolute");
    else if (node->text[node->len - 1] == '/')
        reject_text(loader, key, node, "names a directory");
    else
        memcpy(slot, node->text, node->len + 1);
}

/* A decimal number without sign and leading zeros (which YAML 1.1 takes for octal); what is too big is
 * UINT64_MAX. */
static bool parse_decimal(const char *text, size_t len, uint64_t *out)
{
    if (len == 0 || strspn(text, "0123456789") != len || (text[0] == '0' && len > 1))
        return false;
    *out = 0;
    for (size_t i = 0; i < len; i++) {
        const uint64_t digit = (uint64_t)(text[i] - '0');
        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    return true;
}

static void read_number(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    const bool is_negative = node->text[0] == '-';
    uint64_t number;

    if (key->may_be_off && is_text(node, SCHEMA_OFF)) {
        memset(slot, 0, sizeof(uint32_t));
        return;
    }
    if (!parse_decimal(node->text + is_negative, node->len - is_negative, &number)) {
        reject_text(loader, key, node, "is not a whole number");
    } else if (!node->plain) {
        reject_text(loader, key, node, "is text, as it stands in quotes");
    } else if (is_negative || number < key->min || number > key->max) {
        reject_text(loader, key, node, "is out of range");
    } else {
        const uint32_t value = (uint32_t)number;
        memcpy(slot, &value, sizeof value);
    }
}

static void read_duration(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    uint64_t ms = 0;
    const int err = node->len == strlen(node->text) ? duration_parse(node->text, &ms) : ERR_MALFORMED;

    if (err == ERR_NOT_FOUND) {
        reject_text(loader, key, node, "has no unit");
    } else if (err == ERR_MALFORMED) {
        reject_text(loader, key, node, "is not a duration");
    } else if (err || ms < key->min || ms > key->max) {
        reject_text(loader, key, node, "is out of range");
    } else {
        const uint32_t value = (uint32_t)ms;
        memcpy(slot, &value, sizeof value);
    }
}

static void reject_word(struct loader *loader, const struct schema_key *key, struct node *node)
{
    char quoted[REPORT_QUOTED_MAX];
    char expected[SCHEMA_TEXT_MAX];
    const char *meant = NULL;
    unsigned best = SUGGEST_FAR;

    for (size_t i = 0; i < key->words->count; i++) {
        if (suggest_nearer(node->text, key->words->names[i], &best))
            meant = key->words->names[i];
    }
    report_quote(node->text, node->len, quoted);
    schema_expected(key, expected);
    if (meant)
        node_reject(loader->report, node, "%s is unknown, did you mean \"%s\"? Must be %s", quoted, meant,
                    expected);
    else
        node_reject(loader->report, node, "%s is unknown; must be %s", quoted, expected);
}

/* The index of the word, or the count of words. */
static uint32_t find_word(const struct words *words, const struct node *node)
{
    uint32_t i;

    for (i = 0; i < words->count; i++) {
        if (is_text(node, words->names[i]))
            break;
    }
    return i;
}

static void read_word(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    const uint32_t value = find_word(key->words, node);

    if (value == key->words->count)
        reject_word(loader, key, node);
    else
        memcpy(slot, &value, sizeof value);
}

/* Only the two plain words: whatever else YAML 1.1 takes for a truth value is text to YAML 1.2. */
static void read_flag(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    const uint32_t value = find_word(key->words, node);

    if (value == key->words->count)
        reject_word(loader, key, node);
    else if (!node->plain)
        reject_text(loader, key, node, "is text, as it stands in quotes");
    else
        *(bool *)slot = value;
}

/* Everything but "tcp:PORT" is a plain word. */
static void read_probe(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    static const char TCP[] = "tcp:";
    const size_t prefix = sizeof TCP - 1;
    struct config_health *health = slot;
    const uint32_t word = find_word(key->words, node);
    uint64_t port;

    if (word != key->words->count && word != CONFIG_PROBE_TCP) {
        health->probe = (enum config_probe)word;
    } else if (strncmp(node->text, TCP, prefix) == 0) {
        if (!parse_decimal(node->text + prefix, node->len - prefix, &port) || port < 1 || port > UINT16_MAX) {
            reject_text(loader, key, node, "needs a PORT from 1 to 65535");
            return;
        }
        health->probe = CONFIG_PROBE_TCP;
        health->tcp_port = (uint16_t)port;
    } else if (strcmp(node->text, "tcp") == 0) {
        reject_text(loader, key, node, "needs a port, such as tcp:443");
    } else {
        reject_word(loader, key, node);
    }
}

/* What no VIP, SNAT address or backend can be; NULL if the address will do. */
static const char *unfit_address(const struct addr *a)
{
    static const uint8_t BROADCAST[4] = {255, 255, 255, 255};

    if (addr_is_unspecified(a))
        return "is the unspecified address";
    if (addr_is_multicast(a))
        return "is a multicast address";
    if (addr_is_v4(a) && memcmp(addr_v4_bytes(a), BROADCAST, sizeof BROADCAST) == 0)
        return "is the broadcast address";
    if (addr_is_link_local(a))
        return "is a link-local address, which means nothing without an interface";
    return NULL;
}

static void read_address(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    struct addr a;
    const char *unfit;

    if (node->len != strlen(node->text) || addr_parse(node->text, &a)) {
        reject_text(loader, key, node,
                    "is not an address (numeric, without port, prefix length or brackets)");
        return;
    }
    unfit = unfit_address(&a);
    if (unfit)
        reject_text(loader, key, node, unfit);
    else
        memcpy(slot, &a, sizeof a);
}

/* An address of this machine, or the unspecified one for all of them, and a port. */
static void read_listen(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    struct endpoint listen;
    const char *unfit = NULL;

    if (key->may_be_off && is_text(node, SCHEMA_OFF)) {
        memset(slot, 0, sizeof listen);
        return;
    }
    if (node->len != strlen(node->text) || endpoint_parse(node->text, &listen)) {
        reject_text(loader, key, node, "is not an address and a port");
        return;
    }
    if (!addr_is_unspecified(&listen.addr))
        unfit = unfit_address(&listen.addr);
    if (unfit)
        reject_text(loader, key, node, unfit);
    else if (listen.port == 0)
        reject_text(loader, key, node, "has no port that can be listened on");
    else
        memcpy(slot, &listen, sizeof listen);
}

/* Reports a list that is empty or too long; returns how many items are to be read. */
static size_t checked_count(struct loader *loader, const struct schema_key *key, struct node *list)
{
    if (list->count == 0)
        reject(loader, key, list, "is empty");
    if (list->count <= key->max)
        return list->count;
    reject(loader, key, node_item(list, key->max), "is one too many");
    return key->max;
}

/* The array of a list key: where it lies, or newly allocated and its pointer stored. NULL for no items or no
 * memory. */
static void *list_array(struct loader *loader, const struct schema_key *key, size_t count, size_t size,
                        void *slot)
{
    void *array;

    if (count == 0 || key->in_place)
        return count == 0 ? NULL : slot;
    array = calloc(count, size);
    if (!array)
        loader->err = -ENOMEM;
    memcpy(slot, &array, sizeof array);
    return array;
}

static void read_addresses(struct loader *loader, const struct schema_key *key, struct node *node,
                           void *object)
{
    static const struct schema_key ITEM = {.kind = SCHEMA_ADDRESS};
    const bool is_list = node->kind == NODE_LIST;
    const size_t count = is_list ? checked_count(loader, key, node) : 1;
    struct node *item = node_item(node, 0);
    struct addr *array = list_array(loader, key, count, sizeof *array, (char *)object + key->offset);

    if (!array)
        return;
    memcpy((char *)object + key->count_offset, &count, sizeof count);
    if (!is_list)
        read_address(loader, key, node, array);
    for (size_t i = 0; is_list && i < count; i++, item = item->next)
        read_node(loader, &ITEM, item, &array[i]);
}

static void read_sections(struct loader *loader, const struct schema_key *key, struct node *node,
                          void *object)
{
    const struct schema_key item_key = {.kind = SCHEMA_SECTION, .section = key->section};
    const size_t size = key->section->size;
    const size_t count = checked_count(loader, key, node);
    struct node *item = node->first;
    char *array = list_array(loader, key, count, size, (char *)object + key->offset);

    if (!array)
        return;
    /* Before the items, so that whatever they allocate is found when the configuration is destroyed. */
    memcpy((char *)object + key->count_offset, &count, sizeof count);
    for (size_t i = 0; i < count && !loader->err; i++, item = item->next) {
        schema_set_defaults(key->section, array + i * size);
        read_node(loader, &item_key, item, array + i * size);
    }
}

/* A scalar: `slot` is where its value belongs. */
static void read_scalar(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    static reader_fn *const READERS[] = {
        [SCHEMA_NAME] = read_name,         [SCHEMA_PATH] = read_path, [SCHEMA_NUMBER] = read_number,
        [SCHEMA_DURATION] = read_duration, [SCHEMA_WORD] = read_word, [SCHEMA_PROBE] = read_probe,
        [SCHEMA_ADDRESS] = read_address,   [SCHEMA_FLAG] = read_flag, [SCHEMA_LISTEN] = read_listen,
    };
    READERS[key->kind](loader, key, node, slot);
}

static const char *kind_text(enum node_kind kind)
{
    return kind == NODE_LIST ? "is a list" : kind == NODE_MAPPING ? "is a mapping" : "is a single value";
}

/* A section with nothing in it may be written as nothing at all: often its keys are just commented out. */
static bool kind_fits(const struct schema_key *key, const struct node *node)
{
    switch (key->kind) {
    case SCHEMA_SECTION:
        return node->kind == NODE_MAPPING || node_is_null(node);
    case SCHEMA_SECTION_LIST:
        return node->kind == NODE_LIST;
    case SCHEMA_ADDRESSES:
        return node->kind == NODE_LIST || node->kind == NODE_SCALAR;
    default:
        return node->kind == NODE_SCALAR;
    }
}

/* Reads the value of a key into `object`, the struct of the section around it. */
static void read_node(struct loader *loader, const struct schema_key *key, struct node *node, void *object)
{
    char *slot = (char *)object + key->offset;

    if (node->kind == NODE_ALIAS)
        return; /* That has been reported. */
    if (node_is_null(node) && key->kind != SCHEMA_SECTION)
        reject(loader, key, node, "has no value");
    else if (!kind_fits(key, node))
        reject(loader, key, node, kind_text(node->kind));
    else if (key->kind == SCHEMA_SECTION)
        read_section(loader, key->section, node, slot);
    else if (key->kind == SCHEMA_SECTION_LIST)
        read_sections(loader, key, node, object);
    else if (key->kind == SCHEMA_ADDRESSES)
        read_addresses(loader, key, node, object);
    else
        read_scalar(loader, key, node, slot);
}

/* The section inside this one that has a key of exactly that name: the usual slip is a wrong
 * indentation. */
static const struct schema_key *section_with(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct schema_key *key = &schema->keys[i];
        const struct schema_key *inner = key->kind == SCHEMA_SECTION ? schema_find(key->section, name) : NULL;
        if (inner)
            return key;
    }
    return NULL;
}

static void reject_unknown_key(struct loader *loader, const struct schema *schema, struct node *node)
{
    const char *name = node->key->text;
    const struct schema_key *home = section_with(schema, name);
    const struct schema_key *meant = home ? schema_find(home->section, name) : NULL;
    char names[SCHEMA_TEXT_MAX];
    unsigned best = SUGGEST_FAR;

    for (size_t i = 0; i < schema->key_count && !home; i++) {
        const struct schema_key *key = &schema->keys[i];
        if (suggest_nearer(name, key->name, &best))
            meant = key;
    }
    schema_key_names(schema, names);
    if (!meant)
        node_reject_key(loader->report, node, "unknown key; must be one of %s", names);
    else
        node_reject_key(loader->report, node, "unknown key, did you mean \"%s%s%s\"? Must be one of %s",
                        home ? home->name : "", home ? "." : "", meant->name, names);
}

static void read_keys(struct loader *loader, const struct schema *schema, struct node *mapping, void *object)
{
    const struct node *seen[SCHEMA_KEYS_MAX] = {NULL};

    for (struct node *node = mapping->first; node && !loader->err; node = node->next) {
        const struct schema_key *key =
            node->key->len == strlen(node->key->text) ? schema_find(schema, node->key->text) : NULL;
        const struct node **earlier = key ? &seen[key - schema->keys] : NULL;

        if (!key) {
            reject_unknown_key(loader, schema, node);
        } else if (*earlier) {
            node_reject_key(loader->report, node, "duplicate key; it is given on line %zu already",
                            (*earlier)->key->line);
        } else {
            read_node(loader, key, node, object);
        }
        if (key && !*earlier)
            *earlier = node;
    }
}

static void report_missing(struct loader *loader, const struct schema *schema, const struct node *node)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct schema_key *key = &schema->keys[i];
        char path[NODE_PATH_MAX];
        char expected[SCHEMA_TEXT_MAX];
        size_t used;

        if (!key->required || node_find(node, key->name))
            continue;
        used = strlen(node_path(node, path));
        snprintf(path + used, sizeof path - used, "%s%s", used > 0 ? "." : "", key->name);
        report_add(loader->report, node->line, node->column, path, "required key is missing; must be %s",
                   schema_expected(key, expected));
    }
}

/* `object` has its defaults already. A node that is nothing is a section without keys. */
static void read_section(struct loader *loader, const struct schema *schema, struct node *node, void *object)
{
    read_keys(loader, schema, node, object);
    report_missing(loader, schema, node);
}

int loader_fill(struct node *root, struct report *report, struct config *config)
{
    static const struct schema_key FILE_KEY = {.kind = SCHEMA_SECTION, .section = &schema_file};
    struct loader loader = {.report = report};

    schema_set_defaults(&schema_file, config);
    read_node(&loader, &FILE_KEY, root, config);
    return loader.err;
}
