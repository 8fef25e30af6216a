/* Keys as a terminal sends them: bytes, some of which are sequences of several. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Printable ASCII stands for itself. */
enum top_key {
    TOP_KEY_NONE = 0, /* nothing that means anything */
    TOP_KEY_ENTER = 256,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_UP,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_INTERRUPT, /* Ctrl-C */
    TOP_KEY_SUSPEND,   /* Ctrl-Z */
    TOP_KEY_REDRAW,    /* Ctrl-L */
};

/* The longest sequence; what is longer is none. */
#define TOP_KEY_BYTES_MAX 16

/*
 * The first key of the bytes in *key, and the bytes that it takes. 0 if a sequence has only begun, unless
 * `is_all` says that no more comes: then its first byte is a key of its own.
 */
size_t top_key_read(const char *bytes, size_t len, bool is_all, int *key);
