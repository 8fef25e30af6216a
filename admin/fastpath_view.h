/* What the screens say of the fast path. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#define FASTPATH_VIEW_MAX 256

/* Texts are borrowed from the document; NULL for what is not there. */
struct fastpath_view {
    const char *mode;
    int per_cent;          /* of the packets that are forwarded now; negative: there are none */
    const char *interface; /* one that is not served */
    const char *trouble;   /* why it is not; or why there is no fast path at all */
    size_t troubles;       /* how many interfaces are not served */
};

/* Of the daemon's status; one of another version may know nothing of it. */
struct fastpath_view fastpath_view_of(const json_t *status);

/* "native, 98% of packets"; returns `text`, as does the next. */
const char *fastpath_view_use(const struct fastpath_view *view, char text[static FASTPATH_VIEW_MAX]);

/* "not on eth1 (another XDP program is attached) and 2 more"; empty if there is no trouble. */
const char *fastpath_view_trouble(const struct fastpath_view *view, char text[static FASTPATH_VIEW_MAX]);
