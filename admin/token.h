/* The bearer token that allows changes over the network: read from its file, compared without telling how. */
#pragma once

#include <stdbool.h>

#include "base/log.h"

#define TOKEN_MIN 16 /* what is shorter can be guessed */
#define TOKEN_MAX 255

/* All zero: there is none, and nothing matches. */
struct token {
    char text[TOKEN_MAX + 1];
};

/*
 * Reads the token: one word of TOKEN_MIN to TOKEN_MAX letters, digits and "-._~+/=" (RFC 6750 section 2.1),
 * white space after it aside. 0; or, after a logged error, -errno, or ERR_MALFORMED for what is no token.
 * Warns of a file that others may read.
 */
int token_read(const char *path, const struct log *log, struct token *out);

/* The time that this takes tells nothing about the token. `presented` may be NULL. */
bool token_matches(const struct token *token, const char *presented);
