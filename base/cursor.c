#include "base/cursor.h"

#include <string.h>

struct cursor cursor_over(const void *data, size_t len)
{
    const uint8_t *p = data;

    return (struct cursor){.pos = p, .end = p + len};
}

size_t cursor_left(const struct cursor *c)
{
    return c->failed ? 0 : (size_t)(c->end - c->pos);
}

const uint8_t *cursor_bytes(struct cursor *c, size_t len)
{
    if (cursor_left(c) < len) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->pos;
    c->pos += len;
    return p;
}

uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 1);

    return p ? p[0] : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 2);

    return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

uint32_t cursor_u32(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 4);

    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 8);
    uint64_t v = 0;

    for (int i = 0; p && i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

struct cursor cursor_slice(struct cursor *c, size_t len)
{
    const uint8_t *p = cursor_bytes(c, len);

    return p ? cursor_over(p, len) : (struct cursor){.failed = true};
}

struct writer writer_over(void *data, size_t size)
{
    uint8_t *p = data;

    return (struct writer){.start = p, .pos = p, .end = p + size};
}

size_t writer_len(const struct writer *w)
{
    return (size_t)(w->pos - w->start);
}

void writer_bytes(struct writer *w, const void *data, size_t len)
{
    if (w->failed || (size_t)(w->end - w->pos) < len) {
        w->failed = true;
        return;
    }
    if (len)
        memcpy(w->pos, data, len);
    w->pos += len;
}

void writer_u8(struct writer *w, uint8_t v)
{
    writer_bytes(w, &v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
    const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

    writer_bytes(w, b, sizeof b);
}

void writer_u32(struct writer *w, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    writer_bytes(w, b, sizeof b);
}

void writer_u64(struct writer *w, uint64_t v)
{
    uint8_t b[8];

    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (56 - 8 * i));
    writer_bytes(w, b, sizeof b);
}

static void patch_bytes(struct writer *w, size_t offset, const uint8_t *bytes, size_t len)
{
    if (w->failed || offset > writer_len(w) || writer_len(w) - offset < len) {
        w->failed = true;
        return;
    }
    memcpy(w->start + offset, bytes, len);
}

void writer_patch_u16(struct writer *w, size_t offset, uint16_t v)
{
    const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

    patch_bytes(w, offset, b, sizeof b);
}

void writer_patch_u32(struct writer *w, size_t offset, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    patch_bytes(w, offset, b, sizeof b);
}
