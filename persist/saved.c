#include "persist/saved.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const uint8_t MAGIC[8] = {'i', 'k', 'e', 'l', 'b', 0x00, 's', 't'};

/* Before a block's records: their length, and the block's number; after them, the checksum. */
#define FRAME_HEAD 8
#define CHECKSUM   8

/* The header's own checksum is its last eight bytes. */
#define HEADER_SUMMED (SAVED_HEADER_BYTES - CHECKSUM)

/* The flags that this version knows: a new one that means anything after a restart belongs here. */
#define PIN_FLAGS   (PIN_CONFIRMED | PIN_CLIENT_FRAGMENTATION | PIN_LEFT | PIN_RECEIVES)
#define STORY_FLAGS ((STORY_NATT << 1) - 1)

/* Families of addresses. */
enum { ADDRESS_V4 = 4, ADDRESS_V6 = 6 };

struct writer saved_block_begin(void *buffer)
{
    struct writer block = writer_over(buffer, SAVED_BLOCK_BYTES);

    writer_u64(&block, 0); /* filled in at the end */
    return block;
}

bool saved_block_has_room(const struct writer *block)
{
    return (size_t)(block->end - block->pos) >= SAVED_RECORD_MAX + CHECKSUM;
}

bool saved_block_is_empty(const struct writer *block)
{
    return writer_len(block) == FRAME_HEAD;
}

/* With the time and the number as its seed, so that no block of another file or place passes for this one. */
static uint64_t block_checksum(const void *block, size_t len, uint32_t number, uint64_t saved_wall_ms)
{
    return XXH3_64bits_withSeed(block, len, saved_wall_ms ^ (uint64_t)number << 40);
}

size_t saved_block_end(struct writer *block, uint32_t number, uint64_t saved_wall_ms)
{
    const size_t len = writer_len(block);

    writer_patch_u32(block, 0, (uint32_t)(len - FRAME_HEAD));
    writer_patch_u32(block, 4, number);
    writer_u64(block, block_checksum(block->start, len, number, saved_wall_ms));
    return writer_len(block);
}

void saved_header_put(const struct saved_header *header, uint8_t out[static SAVED_HEADER_BYTES])
{
    struct writer w = writer_over(out, SAVED_HEADER_BYTES);

    writer_bytes(&w, MAGIC, sizeof MAGIC);
    writer_u32(&w, SAVED_VERSION);
    writer_u32(&w, header->block_count);
    writer_u64(&w, header->length);
    writer_u64(&w, header->saved_wall_ms);
    writer_u32(&w, 0); /* for later versions */
    writer_u64(&w, XXH3_64bits(out, HEADER_SUMMED));
}

static void put_addr(struct writer *w, const struct addr *addr)
{
    if (addr_is_v4(addr)) {
        writer_u8(w, ADDRESS_V4);
        writer_bytes(w, addr_v4_bytes(addr), 4);
    } else {
        writer_u8(w, ADDRESS_V6);
        writer_bytes(w, addr->bytes, sizeof addr->bytes);
    }
}

/* In the one form that it may have; another fails the cursor. */
static struct addr get_addr(struct cursor *c)
{
    const uint8_t family = cursor_u8(c);
    const uint8_t *bytes = cursor_bytes(c, family == ADDRESS_V4 ? 4 : 16);
    struct addr addr = {0};

    if (bytes && family == ADDRESS_V4)
        addr = addr_from_v4(bytes);
    else if (bytes && family == ADDRESS_V6)
        memcpy(addr.bytes, bytes, sizeof addr.bytes);
    if (family != ADDRESS_V4 && (family != ADDRESS_V6 || addr_is_v4(&addr)))
        c->failed = true;
    return addr;
}

/* A number below `limit`; another fails the cursor. */
static uint8_t get_below(struct cursor *c, uint8_t limit)
{
    const uint8_t value = cursor_u8(c);

    if (value >= limit)
        c->failed = true;
    return value;
}

void saved_service_put(struct writer *w, const struct saved_service *service)
{
    writer_u8(w, SAVED_SERVICE);
    writer_u16(w, service->index);
    writer_u8(w, service->vip_count);
    for (uint8_t i = 0; i < service->vip_count; i++)
        put_addr(w, &service->vips[i]);
    writer_u8(w, service->spread_nat);
}

static void get_service(struct cursor *c, struct saved_service *out)
{
    out->index = cursor_u16(c);
    out->vip_count = get_below(c, SAVED_VIPS_MAX + 1);
    for (uint8_t i = 0; i < out->vip_count && !c->failed; i++)
        out->vips[i] = get_addr(c);
    out->spread_nat = get_below(c, 2);
}

