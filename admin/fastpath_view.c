#include "admin/fastpath_view.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "admin/field.h"

/* 100 and 0 are all and none. */
static int share(uint64_t part, uint64_t whole)
{
    if (whole == 0)
        return -1;
    if (part == 0 || part >= whole)
        return part ? 100 : 0;
    const int per_cent = (int)((double)part * 100 / (double)whole + 0.5);
    if (per_cent == 0)
        return 1;
    return per_cent == 100 ? 99 : per_cent;
}

static int share_now(const json_t *status)
{
    uint64_t fast = 0, all = 0;
    size_t s, b;
    json_t *service, *backend;

    json_array_foreach(json_object_get(status, "services"), s, service)
    {
        json_array_foreach(json_object_get(service, "backends"), b, backend)
        {
            fast += field_number(backend, "fast_pps");
            all += field_number(backend, "rx_pps") + field_number(backend, "tx_pps");
        }
    }
    return share(fast, all);
}

struct fastpath_view fastpath_view_of(const json_t *status)
{
    const json_t *fastpath = json_object_get(status, "fastpath");
    struct fastpath_view view = {.mode = json_string_value(json_object_get(fastpath, "mode")),
                                 .trouble = json_string_value(json_object_get(fastpath, "trouble")),
                                 .per_cent = share_now(status)};
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(fastpath, "interfaces"), i, one)
    {
        const char *trouble = json_string_value(json_object_get(one, "trouble"));
        if (!trouble)
            continue;
        if (view.troubles++)
            continue;
        view.interface = field_text(one, "name");
        view.trouble = trouble;
    }
    return view;
}

const char *fastpath_view_use(const struct fastpath_view *view, char text[static FASTPATH_VIEW_MAX])
{
    const char *mode = view->mode ? view->mode : "-";

    if (view->per_cent < 0 || strcmp(mode, "off") == 0)
        snprintf(text, FASTPATH_VIEW_MAX, "%s", mode);
    else
        snprintf(text, FASTPATH_VIEW_MAX, "%s, %d%% of packets", mode, view->per_cent);
    return text;
}

const char *fastpath_view_trouble(const struct fastpath_view *view, char text[static FASTPATH_VIEW_MAX])
{
    snprintf(text, FASTPATH_VIEW_MAX, "%s", view->trouble ? view->trouble : "");
    if (view->troubles == 1)
        snprintf(text, FASTPATH_VIEW_MAX, "not on %s (%s)", view->interface, view->trouble);
    else if (view->troubles)
        snprintf(text, FASTPATH_VIEW_MAX, "not on %s (%s) and %zu more", view->interface, view->trouble,
                 view->troubles - 1);
    return text;
}
