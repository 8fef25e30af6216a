#include "admin/top_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/field.h"

/* SERVICE/BACKEND; what is longer is compared by its beginning. */
#define NAME_MAX_BYTES 512

const char *top_sort_word(enum top_sort sort)
{
    static const char *const words[TOP_SORT_COUNT] = {
#define TOP_SORT_WORD(name, word) [TOP_SORT_##name] = (word),
        TOP_SORT_LIST(TOP_SORT_WORD)
#undef TOP_SORT_WORD
    };

    return words[sort];
}

static bool is_shown(const struct top_row *row, const char *filter)
{
    char name[NAME_MAX_BYTES];

    snprintf(name, sizeof name, "%s/%s", row->service, row->backend);
    return strcasestr(name, filter) || strcasestr(field_text(row->json, "address"), filter) ||
           strcasestr(field_text(row->json, "state"), filter) ||
           strcasestr(field_text(row->json, "health"), filter);
}

static int compare_numbers(double a, double b)
{
    return (a < b) - (a > b); /* the greatest first */
}

static double number_of(const struct top_row *row, enum top_sort sort)
{
    switch (sort) {
    case TOP_SORT_CLIENTS:
        return (double)field_number(row->json, "clients");
    case TOP_SORT_NEW:
        return row->trend.new_per_s;
    case TOP_SORT_UNANSWERED:
        return top_history_unanswered(&row->trend);
    case TOP_SORT_IN:
        return (double)field_number(row->json, "rx_bps");
    case TOP_SORT_OUT:
        return (double)field_number(row->json, "tx_bps");
    case TOP_SORT_PROBE:
        return json_number_value(json_object_get(row->json, "probe_ms"));
    case TOP_SORT_NOT:
    case TOP_SORT_NAME:
    case TOP_SORT_COUNT:
    default:
        return 0;
    }
}

static int compare_rows(const void *left, const void *right, void *ctx)
{
    const struct top_row *a = left;
    const struct top_row *b = right;
    const struct top_order *order = ctx;
    int result;

    if (a->service_at != b->service_at)
        return a->service_at < b->service_at ? -1 : 1;
    if (order->sort == TOP_SORT_NAME)
        result = strverscmp(a->backend, b->backend); /* vpn2 before vpn10 */
    else
        result = compare_numbers(number_of(a, order->sort), number_of(b, order->sort));
    if (result == 0)
        result = a->at < b->at ? -1 : 1;
    return order->reversed ? -result : result;
}

int top_list_make(struct top_list *list, const json_t *status, const struct top_history *history,
                  const struct top_order *order)
{
    const json_t *services = json_object_get(status, "services");
    struct top_order sorted_by = *order;
    size_t s, b;
    json_t *service, *backend;

    top_list_deinit(list);
    list->rows = calloc(field_backends(services) + 1, sizeof *list->rows);
    if (!list->rows)
        return -ENOMEM;
    json_array_foreach(services, s, service)
    {
        json_array_foreach(json_object_get(service, "backends"), b, backend)
        {
            struct top_row row = {
                .service = field_text(service, "name"),
                .backend = field_text(backend, "name"),
                .service_at = s,
                .at = list->all++,
                .json = backend,
            };
            if (!is_shown(&row, order->filter))
                continue;
            row.trend = top_history_of(history, row.service, row.backend);
            list->rows[list->count++] = row;
        }
    }
    qsort_r(list->rows, list->count, sizeof *list->rows, compare_rows, &sorted_by);
    return 0;
}

void top_list_deinit(struct top_list *list)
{
    free(list->rows);
    *list = (struct top_list){0};
}
