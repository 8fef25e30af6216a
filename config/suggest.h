/* "Did you mean": how far a misspelt word is from a known one. */
#pragma once

#include <stdbool.h>

/* The distance of words that have nothing to do with each other. */
#define SUGGEST_FAR 1000U

/*
 * The number of slips (a letter wrong, missing, too many, or two exchanged) that lead from `known` to `word`.
 * SUGGEST_FAR if there are more than a third of the known word's letters, unless one word just begins the
 * other. Case is ignored, and
 * '-' and '_' are alike.
 */
unsigned suggest_distance(const char *word, const char *known);

/* Keeps the nearer: true, and *best lowered, if `known` is nearer to `word` than *best (at first
 * SUGGEST_FAR). */
bool suggest_nearer(const char *word, const char *known, unsigned *best);