void saved_backend_put(struct writer *w, const struct saved_backend *backend)
{
    writer_u8(w, SAVED_BACKEND);
    writer_u16(w, backend->index);
    writer_u16(w, backend->service);
    put_addr(w, &backend->addr);
    writer_u8(w, backend->configured);
    writer_u8(w, backend->operator_state);
}

static void get_backend(struct cursor *c, struct saved_backend *out)
{
    out->index = cursor_u16(c);
    out->service = cursor_u16(c);
    out->addr = get_addr(c);
    out->configured = get_below(c, SAVED_OPERATOR_COUNT);
    out->operator_state = get_below(c, SAVED_OPERATOR_COUNT);
}

void saved_pin_put(struct writer *w, const struct saved_pin *pin)
{
    writer_u8(w, SAVED_PIN);
    put_addr(w, &pin->key.client);
    writer_u16(w, pin->key.service);
    writer_u16(w, pin->key.part);
    writer_u16(w, pin->backend);
    writer_u16(w, pin->roams);
    writer_u16(w, pin->ports[0]);
    writer_u16(w, pin->ports[1]);
    writer_u32(w, pin->created_age_ms);
    writer_u32(w, pin->seen_age_ms);
    writer_u8(w, pin->stage);
    writer_u8(w, pin->flags & PIN_FLAGS);
    writer_u8(w, pin->has_flows);
}

static void get_pin(struct cursor *c, struct saved_pin *out)
{
    out->key.client = get_addr(c);
    out->key.service = cursor_u16(c);
    out->key.part = cursor_u16(c);
    out->backend = cursor_u16(c);
    out->roams = cursor_u16(c);
    out->ports[0] = cursor_u16(c);
    out->ports[1] = cursor_u16(c);
    out->created_age_ms = cursor_u32(c);
    out->seen_age_ms = cursor_u32(c);
    out->stage = get_below(c, STAGE_COUNT);
    out->flags = get_below(c, PIN_FLAGS + 1);
    out->has_flows = get_below(c, 2);
    if (!(out->flags & PIN_CONFIRMED))
        c->failed = true;
}

void saved_session_put(struct writer *w, const struct saved_session *session)
{
    const struct story *story = &session->story;

    writer_u8(w, SAVED_SESSION);
    writer_u32(w, session->slot);
    writer_u8(w, session->generation);
    writer_u32(w, session->next_id);
    writer_bytes(w, story->spi_i.bytes, sizeof story->spi_i.bytes);
    writer_bytes(w, story->spi_r.bytes, sizeof story->spi_r.bytes);
    writer_u16(w, story->backend);
    writer_u16(w, story->client_port);
    writer_u16(w, story->error);
    writer_u16(w, story->flags & STORY_FLAGS);
    writer_u8(w, story->stage);
    writer_u8(w, story->reached);
    writer_u8(w, story->init_count);
    writer_u8(w, story->auth_count);
    writer_u8(w, story->failovers);
    writer_u8(w, story->roams);
    for (int i = 0; i < STAGE_COUNT; i++)
        writer_u32(w, story->stage_ms[i]);
    writer_u32(w, story->seen_ms);
}

static void get_spi(struct cursor *c, struct ike_spi *out)
{
    const uint8_t *bytes = cursor_bytes(c, sizeof out->bytes);

    if (bytes)
        memcpy(out->bytes, bytes, sizeof out->bytes);
}

static void get_session(struct cursor *c, struct saved_session *out)
{
    struct story *story = &out->story;

    out->slot = cursor_u32(c);
    out->generation = cursor_u8(c);
    out->next_id = cursor_u32(c);
    get_spi(c, &story->spi_i);
    get_spi(c, &story->spi_r);
    story->backend = cursor_u16(c);
    story->client_port = cursor_u16(c);
    story->error = cursor_u16(c);
    story->flags = cursor_u16(c);
    story->stage = get_below(c, STAGE_COUNT);
    story->reached = get_below(c, 1U << STAGE_COUNT);
    story->init_count = cursor_u8(c);
    story->auth_count = cursor_u8(c);
    story->failovers = cursor_u8(c);
    story->roams = cursor_u8(c);
    for (int i = 0; i < STAGE_COUNT; i++)
        story->stage_ms[i] = cursor_u32(c);
    story->seen_ms = cursor_u32(c);
    if (out->slot >= SAVED_SLOTS_MAX || story->flags > STORY_FLAGS)
        c->failed = true;
}

