#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "persist/saved.h"
#include "tests/unit/saved_file.h"
#include "tests/unit/support.h"

#define WALL_MS UINT64_C(1700000000123)

static struct saved_service a_service(void)
{
    return (struct saved_service){
        .index = 7,
        .vip_count = 2,
        .vips = {support_addr("203.0.113.10"), support_addr("2001:db8::10")},
        .spread_nat = true,
    };
}

static struct saved_backend a_backend(void)
{
    return (struct saved_backend){.index = 300,
                                  .service = 7,
                                  .addr = support_addr("2001:db8::1"),
                                  .configured = CONFIG_STATE_DRAIN,
                                  .operator_state = CONFIG_STATE_DISABLED};
}

static struct saved_pin a_pin(void)
{
    return (struct saved_pin){
        .key = {.client = support_addr("198.51.100.1"), .service = 7, .part = 0x1234},
        .backend = 300,
        .roams = 0xfffe,
        .ports = {500, 40001},
        .created_age_ms = 0x89abcdef,
        .seen_age_ms = 0x01020304,
        .stage = STAGE_ESTABLISHED,
        .flags = PIN_CONFIRMED | PIN_CLIENT_FRAGMENTATION | PIN_LEFT | PIN_RECEIVES,
        .has_flows = true,
    };
}

static struct saved_session a_session(void)
{
    struct saved_session session = {
        .slot = SAVED_SLOTS_MAX - 1,
        .generation = 200,
        .next_id = SESSION_ID_UNKNOWN,
        .story = {.spi_i = {{1, 2, 3, 4, 5, 6, 7, 8}},
                  .spi_r = {{9, 10, 11, 12, 13, 14, 15, 16}},
                  .backend = 300,
                  .client_port = 40001,
                  .error = 24,
                  .flags = STORY_ANSWERED | STORY_CONFLICT | STORY_NATT,
                  .stage = STAGE_AUTH_ANSWERED,
                  .reached = 0x1f,
                  .init_count = 1,
                  .auth_count = 2,
                  .failovers = 3,
                  .roams = 255,
                  .seen_ms = 77},
    };

    for (uint32_t i = 0; i < STAGE_COUNT; i++)
        session.story.stage_ms[i] = 1000 + i;
    return session;
}

static struct saved_flow a_flow(void)
{
    return (struct saved_flow){
        .client = support_addr("2001:db8::7"),
        .client_port = 65535,
        .service = 7,
        .port = IKE_PORT_4500,
        .part = 0x1234,
        .backend = 300,
        .has_source = true,
        .source = support_addr("10.0.0.1"),
        .source_port = 1024,
        .flags = SAVED_FLOW_FLAGS,
        .session_generation = 200,
        .session = SAVED_SLOTS_MAX - 1,
        .client_age_ms = 1,
        .seen_age_ms = 2,
        .esp_spi = 0xc0ffee01,
        .proved_spi = 0xc0ffee02,
    };
}

/* Of two blocks, one record of each kind in both. */
static struct saved_file small_file(void)
{
    struct saved_file file = saved_file_begin();
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    const struct saved_service service = a_service();
    const struct saved_backend backend = a_backend();
    const struct saved_pin pin = a_pin();
    const struct saved_session session = a_session();
    struct saved_flow flow = a_flow();

    for (int i = 0; i < 2; i++) {
        struct writer block = saved_block_begin(buffer);
        assert_true(saved_block_is_empty(&block));
        saved_service_put(&block, &service);
        assert_false(saved_block_is_empty(&block));
        saved_backend_put(&block, &backend);
        saved_pin_put(&block, &pin);
        saved_session_put(&block, &session);
        saved_flow_put(&block, &flow);
        saved_file_block(&file, &block, WALL_MS);
        flow.has_source = false;
    }
    saved_file_end(&file, WALL_MS);
    free(buffer);
    return file;
}

static void assert_same_story(const struct story *a, const struct story *b)
{
    assert_memory_equal(a->spi_i.bytes, b->spi_i.bytes, 8);
    assert_memory_equal(a->spi_r.bytes, b->spi_r.bytes, 8);
    assert_int_equal(a->backend, b->backend);
    assert_int_equal(a->client_port, b->client_port);
    assert_int_equal(a->error, b->error);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->stage, b->stage);
    assert_int_equal(a->reached, b->reached);
    assert_int_equal(a->init_count, b->init_count);
    assert_int_equal(a->auth_count, b->auth_count);
    assert_int_equal(a->failovers, b->failovers);
    assert_int_equal(a->roams, b->roams);
    assert_memory_equal(a->stage_ms, b->stage_ms, sizeof a->stage_ms);
    assert_int_equal(a->seen_ms, b->seen_ms);
}

