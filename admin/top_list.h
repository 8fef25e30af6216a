/* The backends that `ikelb top` shows, in its order: service by service, filtered, sorted within each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "admin/top_history.h"

/* X(name, word); the first is the order of the configuration. */
#define TOP_SORT_LIST(X)                                                                                     \
    X(NOT, "as in file")                                                                                     \
    X(NAME, "name")                                                                                          \
    X(CLIENTS, "clients")                                                                                    \
    X(NEW, "new/s")                                                                                          \
    X(UNANSWERED, "unanswered")                                                                              \
    X(IN, "in")                                                                                              \
    X(OUT, "out")                                                                                            \
    X(PROBE, "probe time")

enum top_sort {
#define TOP_SORT_ENUM(name, word) TOP_SORT_##name,
    TOP_SORT_LIST(TOP_SORT_ENUM)
#undef TOP_SORT_ENUM
        TOP_SORT_COUNT
};

/* Static. */
const char *top_sort_word(enum top_sort sort);

/* Names and the JSON are borrowed from the status document. */
struct top_row {
    const char *service;
    const char *backend;
    size_t service_at; /* of the document's services */
    size_t at;         /* of all backends, as the document has them */
    const json_t *json;
    struct top_trend trend;
};

struct top_list {
    struct top_row *rows;
    size_t count;
    size_t all; /* backends, those that the filter hides included */
};

struct top_order {
    const char *filter; /* part of SERVICE/BACKEND, the address, the state or the health; empty: all */
    enum top_sort sort; /* numbers begin with the greatest */
    bool reversed;
};

/* Replaces the list. 0; or -ENOMEM, and it is empty. The status must live as long as the list is used. */
int top_list_make(struct top_list *list, const json_t *status, const struct top_history *history,
                  const struct top_order *order);
void top_list_deinit(struct top_list *list);