void saved_flow_put(struct writer *w, const struct saved_flow *flow)
{
    writer_u8(w, SAVED_FLOW);
    put_addr(w, &flow->client);
    writer_u16(w, flow->client_port);
    writer_u16(w, flow->service);
    writer_u8(w, (uint8_t)flow->port);
    writer_u16(w, flow->part);
    writer_u16(w, flow->backend);
    writer_u8(w, flow->flags & SAVED_FLOW_FLAGS);
    writer_u8(w, flow->session_generation);
    writer_u32(w, flow->session);
    writer_u32(w, flow->client_age_ms);
    writer_u32(w, flow->seen_age_ms);
    writer_u32(w, flow->esp_spi);
    writer_u32(w, flow->proved_spi);
    writer_u8(w, flow->has_source);
    if (flow->has_source) {
        put_addr(w, &flow->source);
        writer_u16(w, flow->source_port);
    }
}

static void get_flow(struct cursor *c, struct saved_flow *out)
{
    out->client = get_addr(c);
    out->client_port = cursor_u16(c);
    out->service = cursor_u16(c);
    out->port = get_below(c, 2);
    out->part = cursor_u16(c);
    out->backend = cursor_u16(c);
    out->flags = get_below(c, SAVED_FLOW_FLAGS + 1);
    out->session_generation = cursor_u8(c);
    out->session = cursor_u32(c);
    out->client_age_ms = cursor_u32(c);
    out->seen_age_ms = cursor_u32(c);
    out->esp_spi = cursor_u32(c);
    out->proved_spi = cursor_u32(c);
    out->has_source = get_below(c, 2);
    if (out->has_source) {
        out->source = get_addr(c);
        out->source_port = cursor_u16(c);
    }
    if (!(out->flags & SAVED_FLOW_CONFIRMED))
        c->failed = true;
}

/* The next record of a block; false at its end, or, with the cursor failed, if it makes no sense. */
static bool next_record(struct cursor *block, struct saved_record *out)
{
    if (cursor_left(block) == 0)
        return false;
    *out = (struct saved_record){.type = cursor_u8(block)};
    switch (out->type) {
    case SAVED_SERVICE:
        get_service(block, &out->service);
        break;
    case SAVED_BACKEND:
        get_backend(block, &out->backend);
        break;
    case SAVED_PIN:
        get_pin(block, &out->pin);
        break;
    case SAVED_SESSION:
        get_session(block, &out->session);
        break;
    case SAVED_FLOW:
        get_flow(block, &out->flow);
        break;
    default:
        block->failed = true;
        break;
    }
    return !block->failed;
}

/* Steps over the next block and returns its records; a failed cursor if it is cut off or damaged. */
static struct cursor next_block(struct cursor *file, const struct saved_header *header, uint32_t number)
{
    const uint8_t *start = file->pos;
    const uint32_t len = cursor_u32(file);
    const uint32_t found = cursor_u32(file);
    struct cursor records = cursor_slice(file, len);
    const uint64_t checksum = cursor_u64(file);

    if (file->failed || found != number ||
        checksum != block_checksum(start, FRAME_HEAD + len, number, header->saved_wall_ms))
        records.failed = true;
    return records;
}

/* Of a file that has all bytes of a header, and a version that is ours. */
static enum saved_fault read_header(const uint8_t *data, struct saved_header *out)
{
    struct cursor c = cursor_over(data, SAVED_HEADER_BYTES);

    (void)cursor_bytes(&c, sizeof MAGIC + sizeof(uint32_t)); /* and the version: they have been looked at */
    out->block_count = cursor_u32(&c);
    out->length = cursor_u64(&c);
    out->saved_wall_ms = cursor_u64(&c);
    (void)cursor_u32(&c);
    return cursor_u64(&c) == XXH3_64bits(data, HEADER_SUMMED) ? SAVED_FAULT_NONE : SAVED_FAULT_HEADER;
}

/* Is it a file of this version, with a whole header? */
static enum saved_fault verify_begin(const uint8_t *data, size_t len, uint32_t *version)
{
    struct cursor c = cursor_over(data, len);

    if (len == 0)
        return SAVED_FAULT_EMPTY;
    if (memcmp(data, MAGIC, len < sizeof MAGIC ? len : sizeof MAGIC) != 0)
        return SAVED_FAULT_FOREIGN;
    (void)cursor_bytes(&c, sizeof MAGIC);
    *version = cursor_u32(&c);
    if (!c.failed && *version < SAVED_VERSION)
        return SAVED_FAULT_OLDER;
    if (!c.failed && *version > SAVED_VERSION)
        return SAVED_FAULT_NEWER;
    return len < SAVED_HEADER_BYTES ? SAVED_FAULT_TRUNCATED : SAVED_FAULT_NONE;
}

