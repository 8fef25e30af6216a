/* What the file may hold: tables of keys, from which reading, defaults, error messages and printing are
 * driven. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/words.h"

enum schema_kind {
    SCHEMA_NAME,         /* char[CONFIG_NAME_MAX] */
    SCHEMA_PATH,         /* char[CONFIG_PATH_MAX]; see `may_be_off` */
    SCHEMA_NUMBER,       /* uint32_t; see `may_be_off` */
    SCHEMA_DURATION,     /* uint32_t, milliseconds */
    SCHEMA_WORD,         /* an enum; see `words` */
    SCHEMA_FLAG,         /* bool; see `words` */
    SCHEMA_PROBE,        /* struct config_health: its `probe` and `tcp_port` */
    SCHEMA_ADDRESS,      /* struct addr */
    SCHEMA_LISTEN,       /* struct endpoint; see `may_be_off` */
    SCHEMA_ADDRESSES,    /* array of struct addr, or pointer to one; see `in_place` */
    SCHEMA_SECTION,      /* a struct; see `section` */
    SCHEMA_SECTION_LIST, /* pointer to an array of structs; see `section` */
};

struct schema_key {
    const char *name;
    enum schema_kind kind;
    bool required;
    bool needs_restart;        /* a running daemon keeps the value that it was started with */
    bool may_be_off;           /* the word "off" is allowed, too: the number 0, the port 0, no path */
    bool in_place;             /* addresses: the array itself lies at `offset`, not a pointer to it */
    size_t offset;             /* of the value, in the section's struct */
    size_t count_offset;       /* lists: of the size_t that counts the items */
    uint32_t min;              /* numbers and durations */
    uint32_t max;              /* the same; lists: the most items */
    uint32_t fallback;         /* the default of numbers, durations, words and flags */
    const char *fallback_text; /* the default of paths (NULL: none) and of addresses to listen on */
    const struct words *words; /* of words and flags */
    const struct schema *section;
    const char *plural; /* of section lists: what the items are */
};

struct schema {
    const struct schema_key *keys;
    size_t key_count;
    size_t size; /* of the struct that this section fills */
};

/* The word of numbers, paths and addresses to listen on that may be off. */
#define SCHEMA_OFF "off"

/* No section has more keys. */
#define SCHEMA_KEYS_MAX 16

/* The whole file: struct config. */
extern const struct schema schema_file;

/* The key of that name, or NULL. */
const struct schema_key *schema_find(const struct schema *schema, const char *name);

/* Fills a zeroed struct with the defaults, those of the sections inside it included. */
void schema_set_defaults(const struct schema *schema, void *object);

/* The items of a list key of that section's struct: their array, and their number in *count. */
const void *schema_items(const struct schema_key *key, const void *object, size_t *count);

/* Writes what is allowed for the key, as in "must be ..."; returns `text`. */
#define SCHEMA_TEXT_MAX 512
const char *schema_expected(const struct schema_key *key, char text[static SCHEMA_TEXT_MAX]);

/* Writes the names of the section's keys with commas between; returns `text`. */
const char *schema_key_names(const struct schema *schema, char text[static SCHEMA_TEXT_MAX]);
