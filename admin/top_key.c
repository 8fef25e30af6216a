#include "admin/top_key.h"

#include <string.h>

#define ESCAPE '\033'

/* ECMA-48 section 5.4: parameters and intermediate bytes, and then one that ends the sequence. */
static bool is_final(char c)
{
    return c >= 0x40 && c <= 0x7e;
}

static int key_of_sequence(const char *bytes, size_t len)
{
    /* As xterm, VT220 and the Linux console have them. */
    static const struct {
        const char *sequence; /* after the Escape */
        int key;
    } sequences[] = {
        {"[A", TOP_KEY_UP},       {"OA", TOP_KEY_UP},         {"[B", TOP_KEY_DOWN}, {"OB", TOP_KEY_DOWN},
        {"[5~", TOP_KEY_PAGE_UP}, {"[6~", TOP_KEY_PAGE_DOWN}, {"[H", TOP_KEY_HOME}, {"OH", TOP_KEY_HOME},
        {"[1~", TOP_KEY_HOME},    {"[7~", TOP_KEY_HOME},      {"[F", TOP_KEY_END},  {"OF", TOP_KEY_END},
        {"[4~", TOP_KEY_END},     {"[8~", TOP_KEY_END},
    };

    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++)
        if (strlen(sequences[i].sequence) == len - 1 &&
            memcmp(sequences[i].sequence, bytes + 1, len - 1) == 0)
            return sequences[i].key;
    return TOP_KEY_NONE;
}

/* The bytes of the sequence that begins here; 0 if it has no end yet. One that is none is an Escape. */
static size_t sequence_len(const char *bytes, size_t len)
{
    if (len == 1)
        return 0;
    if (bytes[1] == 'O')
        return len >= 3 ? 3 : 0;
    if (bytes[1] != '[')
        return 1;
    for (size_t i = 2; i < len; i++)
        if (is_final(bytes[i]))
            return i + 1;
    return len < TOP_KEY_BYTES_MAX ? 0 : len;
}

static int key_of_byte(char c)
{
    switch (c) {
    case '\r':
    case '\n':
        return TOP_KEY_ENTER;
    case '\b':
    case 0x7f:
        return TOP_KEY_BACKSPACE;
    case 3:
        return TOP_KEY_INTERRUPT;
    case 12:
        return TOP_KEY_REDRAW;
    case 26:
        return TOP_KEY_SUSPEND;
    case ESCAPE:
        return TOP_KEY_ESCAPE;
    default:
        return c >= ' ' && c <= '~' ? c : TOP_KEY_NONE;
    }
}

size_t top_key_read(const char *bytes, size_t len, bool is_all, int *key)
{
    size_t taken = 1;

    *key = TOP_KEY_NONE;
    if (len == 0)
        return 0;
    if (bytes[0] == ESCAPE)
        taken = sequence_len(bytes, len);
    if (taken == 0 && !is_all)
        return 0;
    if (taken <= 1) {
        *key = key_of_byte(bytes[0]);
        return 1;
    }
    *key = key_of_sequence(bytes, taken);
    return taken;
}
