/* What the keys of `ikelb top` do: order, filter, the selected backend, questions. Knows no terminal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "admin/term.h"
#include "admin/top_list.h"

#define TOP_FILTER_MAX  32
#define TOP_NAME_MAX    256
#define TOP_MESSAGE_MAX 512

enum top_mode { TOP_MODE_LIST, TOP_MODE_FILTER, TOP_MODE_CONFIRM, TOP_MODE_HELP };

/* A backend by its names. */
struct top_target {
    char service[TOP_NAME_MAX];
    char backend[TOP_NAME_MAX];
};

struct top_ui {
    enum top_mode mode;
    enum top_sort sort;
    bool reversed;
    char filter[TOP_FILTER_MAX];
    struct top_target selected; /* which stays the same while the rows around it move */
    size_t selected_at;         /* its row */
    size_t scrolled;            /* lines of the body that are above the screen */
    const char *verb;           /* asked for: "drain", "enable" or "disable"; static */
    struct top_target asked;    /* of it */
    char message[TOP_MESSAGE_MAX];
    enum term_tone message_tone;
};

/* What the caller is to do. */
enum top_wish {
    TOP_WISH_NOTHING, /* but to draw the screen */
    TOP_WISH_LIST,    /* the order or the filter has changed: make the list again */
    TOP_WISH_CHANGE,  /* `verb` is to be done to `asked` */
    TOP_WISH_REDRAW,
    TOP_WISH_SUSPEND,
    TOP_WISH_QUIT,
};

/* One key (admin/top_key.h), while this list is shown. */
enum top_wish top_ui_key(struct top_ui *ui, int key, const struct top_list *list);

/* The list has been made again: finds the selected backend in it or, if it is gone, selects its neighbour. */
void top_ui_settle(struct top_ui *ui, const struct top_list *list);

/* Says something in the line for it, until the next key. */
void top_ui_say(struct top_ui *ui, enum term_tone tone, const char *text);
