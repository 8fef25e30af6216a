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

/* Reads one value of a key into `slot`. The node's kind fits already, unless the reader is for lists or sections. */
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
static void reject_text(struct loader *loader, const struct schema_key *key, struct node *node, const char *reason)
{
    char quoted[REPORT_QUOTED_MAX];
    char expected[SCHEMA_TEXT_MAX];

    node_reject(loader->report, node, "%s %s; must be %s", report_quote(node->text, node->len, quoted), reason,
                schema_expected(key, expected));
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

static void read_path(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    if (node->len >= CONFIG_PATH_MAX) {
        reject_text(loader, key, node, "is too long");
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

/* A decimal number without sign and leading zeros (which YAML 1.1 takes for octal); what is too big is UINT64_MAX. */
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
    node_reject(loader->report, node, "%s is unknown%s%s%s; must be %s", report_quote(node->text, node->len, quoted),
                meant ? ", did you mean \"" : "", meant ? meant : "", meant ? "\"?" : "",
                schema_expected(key, expected));
}

/* The index of the word, or the count of words. */
static uint32_t find_word(const struct words *words, const struct node *node)
{
    uint32_t i;

    for (i = 0; i < words->count; i++) {
        if (strcmp(words->names[i], node->text) == 0 && node->len == strlen(node->text))
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
    if (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80)
        return "is a link-local address, which means nothing without an interface";
    return NULL;
}

static void read_address(struct loader *loader, const struct schema_key *key, struct node *node, void *slot)
{
    struct addr a;
    const char *unfit;

    if (node->len != strlen(node->text) || addr_parse(node->text, &a)) {
        reject_text(loader, key, node, "is not an address (numeric, without port, prefix length or brackets)");
        return;
    }
    unfit = unfit_address(&a);
    if (unfit)
        reject_text(loader, key, node, unfit);
    else
        memcpy(slot, &a, sizeof a);
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

/* The array of a list key: where it lies, or newly allocated and its pointer stored. NULL for no items or no memory. */
static void *list_array(struct loader *loader, const struct schema_key *key, size_t count, size_t size, void *slot)
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

static void read_addresses(struct loader *loader, const struct schema_key *key, struct node *node, void *object)
{
    static const struct schema_key ITEM = {.kind = SCHEMA_ADDRESS};
    const size_t count = node->kind == NODE_LIST ? checked_count(loader, key, node) : 1;
    struct node *item = node_item(node, 0);
    struct addr *array = list_array(loader, key, count, sizeof *array, (char *)object + key->offset);

    if (!array)
        return;
    for (size_t i = 0; i < count; i++, item = item->next)
        read_node(loader, node->kind == NODE_LIST ? &ITEM : key, item, &array[i]);
    memcpy((char *)object + key->count_offset, &count, sizeof count);
}

static void read_section_list(struct loader *loader, const struct schema_key *key, struct node *node, void *object)
{
    const struct schema_key item_key = {.kind = SCHEMA_SECTION, .section = key->section};
    const size_t size = key->section->size;
    const size_t count = checked_count(loader, key, node);
    struct node *item = node->first;
    char *array = list_array(loader, key, count, size, (char *)object + key->offset);

    if (!array)
        return;
    /* First, so that what the items allocate is found when the configuration is destroyed. */
    memcpy((char *)object + key->count_offset, &count, sizeof count);
    for (size_t i = 0; i < count && !loader->err; i++, item = item->next) {
        schema_set_defaults(key->section, array + i * size);
        read_node(loader, &item_key, item, array + i * size);
    }
}
