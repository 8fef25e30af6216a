#include "config/printer.h"

#include <ctype.h>
#include <string.h>

#include "config/duration.h"
#include "config/schema.h"

static void print_section(const struct schema *schema, const void *object, int lead, int indent, FILE *out);

/* Quoted wherever YAML or its older versions could take the text for something else. */
static void print_text(const char *text, FILE *out)
{
    static const char SAFE[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    static const char *const TAKEN[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    bool is_plain = (isalpha((unsigned char)text[0]) || text[0] == '/') && strspn(text, SAFE) == strlen(text);

    for (size_t i = 0; i < sizeof TAKEN / sizeof TAKEN[0]; i++)
        is_plain = is_plain && strcasecmp(text, TAKEN[i]) != 0;
    if (is_plain) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* IPv6 is quoted: a colon at its end would make a key of it. */
static void print_address(const struct addr *a, FILE *out)
{
    char text[ADDR_TEXT_MAX];

    fprintf(out, addr_is_v4(a) ? "%s" : "\"%s\"", addr_format(a, text));
}

static void print_listen(const struct endpoint *listen, FILE *out)
{
    char text[ENDPOINT_TEXT_MAX];

    if (listen->port == 0)
        fputs(SCHEMA_OFF, out);
    else
        fprintf(out, addr_is_v4(&listen->addr) ? "%s" : "\"%s\"", endpoint_format(listen, text));
}

static void print_probe(const struct config_health *health, FILE *out)
{
    if (health->probe == CONFIG_PROBE_TCP)
        fprintf(out, "tcp:%u", health->tcp_port);
    else
        fputs(words_probe.names[health->probe], out);
}

static uint32_t number_at(const void *slot)
{
    uint32_t number;

    memcpy(&number, slot, sizeof number);
    return number;
}

static void print_scalar(const struct schema_key *key, const void *slot, FILE *out)
{
    char duration[DURATION_TEXT_MAX];

    switch (key->kind) {
    case SCHEMA_NAME:
        print_text(slot, out);
        break;
    case SCHEMA_PATH:
        if (key->may_be_off && *(const char *)slot == '\0')
            fputs(SCHEMA_OFF, out);
        else
            print_text(slot, out);
        break;
    case SCHEMA_NUMBER:
        if (key->may_be_off && number_at(slot) == 0)
            fputs(SCHEMA_OFF, out);
        else
            fprintf(out, "%u", number_at(slot));
        break;
    case SCHEMA_DURATION:
        fputs(duration_format(number_at(slot), duration), out);
        break;
    case SCHEMA_WORD:
        fputs(key->words->names[number_at(slot)], out);
        break;
    case SCHEMA_FLAG:
        fputs(key->words->names[*(const bool *)slot], out);
        break;
    case SCHEMA_PROBE:
        print_probe(slot, out);
        break;
    case SCHEMA_ADDRESS:
        print_address(slot, out);
        break;
    case SCHEMA_LISTEN:
        print_listen(slot, out);
        break;
    default:
        break; /* Lists and sections are printed by the functions below. */
    }
}

static void print_addresses(const struct schema_key *key, const void *object, int indent, FILE *out)
{
    size_t count;
    const struct addr *items = schema_items(key, object, &count);

    for (size_t i = 0; i < count; i++) {
        fprintf(out, "\n%*s- ", indent + 2, "");
        print_address(&items[i], out);
    }
    fputc('\n', out);
}

static void print_sections(const struct schema_key *key, const void *object, int indent, FILE *out)
{
    size_t count;
    const char *items = schema_items(key, object, &count);

    fputc('\n', out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%*s- ", indent + 2, "");
        print_section(key->section, items + i * key->section->size, 0, indent + 4, out);
    }
}

/* Nothing stands for a key of later versions, and for a list or a path that may be empty and is. */
static bool is_printed(const struct schema_key *key, const void *object)
{
    size_t count;

    if (key->kind == SCHEMA_PATH)
        return key->may_be_off || *((const char *)object + key->offset) != '\0';
    if (key->kind != SCHEMA_ADDRESSES)
        return true;
    (void)schema_items(key, object, &count);
    return count > 0;
}

/* What follows the key's colon, line end included. */
static void print_value(const struct schema_key *key, const void *object, int indent, FILE *out)
{
    const char *slot = (const char *)object + key->offset;

    if (key->kind == SCHEMA_SECTION) {
        fputc('\n', out);
        print_section(key->section, slot, indent + 2, indent + 2, out);
    } else if (key->kind == SCHEMA_SECTION_LIST) {
        print_sections(key, object, indent, out);
    } else if (key->kind == SCHEMA_ADDRESSES) {
        print_addresses(key, object, indent, out);
    } else {
        fputc(' ', out);
        print_scalar(key, slot, out);
        fputc('\n', out);
    }
}

/* The first key stands `lead` blanks into its line (none after the dash of a list item), the others `indent`.
 */
static void print_section(const struct schema *schema, const void *object, int lead, int indent, FILE *out)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct schema_key *key = &schema->keys[i];

        if (!is_printed(key, object))
            continue;
        fprintf(out, "%*s%s:", lead, "", key->name);
        print_value(key, object, indent, out);
        lead = indent;
    }
}

void printer_value(const struct schema_key *key, const void *object, FILE *out)
{
    size_t count;

    if (key->kind != SCHEMA_ADDRESSES) {
        print_scalar(key, (const char *)object + key->offset, out);
        return;
    }
    const struct addr *items = schema_items(key, object, &count);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        print_address(&items[i], out);
    }
}

void printer_print(const struct config *config, FILE *out)
{
    print_section(&schema_file, config, 0, 0, out);
}
