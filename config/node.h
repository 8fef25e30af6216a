/* A YAML document as a tree in which every node knows its place in the file and its key path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/report.h"

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING, NODE_ALIAS };

/* Bounds that no sane file meets; beyond them the file is refused, so that it cannot exhaust memory or the
 * stack. */
#define NODE_DEPTH_MAX 16
#define NODE_COUNT_MAX 200000
#define NODE_PATH_MAX  4096

struct node {
    enum node_kind kind;
    bool plain; /* a scalar without quotes */
    bool bad;   /* an error has been reported here */
    size_t line;
    size_t column;
    const char *misuse;  /* a YAML feature used here that ikelb does not take, or NULL */
    struct node *parent; /* NULL at the root */
    struct node *key;    /* in a mapping: the scalar before the colon; a key's key is itself */
    size_t index;        /* in a list */
    struct node *first;  /* a list's items or a mapping's values, linked by `next` */
    struct node *last;
    struct node *next;
    size_t count;       /* of the children */
    struct node *older; /* the tree's chain of all nodes */
    size_t len;         /* bytes of a scalar's text, which may contain NUL bytes */
    char text[];
};

struct node_tree;

/*
 * Reads one YAML document. 0 with the tree in *out; the caller destroys it. YAML features that would make a
 * configuration hard to judge (anchors, aliases, tags) are reported, but reading goes on. ERR_CONFIG if the
 * text is no YAML document, which is reported, or exceeds the bounds above; -ENOMEM.
 */
int node_tree_read(const char *text, size_t len, struct report *report, struct node_tree **out);
void node_tree_destroy(struct node_tree *tree);

/* NULL if the file holds no document at all. Nodes live as long as the tree. */
struct node *node_tree_root(const struct node_tree *tree);

/* Nothing, or one of the words that YAML reads as nothing. */
bool node_is_null(const struct node *node);

/* The value of a key of a mapping (the first, if the key is given twice), or NULL; NULL for no mapping as
 * well. */
struct node *node_find(const struct node *mapping, const char *key);

/* Item number `index` of a list; a single value is a list of itself, as for `vip`. NULL beyond the end. */
struct node *node_item(struct node *list, size_t index);

/* Writes "services[0].backends[2].weight" and returns `path`; the root's path is empty. */
const char *node_path(const struct node *node, char path[static NODE_PATH_MAX]);

/* Reports an error at a value, with its path, and marks it bad. */
void node_reject(struct report *report, struct node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, but pointing at the value's key. */
void node_reject_key(struct report *report, struct node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
