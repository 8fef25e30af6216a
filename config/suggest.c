#include "config/suggest.h"

#include <stddef.h>
#include <string.h>

/* No key or word of the configuration is nearly as long; it bounds the work a hostile file can cause. */
#define WORD_MAX 32

/* Fewer letters say too little about the word that was meant. */
#define BEGINNING_MIN 3

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static char folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

/* Optimal string alignment: Levenshtein's distance in which two neighbours exchanged are one slip. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[WORD_MAX + 1][WORD_MAX + 1];

    for (size_t i = 0; i <= a_len; i++)
        rows[i][0] = (unsigned)i;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        for (size_t j = 1; j <= b_len; j++) {
            const unsigned wrong = folded(a[i - 1]) != folded(b[j - 1]);
            unsigned slips = least(rows[i - 1][j] + 1, rows[i][j - 1] + 1);
            slips = least(slips, rows[i - 1][j - 1] + wrong);
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                folded(a[i - 2]) == folded(b[j - 1]))
                slips = least(slips, rows[i - 2][j - 2] + 1);
            rows[i][j] = slips;
        }
    }
    return rows[a_len][b_len];
}

/* One of the words begins the other, as "warn" begins "warning". */
static bool is_beginning(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const size_t shorter = a_len < b_len ? a_len : b_len;
    size_t same = 0;

    while (same < shorter && folded(a[same]) == folded(b[same]))
        same++;
    return shorter >= BEGINNING_MIN && same == shorter;
}

unsigned suggest_distance(const char *word, const char *known)
{
    const size_t word_len = strlen(word);
    const size_t known_len = strlen(known);
    unsigned slips;

    if (word_len > WORD_MAX || known_len > WORD_MAX)
        return SUGGEST_FAR;
    slips = distance(word, word_len, known, known_len);
    return (size_t)slips * 3 <= known_len || is_beginning(word, word_len, known, known_len) ? slips
                                                                                            : SUGGEST_FAR;
}

bool suggest_nearer(const char *word, const char *known, unsigned *best)
{
    const unsigned slips = suggest_distance(word, known);

    if (slips >= *best)
        return false;
    *best = slips;
    return true;
}
