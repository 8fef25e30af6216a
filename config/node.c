#include "config/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/err.h"

#define TAG_DIRECTIVES_MAX 16

struct node_tree {
    struct node *root;
    struct node *newest; /* of all nodes, chained by `older` */
    size_t count;
};

struct builder {
    yaml_parser_t parser;
    const char *text;
    size_t len;
    struct report *report;
    struct node_tree *tree;
    int err; /* sticky: nothing more is read once set */
};

static size_t path_append(const struct node *node, char *path, size_t size)
{
    char quoted[REPORT_QUOTED_MAX];
    size_t used;
    int more = 0;

    path[0] = '\0';
    if (!node->parent)
        return 0;
    used = path_append(node->parent, path, size);
    if (node->key) {
        static const char WORD[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-<";
        const struct node *key = node->key;
        const bool is_word =
            key->len > 0 && key->len <= REPORT_QUOTED_BYTES && strspn(key->text, WORD) == key->len;
        more = snprintf(path + used, size - used, "%s%s", used > 0 ? "." : "",
                        is_word ? key->text : report_quote(key->text, key->len, quoted));
    } else if (node->parent->kind == NODE_LIST) {
        more = snprintf(path + used, size - used, "[%zu]", node->index);
    }
    return used + (size_t)more;
}

/* The deepest path must fit: a level adds a dot and a quoted key at most. */
_Static_assert(NODE_DEPTH_MAX *(REPORT_QUOTED_MAX + 1) < NODE_PATH_MAX, "paths may be cut");

const char *node_path(const struct node *node, char path[static NODE_PATH_MAX])
{
    (void)path_append(node, path, NODE_PATH_MAX);
    return path;
}

/* The path as it stands in an error, where the root must have a name as well. */
static const char *where_text(const struct node *node, char path[static NODE_PATH_MAX])
{
    return *node_path(node, path) ? path : "(top level)";
}

void node_reject(struct report *report, struct node *node, const char *fmt, ...)
{
    char path[NODE_PATH_MAX];
    va_list args;

    va_start(args, fmt);
    report_add_list(report, node->line, node->column, where_text(node, path), fmt, args);
    va_end(args);
    node->bad = true;
}

void node_reject_key(struct report *report, struct node *node, const char *fmt, ...)
{
    const struct node *place = node->key ? node->key : node;
    char path[NODE_PATH_MAX];
    va_list args;

    va_start(args, fmt);
    report_add_list(report, place->line, place->column, where_text(node, path), fmt, args);
    va_end(args);
    node->bad = true;
}

bool node_is_null(const struct node *node)
{
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL"};

    if (node->kind != NODE_SCALAR || !node->plain)
        return false;
    for (size_t i = 0; i < sizeof NULLS / sizeof NULLS[0]; i++) {
        if (strcmp(node->text, NULLS[i]) == 0)
            return true;
    }
    return false;
}

struct node *node_find(const struct node *mapping, const char *key)
{
    if (!mapping || mapping->kind != NODE_MAPPING)
        return NULL;
    for (struct node *value = mapping->first; value; value = value->next) {
        if (strcmp(value->key->text, key) == 0 && value->key->len == strlen(key))
            return value;
    }
    return NULL;
}

struct node *node_item(struct node *list, size_t index)
{
    struct node *item;

    if (!list || list->kind != NODE_LIST)
        return index == 0 ? list : NULL;
    for (item = list->first; item && item->index != index; item = item->next)
        continue;
    return item;
}

struct node *node_tree_root(const struct node_tree *tree)
{
    return tree->root;
}

void node_tree_destroy(struct node_tree *tree)
{
    if (!tree)
        return;
    while (tree->newest) {
        struct node *node = tree->newest;
        tree->newest = node->older;
        free(node);
    }
    free(tree);
}

/* Line and column, from 1, of a byte: libyaml gives only the offset for text that is not even UTF-8. */
static void locate(const struct builder *b, size_t offset, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < offset && i < b->len; i++) {
        const unsigned char c = (unsigned char)b->text[i];
        const bool in_crlf = c == '\r' && i + 1 < b->len && b->text[i + 1] == '\n';
        if (c == '\n' || (c == '\r' && !in_crlf)) {
            (*line)++;
            *column = 1;
        } else if ((c & 0xc0) != 0x80) { /* continuation bytes of UTF-8 belong to the character before */
            (*column)++;
        }
    }
}

