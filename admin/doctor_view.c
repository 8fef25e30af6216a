#include "admin/doctor_view.h"

#include <stdio.h>
#include <string.h>

#define TITLE_COLUMNS  17 /* "IKE fragmentation" */
#define STATUS_COLUMNS 10 /* "not tested" */
#define GAP            2
#define TEXT_INDENT    (GAP + TITLE_COLUMNS + GAP + STATUS_COLUMNS + GAP)
#define ADVICE_INDENT  6

static enum term_tone tone_of(enum finding_status status)
{
    static const enum term_tone tones[] = {
        [FINDING_OK] = TERM_GOOD,
        [FINDING_UNTESTED] = TERM_FAINT,
        [FINDING_WARNING] = TERM_WARN,
        [FINDING_FAILED] = TERM_BAD,
    };

    return tones[status];
}

/* `above` (or NULL) is the line before: the same advice is not given twice in a row. */
static void print_finding(const struct finding *f, const struct finding *above, const struct term *term)
{
    const char *status = finding_status_name(f->status);

    fprintf(term->out, "%*s%-*s%*s", GAP, "", TITLE_COLUMNS, f->title, GAP, "");
    term_put(term, tone_of(f->status), status);
    fprintf(term->out, "%*s", (int)(STATUS_COLUMNS - strlen(status)) + GAP, "");
    term_prose(term, f->status == FINDING_UNTESTED ? TERM_FAINT : TERM_PLAIN, TEXT_INDENT, f->text);
    if (!f->advice || (above && above->advice && strcmp(f->advice, above->advice) == 0))
        return;
    fprintf(term->out, "%*s", ADVICE_INDENT, "");
    term_prose(term, f->status == FINDING_UNTESTED ? TERM_FAINT : TERM_PLAIN, ADVICE_INDENT, f->advice);
}

static void print_title(const struct term *term, const char *title)
{
    term_put(term, TERM_STRONG, title);
    fputc('\n', term->out);
}

void doctor_view_print(const struct findings *all, const char *host, const struct term *term)
{
    char text[FINDINGS_VERDICT_MAX];
    char address[ADDR_TEXT_MAX];
    const enum finding_status verdict = findings_verdict(all);

    print_title(term, host);
    print_finding(&all->name, NULL, term);
    for (size_t i = 0; i < all->address_count; i++) {
        const struct findings_address *a = &all->addresses[i];
        fputc('\n', term->out);
        print_title(term, addr_format(&a->addr, address));
        for (size_t k = 0; k < a->count; k++)
            print_finding(&a->list[k], k ? &a->list[k - 1] : NULL, term);
    }
    fputc('\n', term->out);
    term_printf(term, tone_of(verdict), "%s: ", finding_status_name(verdict));
    term_prose(term, TERM_PLAIN, (unsigned)strlen(finding_status_name(verdict)) + 2,
               findings_verdict_text(all, text));
}

/* A host may be any bytes; what is not UTF-8 comes out as '?'. */
static json_t *text_json(const char *text)
{
    char clean[FINDING_TEXT_MAX];
    json_t *as_it_is = json_string(text);

    if (as_it_is)
        return as_it_is;
    snprintf(clean, sizeof clean, "%s", text);
    for (char *c = clean; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(clean);
}

static json_t *finding_json(const struct finding *f)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:s?}", "check", f->id, "title", f->title, "status",
                     finding_status_name(f->status), "text", text_json(f->text), "advice", f->advice);
}

static json_t *address_json(const struct findings_address *a)
{
    char text[ADDR_TEXT_MAX];
    json_t *checks = json_array();

    for (size_t i = 0; i < a->count; i++)
        json_array_append_new(checks, finding_json(&a->list[i]));
    return json_pack("{s:s, s:o}", "address", addr_format(&a->addr, text), "checks", checks);
}

json_t *doctor_view_json(const struct findings *all, const char *host)
{
    char text[FINDINGS_VERDICT_MAX];
    json_t *addresses = json_array();

    for (size_t i = 0; i < all->address_count; i++)
        json_array_append_new(addresses, address_json(&all->addresses[i]));
    return json_pack("{s:o, s:s, s:s, s:o, s:o}", "host", text_json(host), "verdict",
                     finding_status_name(findings_verdict(all)), "text", findings_verdict_text(all, text),
                     "name", finding_json(&all->name), "addresses", addresses);
}