static void assert_service(const struct saved_service *found)
{
    const struct saved_service wanted = a_service();

    assert_int_equal(found->index, wanted.index);
    assert_int_equal(found->vip_count, wanted.vip_count);
    assert_memory_equal(found->vips, wanted.vips, sizeof wanted.vips);
    assert_int_equal(found->spread_nat, wanted.spread_nat);
}

static void assert_backend(const struct saved_backend *found)
{
    const struct saved_backend wanted = a_backend();

    assert_int_equal(found->index, wanted.index);
    assert_int_equal(found->service, wanted.service);
    assert_memory_equal(&found->addr, &wanted.addr, sizeof wanted.addr);
    assert_int_equal(found->configured, wanted.configured);
    assert_int_equal(found->operator_state, wanted.operator_state);
}

static void assert_pin(const struct saved_pin *found)
{
    const struct saved_pin wanted = a_pin();

    assert_memory_equal(&found->key, &wanted.key, sizeof wanted.key);
    assert_int_equal(found->backend, wanted.backend);
    assert_int_equal(found->roams, wanted.roams);
    assert_int_equal(found->ports[0], wanted.ports[0]);
    assert_int_equal(found->ports[1], wanted.ports[1]);
    assert_int_equal(found->created_age_ms, wanted.created_age_ms);
    assert_int_equal(found->seen_age_ms, wanted.seen_age_ms);
    assert_int_equal(found->stage, wanted.stage);
    assert_int_equal(found->flags, wanted.flags);
    assert_int_equal(found->has_flows, wanted.has_flows);
}

static void assert_session(const struct saved_session *found)
{
    const struct saved_session wanted = a_session();

    assert_int_equal(found->slot, wanted.slot);
    assert_int_equal(found->generation, wanted.generation);
    assert_int_equal(found->next_id, wanted.next_id);
    assert_same_story(&found->story, &wanted.story);
}

static void assert_flow(const struct saved_flow *found, bool has_source)
{
    const struct saved_flow wanted = a_flow();

    assert_memory_equal(&found->client, &wanted.client, sizeof wanted.client);
    assert_int_equal(found->client_port, wanted.client_port);
    assert_int_equal(found->service, wanted.service);
    assert_int_equal(found->port, wanted.port);
    assert_int_equal(found->part, wanted.part);
    assert_int_equal(found->backend, wanted.backend);
    assert_int_equal(found->flags, wanted.flags);
    assert_int_equal(found->session, wanted.session);
    assert_int_equal(found->session_generation, wanted.session_generation);
    assert_int_equal(found->client_age_ms, wanted.client_age_ms);
    assert_int_equal(found->seen_age_ms, wanted.seen_age_ms);
    assert_int_equal(found->esp_spi, wanted.esp_spi);
    assert_int_equal(found->proved_spi, wanted.proved_spi);
    assert_int_equal(found->has_source, has_source);
    if (has_source) {
        assert_memory_equal(&found->source, &wanted.source, sizeof wanted.source);
        assert_int_equal(found->source_port, wanted.source_port);
    }
}

static void test_every_field(void **state)
{
    struct saved_file file = small_file();
    struct saved_reader reader = saved_reader_over(file.data, file.len);
    struct saved_record record;

    (void)state;
    const struct saved_verdict verdict = saved_verify(file.data, file.len);
    assert_int_equal(verdict.fault, SAVED_FAULT_NONE);
    assert_true(verdict.header.saved_wall_ms == WALL_MS);
    assert_int_equal(verdict.header.block_count, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(saved_reader_next(&reader, &record));
        assert_int_equal(record.type, SAVED_SERVICE);
        assert_service(&record.service);
        assert_true(saved_reader_next(&reader, &record));
        assert_int_equal(record.type, SAVED_BACKEND);
        assert_backend(&record.backend);
        assert_true(saved_reader_next(&reader, &record));
        assert_int_equal(record.type, SAVED_PIN);
        assert_pin(&record.pin);
        assert_true(saved_reader_next(&reader, &record));
        assert_int_equal(record.type, SAVED_SESSION);
        assert_session(&record.session);
        assert_true(saved_reader_next(&reader, &record));
        assert_int_equal(record.type, SAVED_FLOW);
        assert_flow(&record.flow, i == 0);
    }
    assert_false(saved_reader_next(&reader, &record));
    free(file.data);
}

