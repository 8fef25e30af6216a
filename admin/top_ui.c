#include "admin/top_ui.h"

#include <stdio.h>
#include <string.h>

#include "admin/top_key.h"

#define PAGE_ROWS 10

void top_ui_say(struct top_ui *ui, enum term_tone tone, const char *text)
{
    snprintf(ui->message, sizeof ui->message, "%s", text);
    ui->message_tone = tone;
}

static void select_row(struct top_ui *ui, const struct top_list *list, size_t at)
{
    if (list->count == 0) {
        ui->selected = (struct top_target){0};
        ui->selected_at = 0;
        return;
    }
    ui->selected_at = at < list->count ? at : list->count - 1;
    const struct top_row *row = &list->rows[ui->selected_at];
    snprintf(ui->selected.service, sizeof ui->selected.service, "%s", row->service);
    snprintf(ui->selected.backend, sizeof ui->selected.backend, "%s", row->backend);
}

void top_ui_settle(struct top_ui *ui, const struct top_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->rows[i].service, ui->selected.service) == 0 &&
            strcmp(list->rows[i].backend, ui->selected.backend) == 0) {
            ui->selected_at = i;
            return;
        }
    }
    select_row(ui, list, ui->selected_at);
}

/* The question names what was selected when it was asked, whatever moves or goes until it is answered. */
static enum top_wish ask(struct top_ui *ui, const struct top_list *list, const char *verb)
{
    if (list->count == 0)
        return TOP_WISH_NOTHING;
    ui->verb = verb;
    ui->asked = ui->selected;
    ui->mode = TOP_MODE_CONFIRM;
    return TOP_WISH_NOTHING;
}

static enum top_wish move(struct top_ui *ui, const struct top_list *list, int key)
{
    const size_t at = ui->selected_at;

    switch (key) {
    case TOP_KEY_UP:
        select_row(ui, list, at ? at - 1 : 0);
        break;
    case TOP_KEY_DOWN:
        select_row(ui, list, at + 1);
        break;
    case TOP_KEY_PAGE_UP:
        select_row(ui, list, at > PAGE_ROWS ? at - PAGE_ROWS : 0);
        break;
    case TOP_KEY_PAGE_DOWN:
        select_row(ui, list, at + PAGE_ROWS);
        break;
    case TOP_KEY_HOME:
        select_row(ui, list, 0);
        break;
    case TOP_KEY_END:
        select_row(ui, list, list->count);
        break;
    default:
        break;
    }
    return TOP_WISH_NOTHING;
}

static enum top_wish list_key(struct top_ui *ui, int key, const struct top_list *list)
{
    switch (key) {
    case 'q':
        return TOP_WISH_QUIT;
    case '?':
    case 'h':
        ui->mode = TOP_MODE_HELP;
        return TOP_WISH_NOTHING;
    case '/':
        ui->mode = TOP_MODE_FILTER;
        return TOP_WISH_NOTHING;
    case 's':
        ui->sort = (ui->sort + 1) % TOP_SORT_COUNT;
        return TOP_WISH_LIST;
    case 'S':
        ui->sort = (ui->sort + TOP_SORT_COUNT - 1) % TOP_SORT_COUNT;
        return TOP_WISH_LIST;
    case 'r':
        ui->reversed = !ui->reversed;
        return TOP_WISH_LIST;
    case 'd':
        return ask(ui, list, "drain");
    case 'e':
        return ask(ui, list, "enable");
    case 'x':
        return ask(ui, list, "disable");
    case TOP_KEY_ESCAPE:
        ui->filter[0] = '\0';
        return TOP_WISH_LIST;
    default:
        return move(ui, list, key);
    }
}

/* The list follows each letter. */
static enum top_wish filter_key(struct top_ui *ui, int key, const struct top_list *list)
{
    const size_t len = strlen(ui->filter);

    if (key == TOP_KEY_ENTER) {
        ui->mode = TOP_MODE_LIST;
        return TOP_WISH_NOTHING;
    }
    if (key == TOP_KEY_ESCAPE) {
        ui->mode = TOP_MODE_LIST;
        ui->filter[0] = '\0';
    } else if (key == TOP_KEY_BACKSPACE) {
        ui->filter[len ? len - 1 : 0] = '\0';
    } else if (key > ' ' && key <= '~' && len + 1 < sizeof ui->filter) {
        ui->filter[len] = (char)key;
        ui->filter[len + 1] = '\0';
    } else {
        return move(ui, list, key);
    }
    return TOP_WISH_LIST;
}

/* Nothing but a clear yes does it. */
static enum top_wish confirm_key(struct top_ui *ui, int key)
{
    ui->mode = TOP_MODE_LIST;
    if (key == 'y' || key == 'Y')
        return TOP_WISH_CHANGE;
    top_ui_say(ui, TERM_PLAIN, "nothing was changed");
    return TOP_WISH_NOTHING;
}

enum top_wish top_ui_key(struct top_ui *ui, int key, const struct top_list *list)
{
    if (key == TOP_KEY_NONE)
        return TOP_WISH_NOTHING;
    if (key == TOP_KEY_INTERRUPT)
        return TOP_WISH_QUIT;
    if (key == TOP_KEY_SUSPEND)
        return TOP_WISH_SUSPEND;
    if (key == TOP_KEY_REDRAW)
        return TOP_WISH_REDRAW;
    ui->message[0] = '\0';
    switch (ui->mode) {
    case TOP_MODE_FILTER:
        return filter_key(ui, key, list);
    case TOP_MODE_CONFIRM:
        return confirm_key(ui, key);
    case TOP_MODE_HELP:
        ui->mode = TOP_MODE_LIST;
        return TOP_WISH_NOTHING;
    case TOP_MODE_LIST:
    default:
        return list_key(ui, key, list);
    }
}