/* True if a tab stands at this place (which counts from 0). */
static bool tab_at(const struct builder *b, const yaml_mark_t *mark)
{
    const char *p = b->text;
    const char *end = b->text + b->len;

    for (size_t line = 0; line < mark->line; line++) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (!p)
            return false;
        p++;
    }
    for (size_t column = 0; column < mark->column && p < end; column++) {
        do
            p++;
        while (p < end && ((unsigned char)*p & 0xc0) == 0x80);
    }
    return p < end && *p == '\t';
}

static void report_syntax_error(struct builder *b)
{
    const yaml_parser_t *parser = &b->parser;
    const yaml_mark_t *mark = &parser->problem_mark;
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    size_t line;
    size_t column;

    if (parser->error == YAML_READER_ERROR) {
        locate(b, parser->problem_offset, &line, &column);
        if (parser->problem_value >= 0)
            report_add(b->report, line, column, "", "not valid text: %s (0x%02x); must be UTF-8 text",
                       problem, (unsigned)parser->problem_value);
        else
            report_add(b->report, line, column, "", "not valid text: %s; must be UTF-8 text", problem);
        return;
    }
    line = mark->line + 1;
    column = mark->column + 1;
    /* libyaml's words for this common slip help nobody. */
    if (strcmp(problem, "found character that cannot start any token") == 0 && tab_at(b, mark))
        report_add(b->report, line, column, "", "not valid YAML: a tab where only spaces may stand");
    else if (parser->context)
        report_add(b->report, line, column, "", "not valid YAML: %s (%s that begins on line %zu)", problem,
                   parser->context, parser->context_mark.line + 1);
    else
        report_add(b->report, line, column, "", "not valid YAML: %s", problem);
}

/* False at an error, which is then reported. */
static bool next_event(struct builder *b, yaml_event_t *event)
{
    if (yaml_parser_parse(&b->parser, event))
        return true;
    if (b->parser.error == YAML_MEMORY_ERROR) {
        b->err = -ENOMEM;
        return false;
    }
    report_syntax_error(b);
    b->err = ERR_CONFIG;
    return false;
}

static const char *misuse_of(const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;

    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else {
        return "aliases (*name) are not supported; write the value out";
    }
    if (anchor)
        return "anchors (&name) are not supported; write each value out";
    return tag ? "tags (!name) are not supported; write the plain value" : NULL;
}

static struct node *new_node(struct builder *b, const yaml_event_t *event, enum node_kind kind)
{
    const bool is_scalar = kind == NODE_SCALAR;
    const size_t len = is_scalar ? event->data.scalar.length : 0;
    struct node *node;

    if (b->tree->count == NODE_COUNT_MAX) {
        report_add(b->report, event->start_mark.line + 1, event->start_mark.column + 1, "",
                   "too many values; a file holds at most %d", NODE_COUNT_MAX);
        b->err = ERR_CONFIG;
        return NULL;
    }
    node = calloc(1, sizeof *node + len + 1);
    if (!node) {
        b->err = -ENOMEM;
        return NULL;
    }
    node->kind = kind;
    node->line = event->start_mark.line + 1;
    node->column = event->start_mark.column + 1;
    node->misuse = misuse_of(event);
    if (is_scalar) {
        node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node->len = len;
        memcpy(node->text, event->data.scalar.value, len);
    }
    node->older = b->tree->newest;
    b->tree->newest = node;
    b->tree->count++;
    return node;
}