/* A copy of exactly that size, so that a read past its end is seen. */
static enum saved_fault fault_of(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy, data, len);
    const struct saved_verdict verdict = saved_verify(copy, len);
    assert_true(verdict.offset <= len);
    free(copy);
    return verdict.fault;
}

static void test_every_truncation(void **state)
{
    struct saved_file file = small_file();

    (void)state;
    assert_int_equal(fault_of(file.data, 0), SAVED_FAULT_EMPTY);
    for (size_t len = 1; len < file.len; len++)
        assert_int_equal(fault_of(file.data, len), SAVED_FAULT_TRUNCATED);
    saved_file_append(&file, "x", 1);
    assert_int_equal(fault_of(file.data, file.len), SAVED_FAULT_TOO_LONG);
    free(file.data);
}

/* Each bit of the file counts. */
static void test_every_damage(void **state)
{
    struct saved_file file = small_file();

    (void)state;
    for (size_t at = 0; at < file.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            file.data[at] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(fault_of(file.data, file.len), SAVED_FAULT_NONE);
            file.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    assert_int_equal(fault_of(file.data, file.len), SAVED_FAULT_NONE);
    free(file.data);
}

static void assert_text(const struct saved_file *file, size_t len, const char *wanted)
{
    const struct saved_verdict verdict = saved_verify(file->data, len);
    char text[SAVED_FAULT_TEXT_MAX];

    assert_string_equal(saved_fault_text(&verdict, text), wanted);
}

static void test_what_is_wrong_is_named(void **state)
{
    struct saved_file file = small_file();
    char wanted[SAVED_FAULT_TEXT_MAX];

    (void)state;
    assert_text(&file, 0, "is empty");
    assert_text(&file, 30, "is truncated: it ends after 30 bytes");
    file.data[11]++;
    assert_text(&file, file.len, "is of a newer version of ikelb (format 2; this one reads format 1)");
    assert_text(&file, 12, "is of a newer version of ikelb (format 2; this one reads format 1)");
    file.data[11] -= 2;
    assert_text(&file, file.len, "is of an older version of ikelb (format 0; this one reads format 1)");
    file.data[11]++;
    file.data[0]++;
    assert_text(&file, file.len, "is no state file of ikelb");
    file.data[0]--;
    file.data[20]++;
    assert_text(&file, file.len, "is damaged: the checksum of its header is wrong");
    file.data[20]--;
    file.data[SAVED_HEADER_BYTES + 10]++;
    snprintf(wanted, sizeof wanted, "is damaged: the checksum of the block at byte %d is wrong",
             SAVED_HEADER_BYTES);
    assert_text(&file, file.len, wanted);
    file.data[SAVED_HEADER_BYTES + 10]--;
    assert_text(&file, file.len, "is good");
    free(file.data);
}

/* The records of a file whose checksums are right. */
static enum saved_fault fault_of_record(const void *bytes, size_t len)
{
    struct saved_file file = saved_file_begin();
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    struct writer block = saved_block_begin(buffer);

    writer_bytes(&block, bytes, len);
    saved_file_block(&file, &block, WALL_MS);
    saved_file_end(&file, WALL_MS);
    const enum saved_fault fault = fault_of(file.data, file.len);
    free(file.data);
    free(buffer);
    return fault;
}

/* What nobody can have written is refused although its checksums are right. */
static void test_records_that_make_no_sense(void **state)
{
    uint8_t bytes[SAVED_RECORD_MAX];
    struct writer w;
    struct saved_pin pin = a_pin();
    struct saved_session session = a_session();
    struct saved_backend backend = a_backend();

    (void)state;
    assert_int_equal(fault_of_record("", 0), SAVED_FAULT_NONE);
    assert_int_equal(fault_of_record("\0", 1), SAVED_FAULT_RECORD);
    assert_int_equal(fault_of_record("\x06", 1), SAVED_FAULT_RECORD);
    w = writer_over(bytes, sizeof bytes);
    saved_pin_put(&w, &pin);
    for (size_t len = 1; len < writer_len(&w); len++)
        assert_int_equal(fault_of_record(bytes, len), SAVED_FAULT_RECORD);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_NONE);
    bytes[1] = 5; /* a family that there is not */
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_RECORD);

    pin.stage = STAGE_COUNT;
    w = writer_over(bytes, sizeof bytes);
    saved_pin_put(&w, &pin);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_RECORD);
    pin.stage = STAGE_NONE;
    pin.flags = 0; /* unconfirmed */
    w = writer_over(bytes, sizeof bytes);
    saved_pin_put(&w, &pin);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_RECORD);

    session.slot = SAVED_SLOTS_MAX;
    w = writer_over(bytes, sizeof bytes);
    saved_session_put(&w, &session);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_RECORD);

    backend.operator_state = SAVED_OPERATOR_COUNT;
    w = writer_over(bytes, sizeof bytes);
    saved_backend_put(&w, &backend);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_RECORD);
}

