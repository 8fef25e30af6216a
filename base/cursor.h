/*
 * Byte cursors over packet memory: every access is checked, and an access past the end sets a sticky error,
 * so that a parser reads on and asks once at the end. Integers are big-endian on the wire and in host order
 * here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads. Visible, so that it can live on the stack; use the functions. */
struct cursor {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};

struct cursor cursor_over(const void *data, size_t len);

/* Bytes left; 0 once failed. */
size_t cursor_left(const struct cursor *c);

/* The value, or 0 (and the error set) past the end. */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);

/* Pointer to the next `len` bytes, borrowed from the packet; NULL past the end. */
const uint8_t *cursor_bytes(struct cursor *c, size_t len);

/* A cursor over the next `len` bytes, which this cursor steps over; both failed if there are fewer. */
struct cursor cursor_slice(struct cursor *c, size_t len);

/* Writes. A write past the end sets `failed` and changes nothing. */
struct writer {
    uint8_t *start;
    uint8_t *pos;
    uint8_t *end;
    bool failed;
};

struct writer writer_over(void *data, size_t size);

/* Bytes written so far. */
size_t writer_len(const struct writer *w);

void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *data, size_t len);

/* Overwrites two or four bytes at `offset` of what has been written already: lengths known only at the end.
 */
void writer_patch_u16(struct writer *w, size_t offset, uint16_t v);
void writer_patch_u32(struct writer *w, size_t offset, uint32_t v);
