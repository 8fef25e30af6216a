/* The screen of `ikelb top`: totals, the latest handshakes, services with their alarms and backends. */
#pragma once

#include "admin/term.h"
#include "admin/top_ui.h"

struct top_screen {
    const json_t *status; /* the latest answer */
    const struct top_list *list;
    struct top_ui *ui;   /* whose `scrolled` follows the selected row */
    const char *trouble; /* why there is no newer answer; NULL: this is the newest */
    uint64_t trouble_s;  /* for so long */
    unsigned height;     /* lines; 0: as many as it takes, without what is for keys */
};

/*
 * Prints the screen: `height` lines, the last one without an end. Lines may be wider than the terminal, which
 * is to cut them. 0, or -ENOMEM with nothing printed.
 */
int top_view_print(const struct top_screen *screen, const struct term *term);