static void append(struct node *parent, struct node *child)
{
    child->parent = parent;
    child->index = parent->count++;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

static struct node *read_value(struct builder *b, unsigned depth);

static void read_items(struct builder *b, struct node *list, unsigned depth)
{
    for (struct node *item = read_value(b, depth); item; item = read_value(b, depth))
        append(list, item);
}

static void read_pairs(struct builder *b, struct node *mapping, unsigned depth)
{
    for (struct node *key = read_value(b, depth); key; key = read_value(b, depth)) {
        struct node *value = read_value(b, depth);

        if (!value)
            return;
        key->parent = mapping;
        if (key->kind == NODE_SCALAR) {
            key->key = key;
            value->key = key;
            append(mapping, value);
        } else if (!key->misuse) {
            /* No path can name such a pair, so that it is left out of the tree. */
            key->misuse = "a key must be a single word";
        }
    }
}

/* The next value with all below it; NULL at the end of the list or mapping around it, and at an error. */
static struct node *read_value(struct builder *b, unsigned depth)
{
    struct node *node = NULL;
    yaml_event_t event;

    if (!next_event(b, &event))
        return NULL;
    if (event.type == YAML_SCALAR_EVENT) {
        node = new_node(b, &event, NODE_SCALAR);
    } else if (event.type == YAML_ALIAS_EVENT) {
        node = new_node(b, &event, NODE_ALIAS);
    } else if (event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT) {
        const bool is_list = event.type == YAML_SEQUENCE_START_EVENT;
        if (depth == NODE_DEPTH_MAX) {
            report_add(b->report, event.start_mark.line + 1, event.start_mark.column + 1, "",
                       "nested too deeply; at most %d levels are allowed", NODE_DEPTH_MAX);
            b->err = ERR_CONFIG;
        } else {
            node = new_node(b, &event, is_list ? NODE_LIST : NODE_MAPPING);
        }
        if (node && is_list)
            read_items(b, node, depth + 1);
        else if (node)
            read_pairs(b, node, depth + 1);
    }
    yaml_event_delete(&event);
    return b->err ? NULL : node;
}

/* The stream: its start, no or one document, its end. */
static void read_stream(struct builder *b)
{
    for (bool ended = false; !ended && !b->err;) {
        yaml_event_t event;

        if (!next_event(b, &event))
            return;
        if (event.type == YAML_DOCUMENT_START_EVENT && b->tree->root) {
            report_add(b->report, event.start_mark.line + 1, event.start_mark.column + 1, "",
                       "a second YAML document begins; the file must hold only one");
            b->err = ERR_CONFIG;
        } else if (event.type == YAML_DOCUMENT_START_EVENT) {
            b->tree->root = read_value(b, 0);
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
}

static void report_misuses(struct builder *b)
{
    for (struct node *node = b->tree->newest; node; node = node->older) {
        if (node->misuse)
            node_reject(b->report, node, "%s", node->misuse);
    }
}

/*
 * libyaml compares every %TAG directive with all before it: 4 MiB of them would take it half a minute. They
 * are counted wherever they stand, as a file has no use for them anyway.
 */
static void check_directives(struct builder *b)
{
    static const char TAG[] = "%TAG";
    const char *end = b->text + b->len;
    const char *p = b->text;
    size_t count = 0;
    size_t line;
    size_t column;

    while ((p = memmem(p, (size_t)(end - p), TAG, sizeof TAG - 1)) != NULL) {
        if (count++ == TAG_DIRECTIVES_MAX) {
            locate(b, (size_t)(p - b->text), &line, &column);
            report_add(b->report, line, column, "", "too many %%TAG directives; a file has at most %d",
                       TAG_DIRECTIVES_MAX);
            b->err = ERR_CONFIG;
            return;
        }
        p += sizeof TAG - 1;
    }
}

int node_tree_read(const char *text, size_t len, struct report *report, struct node_tree **out)
{
    static const char BYTE_ORDER_MARK[3] = {'\xef', '\xbb', '\xbf'};
    struct builder b = {.text = text, .len = len, .report = report};

    *out = NULL;
    /* Some editors put one in front; it would shift the columns of the first line. */
    if (len >= sizeof BYTE_ORDER_MARK && memcmp(text, BYTE_ORDER_MARK, sizeof BYTE_ORDER_MARK) == 0) {
        b.text += sizeof BYTE_ORDER_MARK;
        b.len -= sizeof BYTE_ORDER_MARK;
    }
    b.tree = calloc(1, sizeof *b.tree);
    if (!b.tree)
        return -ENOMEM;
    if (!yaml_parser_initialize(&b.parser)) {
        node_tree_destroy(b.tree);
        return -ENOMEM;
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)b.text, b.len);
    check_directives(&b);
    read_stream(&b);
    yaml_parser_delete(&b.parser);
    report_misuses(&b);
    if (b.err) {
        node_tree_destroy(b.tree);
        return b.err;
    }
    *out = b.tree;
    return 0;
}
