/*
 * Fuzzes the reader of the state file. The input is taken as it is; and, so that the fuzzer gets past the
 * checksums, as the records of a file whose checksums are right. Whatever is found good is restored, and must
 * not only be survived: what is saved of that must be good again, and give the same counts.
 */
#include <stdlib.h>
#include <string.h>

#include "lb/dataplane.h"
#include "lb/pool_config.h"
#include "lb/restore.h"
#include "lb/snapshot.h"

#define CLIENTS 64
#define WALL_MS UINT64_C(1700000000000)
#define NOW_MS  UINT64_C(5000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct addr v4(uint8_t last)
{
    const uint8_t bytes[4] = {10, 0, 0, last};

    return addr_from_v4(bytes);
}

/* A transparent service and one with full NAT. */
static struct pool *make_pool(void)
{
    struct config_backend backends[2] = {{.name = "a", .address = v4(1), .weight = 100},
                                         {.name = "b", .address = v4(2), .weight = 100}};
    struct addr snat = v4(3);
    struct config_service services[2] = {{.name = "open", .vips = {v4(10)}, .vip_count = 1},
                                         {.name = "nat",
                                          .vips = {v4(11)},
                                          .vip_count = 1,
                                          .mode = CONFIG_MODE_FULL_NAT,
                                          .snats = &snat,
                                          .snat_count = 1}};
    const struct config config = {.services = services, .service_count = 2};
    struct pool *pool = pool_create();

    for (int i = 0; i < 2; i++) {
        services[i].persistence.idle_timeout_ms = 3600000;
        services[i].persistence.half_open_timeout_ms = 30000;
        services[i].backends = backends;
        services[i].backend_count = 2;
    }
    require(pool && pool_config_apply(pool, &config, NULL) == 0);
    return pool;
}

/* Restores a good file, and saves what came of it into `out`; its length. */
static size_t live(const uint8_t *data, size_t len, uint8_t *out, struct restore_result *result)
{
    struct pool *pool = make_pool();
    struct bindings b;
    struct snapshot snapshot;
    struct writer block = saved_block_begin(out + SAVED_HEADER_BYTES);
    struct saved_header header = {.saved_wall_ms = WALL_MS, .block_count = 1};

    require(bindings_init(&b, pool, CLIENTS, 1) == 0);
    require(restore_bindings(&b, data, len, NOW_MS, WALL_MS, result) == 0);
    require(result->pins == pins_count(b.pins) && result->pins <= CLIENTS);
    require(result->flows == flows_count(b.flows));
    snapshot_begin(&snapshot, &b, NOW_MS);
    require(snapshot_write(&snapshot, &block, UINT32_MAX));
    header.length = SAVED_HEADER_BYTES + saved_block_end(&block, 0, WALL_MS);
    saved_header_put(&header, out);
    bindings_sweep(&b, NOW_MS + 7200000, 100000);
    bindings_deinit(&b);
    pool_destroy(pool);
    return header.length;
}

static void check(const uint8_t *data, size_t len)
{
    const struct saved_verdict verdict = saved_verify(data, len);
    struct restore_result first, second;
    char text[SAVED_FAULT_TEXT_MAX];

    require(saved_fault_text(&verdict, text)[0] != '\0');
    if (verdict.fault != SAVED_FAULT_NONE)
        return;
    uint8_t *once = malloc(SAVED_HEADER_BYTES + SAVED_BLOCK_BYTES);
    uint8_t *twice = malloc(SAVED_HEADER_BYTES + SAVED_BLOCK_BYTES);
    require(once && twice);
    const size_t saved = live(data, len, once, &first);
    require(saved_verify(once, saved).fault == SAVED_FAULT_NONE);
    (void)live(once, saved, twice, &second);
    require(first.pins == second.pins && first.sessions == second.sessions && first.flows == second.flows);
    free(once);
    free(twice);
}

/* The input as the records of one block. */
static void check_as_records(const uint8_t *records, size_t len)
{
    uint8_t *file = malloc(SAVED_HEADER_BYTES + SAVED_BLOCK_BYTES);
    struct saved_header header = {.saved_wall_ms = WALL_MS, .block_count = 1};

    require(file != NULL);
    struct writer block = saved_block_begin(file + SAVED_HEADER_BYTES);
    writer_bytes(&block, records, len);
    header.length = SAVED_HEADER_BYTES + saved_block_end(&block, 0, WALL_MS);
    if (!block.failed) {
        saved_header_put(&header, file);
        check(file, header.length);
    }
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* of the exact size: a read past its end is seen */

    require(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    check(copy, size);
    check_as_records(copy, size);
    free(copy);
    return 0;
}
