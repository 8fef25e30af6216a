/*
 * The body of an answer that is written in slices, one each turn of the loop, so that a long answer never
 * holds up packets.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* Rows (backends, clients) in one slice: some 50 microseconds. */
#define BODY_SLICE_ROWS 8

enum body_step { BODY_MORE, BODY_END };

struct body {
    /* Writes the next slice, at least one byte unless it is the last: an enum body_step, or a negative error.
     */
    int (*next)(void *state, FILE *out);
    void (*destroy)(void *state); /* called once, at the end or whenever the reader goes away */
    void *state;
};

/*
 * Writes the value compactly and drops the reference, which is stolen; `flags` are further JSON_* flags. 0,
 * or -ENOMEM, also for a NULL value, so that the result of json_pack() can be passed on as it is.
 */
int body_write_json(FILE *out, json_t *value, size_t flags);

/* The whole body as text, to be freed; NULL after an error. Destroys the state. For answers known to be
 * short. */
char *body_collect(struct body *body);
