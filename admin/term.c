#include "admin/term.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* One character as term_put() writes it: the bytes, or '?' if they may not be shown. */
struct glyph {
    const char *bytes;
    size_t len;   /* of the bytes shown */
    size_t taken; /* of the text */
    size_t columns;
};

/* Bytes of the UTF-8 character that begins here (RFC 3629), and its code point; 0 if there is none. */
static size_t decode(const unsigned char *s, uint32_t *code)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least; /* smaller codes have a shorter form and may not come in this one */
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t more = 0; more < 4; more++) {
        if ((s[0] & forms[more].mask) != forms[more].lead)
            continue;
        *code = s[0] & (unsigned char)~forms[more].mask;
        for (size_t i = 1; i <= more; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            *code = *code << 6 | (s[i] & 0x3f);
        }
        const bool is_surrogate = *code >= 0xd800 && *code < 0xe000;
        return *code >= forms[more].least && *code < 0x110000 && !is_surrogate ? more + 1 : 0;
    }
    return 0;
}

static struct glyph next_glyph(const char *text)
{
    uint32_t code = 0;
    const size_t len = decode((const unsigned char *)text, &code);
    const struct glyph unshown = {.bytes = "?", .len = 1, .taken = len ? len : 1, .columns = 1};

    if (len == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
        return unshown;
    /* Outside a UTF-8 locale wcwidth() knows ASCII only and says -1 to the rest; one column is the best guess
     * then. */
    const int width = wcwidth((wchar_t)code);
    return (struct glyph){.bytes = text, .len = len, .taken = len, .columns = width < 0 ? 1 : (size_t)width};
}

size_t term_columns(const char *text)
{
    size_t columns = 0;

    while (*text) {
        const struct glyph g = next_glyph(text);
        columns += g.columns;
        text += g.taken;
    }
    return columns;
}

static bool wants_colour(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(fileno(out)) && !(no_color && *no_color) && terminal && *terminal &&
           strcmp(terminal, "dumb") != 0;
}

static unsigned width_of(FILE *out)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;

    if (!isatty(fileno(out)))
        return 0;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    return columns ? (unsigned)strtoul(columns, NULL, 10) : 0;
}

struct term term_of(FILE *out)
{
    return (struct term){.out = out, .has_colour = wants_colour(out), .width = width_of(out)};
}

void term_put(const struct term *term, enum term_tone tone, const char *text)
{
    /* The sixteen colours, which every theme makes legible on its own background. */
    static const char *const sequences[TERM_TONE_COUNT] = {
        [TERM_STRONG] = "\033[1m", [TERM_GOOD] = "\033[32m", [TERM_WARN] = "\033[33m",
        [TERM_BAD] = "\033[1;31m", [TERM_FAINT] = "\033[2m", [TERM_PICKED] = "\033[7m",
    };
    const bool coloured = term->has_colour && sequences[tone];

    if (coloured)
        fputs(sequences[tone], term->out);
    while (*text) {
        const struct glyph g = next_glyph(text);
        fwrite(g.bytes, 1, g.len, term->out);
        text += g.taken;
    }
    if (coloured)
        fputs("\033[0m", term->out);
}

void term_printf(const struct term *term, enum term_tone tone, const char *format, ...)
{
    char text[TERM_LINE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    term_put(term, tone, text);
}

/* Bytes of the text that make up a line of so many columns: up to a blank, if there is one at all. */
static size_t line_len(const char *text, size_t columns_max)
{
    size_t columns = 0;
    size_t fits = 0; /* bytes up to the last blank so far */
    size_t at = 0;

    while (text[at]) {
        const struct glyph g = next_glyph(text + at);
        if (text[at] == ' ')
            fits = at;
        columns += g.columns;
        at += g.taken;
        if (columns > columns_max && fits)
            return fits;
    }
    return at;
}

void term_prose(const struct term *term, enum term_tone tone, unsigned indent, const char *text)
{
    const unsigned width = term->width < TERM_PROSE_MAX ? term->width : TERM_PROSE_MAX;

    while (*text) {
        const size_t len = term->width ? line_len(text, width > indent ? width - indent : 1) : strlen(text);
        term_printf(term, tone, "%.*s", (int)len, text);
        text += len + (text[len] == ' ');
        if (*text)
            fprintf(term->out, "\n%*s", (int)indent, "");
    }
    fputc('\n', term->out);
}

size_t term_fit(const char *line, size_t columns_max, size_t *filled)
{
    const char *at = line;

    *filled = 0;
    while (*at) {
        if (*at == '\033') { /* one of term_put()'s own */
            at += strcspn(at, "m");
            at += *at == 'm';
            continue;
        }
        const struct glyph g = next_glyph(at);
        if (*filled + g.columns > columns_max)
            break;
        *filled += g.columns;
        at += g.taken;
    }
    return (size_t)(at - line);
}
