/* A saved file in memory, made as the daemon makes it on disk. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "lb/snapshot.h"
#include "tests/unit/unit.h"

struct saved_file {
    uint8_t *data;
    size_t len;
    uint32_t blocks;
};

static inline void saved_file_append(struct saved_file *file, const void *bytes, size_t len)
{
    file->data = realloc(file->data, file->len + len);
    assert_non_null(file->data);
    memcpy(file->data + file->len, bytes, len);
    file->len += len;
}

static inline struct saved_file saved_file_begin(void)
{
    static const uint8_t room[SAVED_HEADER_BYTES];
    struct saved_file file = {0};

    saved_file_append(&file, room, sizeof room);
    return file;
}

static inline void saved_file_block(struct saved_file *file, struct writer *block, uint64_t wall_ms)
{
    uint8_t *start = block->start;

    assert_false(block->failed);
    saved_file_append(file, start, saved_block_end(block, file->blocks, wall_ms));
    assert_false(block->failed);
    file->blocks++;
}

static inline void saved_file_end(struct saved_file *file, uint64_t wall_ms)
{
    const struct saved_header header = {
        .length = file->len, .saved_wall_ms = wall_ms, .block_count = file->blocks};

    saved_header_put(&header, file->data);
}

/* Snapshots the bindings in slices of that many steps, with `between(ctx)` after each; NULL: nothing. */
static inline struct saved_file saved_file_of(const struct bindings *b, uint64_t now_ms, uint64_t wall_ms,
                                              uint32_t steps, void (*between)(void *ctx), void *ctx)
{
    struct saved_file file = saved_file_begin();
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    struct writer block = saved_block_begin(buffer);
    struct snapshot snapshot;
    bool done = false;

    assert_non_null(buffer);
    snapshot_begin(&snapshot, b, now_ms);
    while (!done) {
        done = snapshot_write(&snapshot, &block, steps);
        if (done || !saved_block_has_room(&block)) {
            saved_file_block(&file, &block, wall_ms);
            block = saved_block_begin(buffer);
        }
        if (between)
            between(ctx);
    }
    free(buffer);
    saved_file_end(&file, wall_ms);
    const struct saved_verdict verdict = saved_verify(file.data, file.len);
    assert_int_equal(verdict.fault, SAVED_FAULT_NONE);
    return file;
}