/* A flag that a later version invents must not make files that nobody reads. */
static void test_unknown_flags_are_not_written(void **state)
{
    uint8_t bytes[SAVED_RECORD_MAX];
    struct writer w = writer_over(bytes, sizeof bytes);
    struct saved_flow flow = a_flow();
    struct saved_pin pin = a_pin();
    struct saved_session session = a_session();

    (void)state;
    flow.flags = 0xff;
    pin.flags = 0xff;
    session.story.flags = 0xffff;
    saved_flow_put(&w, &flow);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_NONE);
    w = writer_over(bytes, sizeof bytes);
    saved_pin_put(&w, &pin);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_NONE);
    w = writer_over(bytes, sizeof bytes);
    saved_session_put(&w, &session);
    assert_int_equal(fault_of_record(bytes, writer_len(&w)), SAVED_FAULT_NONE);
}

/* Blocks of different files, or in another order, do not pass for a file. */
static void test_blocks_have_their_place(void **state)
{
    struct saved_file file = small_file();
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    struct saved_file swapped = saved_file_begin();

    (void)state;
    for (uint32_t number = 2; number-- > 0;) {
        struct writer w = saved_block_begin(buffer);
        saved_file_append(&swapped, buffer, saved_block_end(&w, number, WALL_MS));
    }
    swapped.blocks = 2;
    saved_file_end(&swapped, WALL_MS);
    assert_int_equal(fault_of(swapped.data, swapped.len), SAVED_FAULT_BLOCK);
    saved_file_end(&file, WALL_MS + 1); /* a header of another time */
    assert_int_equal(fault_of(file.data, file.len), SAVED_FAULT_BLOCK);
    file.blocks = 1; /* and one that knows of fewer blocks */
    saved_file_end(&file, WALL_MS);
    assert_int_equal(fault_of(file.data, file.len), SAVED_FAULT_TOO_LONG);
    file.blocks = 3;
    saved_file_end(&file, WALL_MS);
    assert_int_equal(fault_of(file.data, file.len), SAVED_FAULT_BLOCK);
    free(swapped.data);
    free(file.data);
    free(buffer);
}

/* A block is filled as long as it has room, and then ends within its buffer. */
static void test_a_full_block(void **state)
{
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    struct writer block = saved_block_begin(buffer);
    struct saved_session session = a_session();
    struct saved_service service = a_service();
    struct saved_flow flow = a_flow();

    (void)state;
    service.vips[0] = service.vips[1];
    flow.source = flow.client;
    while (saved_block_has_room(&block)) {
        const size_t before = writer_len(&block);
        saved_session_put(&block, &session);
        assert_true(writer_len(&block) - before <= SAVED_RECORD_MAX);
        if (saved_block_has_room(&block))
            saved_flow_put(&block, &flow);
        if (saved_block_has_room(&block))
            saved_service_put(&block, &service);
    }
    assert_true(saved_block_end(&block, 0, 0) <= SAVED_BLOCK_BYTES);
    assert_false(block.failed);
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_damage),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_records_that_make_no_sense),
        cmocka_unit_test(test_unknown_flags_are_not_written),
        cmocka_unit_test(test_blocks_have_their_place),
        cmocka_unit_test(test_a_full_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
