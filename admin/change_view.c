#include "admin/change_view.h"

#include <stdbool.h>
#include <string.h>

#include "admin/field.h"
#include "admin/human.h"
#include "base/err.h"

/* What becomes of the clients that are there, and of new ones unless a warning tells that. */
static void print_outcome(const struct term *term, const char *state, const json_t *answer)
{
    const char *health = json_string_value(json_object_get(answer, "health"));
    const bool elsewhere = !json_is_string(json_object_get(answer, "warning"));
    const uint64_t clients = field_number(answer, "clients");
    const bool is_one = clients == 1;
    char count[HUMAN_TEXT_MAX];

    human_count(clients, count);
    if (strcmp(state, "enabled") == 0 && health && strcmp(health, "down") == 0)
        fputs("it is down, and gets new clients when it is up again", term->out);
    else if (strcmp(state, "enabled") == 0)
        fputs("it gets new clients", term->out);
    else if (clients == 0)
        fprintf(term->out, "it has no clients%s", elsewhere ? ", new ones go elsewhere" : "");
    else if (strcmp(state, "drain") == 0)
        fprintf(term->out, "%s client%s%s", count, is_one ? " stays until it ends" : "s stay until they end",
                elsewhere ? ", new ones go elsewhere" : "");
    else if (elsewhere)
        fprintf(term->out, "%s client%s elsewhere with the next handshake, as new ones do", count,
                is_one ? " keeps its tunnel until it goes" : "s keep their tunnels until they go");
    else
        fprintf(term->out, "%s client%s", count,
                is_one ? " keeps its tunnel until it ends" : "s keep their tunnels until they end");
}

int change_view_print(const json_t *answer, const struct term *term)
{
    const char *state = json_string_value(json_object_get(answer, "state"));
    const char *was = json_string_value(json_object_get(answer, "was"));

    if (!state)
        return ERR_PROTOCOL;
    term_printf(term, strcmp(state, "enabled") == 0 ? TERM_GOOD : TERM_WARN, "%s%s", state,
                was && strcmp(was, state) == 0 ? " already" : "");
    fputs("; ", term->out);
    print_outcome(term, state, answer);
    return 0;
}