/* What can be seen of a file without its blocks. */
static struct saved_verdict verify_header(const uint8_t *data, size_t len)
{
    struct saved_verdict verdict = {.offset = len};

    verdict.fault = verify_begin(data, len, &verdict.version);
    if (verdict.fault == SAVED_FAULT_NONE)
        verdict.fault = read_header(data, &verdict.header);
    if (verdict.fault == SAVED_FAULT_NONE && len < verdict.header.length)
        verdict.fault = SAVED_FAULT_TRUNCATED;
    if (verdict.fault == SAVED_FAULT_NONE && len > verdict.header.length) {
        verdict.fault = SAVED_FAULT_TOO_LONG;
        verdict.offset = verdict.header.length;
    }
    return verdict;
}

struct saved_verdict saved_verify(const void *data, size_t len)
{
    struct saved_verdict verdict = verify_header(data, len);
    const uint8_t *start = data;
    struct saved_record record;

    if (verdict.fault != SAVED_FAULT_NONE)
        return verdict;
    struct cursor file = cursor_over(start + SAVED_HEADER_BYTES, len - SAVED_HEADER_BYTES);
    for (uint32_t number = 0; number < verdict.header.block_count; number++) {
        verdict.offset = (uint64_t)(file.pos - start);
        struct cursor block = next_block(&file, &verdict.header, number);
        if (block.failed) {
            verdict.fault = SAVED_FAULT_BLOCK;
            return verdict;
        }
        do {
            verdict.offset = (uint64_t)(block.pos - start);
        } while (next_record(&block, &record));
        if (block.failed) {
            verdict.fault = SAVED_FAULT_RECORD;
            return verdict;
        }
    }
    verdict.offset = (uint64_t)(file.pos - start);
    if (verdict.offset != len)
        verdict.fault = SAVED_FAULT_TOO_LONG;
    return verdict;
}

struct saved_reader saved_reader_over(const void *data, size_t len)
{
    struct saved_reader reader = {.file = cursor_over(data, len)};

    (void)read_header(data, &reader.header);
    (void)cursor_bytes(&reader.file, SAVED_HEADER_BYTES);
    return reader;
}

bool saved_reader_next(struct saved_reader *reader, struct saved_record *out)
{
    while (!next_record(&reader->block, out)) {
        if (reader->block.failed || cursor_left(&reader->file) == 0)
            return false;
        const uint32_t len = cursor_u32(&reader->file);
        (void)cursor_u32(&reader->file);
        reader->block = cursor_slice(&reader->file, len);
        (void)cursor_u64(&reader->file);
    }
    return true;
}

/* What is said of each fault, before and after a number of bytes; without `after` there is no number. */
static const struct {
    const char *before;
    const char *after;
} FAULT_TEXTS[] = {
    [SAVED_FAULT_NONE] = {"is good", NULL},
    [SAVED_FAULT_EMPTY] = {"is empty", NULL},
    [SAVED_FAULT_FOREIGN] = {"is no state file of ikelb", NULL},
    [SAVED_FAULT_OLDER] = {"is of an older version of ikelb", NULL},
    [SAVED_FAULT_NEWER] = {"is of a newer version of ikelb", NULL},
    [SAVED_FAULT_TRUNCATED] = {"is truncated: it ends after ", " bytes"},
    [SAVED_FAULT_TOO_LONG] = {"is damaged: it goes on after its end, at byte ", ""},
    [SAVED_FAULT_HEADER] = {"is damaged: the checksum of its header is wrong", NULL},
    [SAVED_FAULT_BLOCK] = {"is damaged: the checksum of the block at byte ", " is wrong"},
    [SAVED_FAULT_RECORD] = {"is inconsistent: the record at byte ", " makes no sense"},
};

const char *saved_fault_text(const struct saved_verdict *verdict, char text[static SAVED_FAULT_TEXT_MAX])
{
    const char *before = FAULT_TEXTS[verdict->fault].before;
    const char *after = FAULT_TEXTS[verdict->fault].after;

    if (verdict->fault == SAVED_FAULT_OLDER || verdict->fault == SAVED_FAULT_NEWER)
        snprintf(text, SAVED_FAULT_TEXT_MAX, "%s (format %" PRIu32 "; this one reads format %d)", before,
                 verdict->version, SAVED_VERSION);
    else if (after)
        snprintf(text, SAVED_FAULT_TEXT_MAX, "%s%" PRIu64 "%s", before, verdict->offset, after);
    else
        snprintf(text, SAVED_FAULT_TEXT_MAX, "%s", before);
    return text;
}
