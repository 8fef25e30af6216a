#include "config/diff.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/printer.h"
#include "config/schema.h"

/* Longer than any path: "services.NAME.backends.NAME.KEY". */
#define PATH_MAX_LEN (2 * CONFIG_NAME_MAX + 64)

struct walk {
    diff_fn *fn;
    void *ctx;
    int err;
};

static void compare_sections(struct walk *w, const struct schema *schema, const void *from, const void *to,
                             const char *path);

static void extend_path(char out[static PATH_MAX_LEN], const char *path, const char *name)
{
    const int len = snprintf(out, PATH_MAX_LEN, "%s%s%s", path, *path ? "." : "", name);

    assert(len < PATH_MAX_LEN);
}

/* The value in one line, to be freed; NULL without memory. */
static char *value_text(const struct schema_key *key, const void *object)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    printer_value(key, object, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* Bytes that hold the value, all of it in place; 0 if it is elsewhere. */
static size_t value_size(const struct schema_key *key)
{
    switch (key->kind) {
    case SCHEMA_NAME:
        return CONFIG_NAME_MAX;
    case SCHEMA_PATH:
        return CONFIG_PATH_MAX;
    case SCHEMA_NUMBER:
    case SCHEMA_DURATION:
    case SCHEMA_WORD:
        return sizeof(uint32_t);
    case SCHEMA_ADDRESS:
        return sizeof(struct addr);
    default:
        return 0;
    }
}

/* Spares nearly all values their texts: thousands of them, in a large pool. */
static bool is_same(const struct schema_key *key, const void *from, const void *to)
{
    const size_t size = value_size(key);

    return size && memcmp((const char *)from + key->offset, (const char *)to + key->offset, size) == 0;
}

static void compare_values(struct walk *w, const struct schema_key *key, const void *from, const void *to,
                           const char *path)
{
    if (is_same(key, from, to))
        return;
    char *before = value_text(key, from);
    char *after = value_text(key, to);
    if (!before || !after) {
        w->err = -ENOMEM;
    } else if (strcmp(before, after) != 0) {
        const struct diff_change change = {path, before, after, key->needs_restart};
        w->fn(w->ctx, &change);
    }
    free(before);
    free(after);
}

/* The name of an item, which is its first key. */
static const char *name_of(const struct schema *schema, const void *item)
{
    return (const char *)item + schema->keys[0].offset;
}

/* One side of a comparison of lists. */
struct list {
    const char *items;
    size_t count;
};

/* The item of that name, or NULL; most likely it is at the place `likely`. */
static const void *find_name(const struct schema *schema, const struct list *list, const char *name,
                             size_t likely)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items + (likely + i) % list->count * schema->size;
        if (strcmp(name_of(schema, item), name) == 0)
            return item;
    }
    return NULL;
}

/*
 * The same item in the other list: that of its name; or one that is where it was, by its second key (its
 * address), and whose name this list does not have.
 */
static const void *find_match(struct walk *w, const struct schema *schema, const void *item,
                              const struct list *own, const struct list *other)
{
    const size_t at = (size_t)((const char *)item - own->items) / schema->size;
    const void *match = find_name(schema, other, name_of(schema, item), at);
    char *place = match ? NULL : value_text(&schema->keys[1], item);

    for (size_t i = 0; place && !match && i < other->count; i++) {
        const char *candidate = other->items + i * schema->size;
        char *text = value_text(&schema->keys[1], candidate);
        if (!text)
            w->err = -ENOMEM;
        else if (strcmp(text, place) == 0 && !find_name(schema, own, name_of(schema, candidate), i))
            match = candidate;
        free(text);
    }
    free(place);
    return match;
}

static void compare_lists(struct walk *w, const struct schema_key *key, const void *from, const void *to,
                          const char *path)
{
    const struct schema *schema = key->section;
    char item_path[PATH_MAX_LEN];
    struct list before, after;

    before.items = schema_items(key, from, &before.count);
    after.items = schema_items(key, to, &after.count);
    for (size_t i = 0; i < before.count; i++) {
        const char *item = before.items + i * schema->size;
        const void *match = find_match(w, schema, item, &before, &after);
        extend_path(item_path, path, name_of(schema, item));
        if (match)
            compare_sections(w, schema, item, match, item_path);
        else
            w->fn(w->ctx, &(struct diff_change){item_path, name_of(schema, item), NULL, false});
    }
    for (size_t i = 0; i < after.count; i++) {
        const char *item = after.items + i * schema->size;
        extend_path(item_path, path, name_of(schema, item));
        if (!find_match(w, schema, item, &after, &before))
            w->fn(w->ctx, &(struct diff_change){item_path, NULL, name_of(schema, item), false});
    }
}

static void compare_sections(struct walk *w, const struct schema *schema, const void *from, const void *to,
                             const char *path)
{
    char key_path[PATH_MAX_LEN];

    for (size_t i = 0; i < schema->key_count; i++) {
        const struct schema_key *key = &schema->keys[i];
        extend_path(key_path, path, key->name);
        if (key->kind == SCHEMA_SECTION)
            compare_sections(w, key->section, (const char *)from + key->offset,
                             (const char *)to + key->offset, key_path);
        else if (key->kind == SCHEMA_SECTION_LIST)
            compare_lists(w, key, from, to, key_path);
        else
            compare_values(w, key, from, to, key_path);
    }
}

int diff_configs(const struct config *from, const struct config *to, diff_fn *fn, void *ctx)
{
    struct walk w = {.fn = fn, .ctx = ctx};

    compare_sections(&w, &schema_file, from, to, "");
    return w.err;
}
