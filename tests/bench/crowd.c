/*
 * Writes a state file with a crowd of clients, to start ikelb with: `crowd FILE CLIENTS VIP SERVER...`. Each
 * client has a session and two flows, as many as there may be; they are of one transparent service. Addresses
 * are IPv4; those of the clients begin at 11.0.0.0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lb/dataplane.h"
#include "lb/pool_config.h"
#include "lb/snapshot.h"
#include "persist/state_file.h"

#define SERVERS_MAX 16

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "crowd: %s\n", what);
    exit(1);
}

static struct addr address(const char *text)
{
    struct addr addr;

    require(addr_parse(text, &addr) == 0, "no address");
    return addr;
}

static struct pool *make_pool(const char *vip, char **servers, int count)
{
    static struct config_backend backends[SERVERS_MAX];
    struct config_service service = {.name = "bench",
                                     .vips = {address(vip)},
                                     .vip_count = 1,
                                     .backends = backends,
                                     .backend_count = (size_t)count};
    const struct config config = {.services = &service, .service_count = 1};
    struct pool *pool = pool_create();

    require(count > 0 && count <= SERVERS_MAX, "one to sixteen servers");
    for (int i = 0; i < count; i++) {
        backends[i] = (struct config_backend){.address = address(servers[i]), .weight = 100};
        snprintf(backends[i].name, sizeof backends[i].name, "s%d", i + 1);
    }
    require(pool && pool_config_apply(pool, &config, NULL) == 0, "no memory");
    return pool;
}

static void add_client(struct bindings *b, uint32_t number, uint64_t now_ms)
{
    const uint8_t bytes[4] = {(uint8_t)(11 + (number >> 24)), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                              (uint8_t)number};
    struct binding_request request = {
        .client = {.addr = addr_from_v4(bytes), .port = 500},
        .backend = (uint16_t)(number % b->pool->backend_count),
        .confirmed = true,
    };
    struct story story = story_begin(0, request.backend, 4500, now_ms);
    enum drop_reason reason;
    uint32_t flow;

    require(bindings_add_pin(b, &request.client, request.backend, true, now_ms, &request.pin) == 0, "no pin");
    memcpy(story.spi_i.bytes, &number, sizeof number);
    story.spi_i.bytes[7] = story.spi_r.bytes[7] = 1;
    story.stage = STAGE_ESTABLISHED;
    request.session = tracking_begin(&b->tracking, request.pin, &story, true, now_ms);
    require(request.session != SESSION_NONE, "no session");
    require(bindings_add_flow(b, &request, now_ms, &flow, &reason) == 0, "no flow");
    request.port = IKE_PORT_4500;
    request.client.port = 4500;
    require(bindings_add_flow(b, &request, now_ms, &flow, &reason) == 0, "no flow");
    bindings_note_esp(b, flow, number + 1);
}

static void save(const struct bindings *b, const char *path, uint64_t now_ms)
{
    struct saved_header header = {.saved_wall_ms = clock_wall_ms()};
    uint8_t bytes[SAVED_HEADER_BYTES];
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    struct state_file file;
    struct snapshot snapshot;

    require(buffer && state_file_init(&file, path) == 0 && state_file_open(&file) == 0, "cannot write");
    snapshot_begin(&snapshot, b, now_ms);
    for (bool done = false; !done;) {
        struct writer block = saved_block_begin(buffer);
        done = snapshot_write(&snapshot, &block, UINT32_MAX);
        const size_t len = saved_block_end(&block, header.block_count++, header.saved_wall_ms);
        require(state_file_write(&file, buffer, len) == 0, "cannot write");
    }
    header.length = file.length;
    saved_header_put(&header, bytes);
    require(state_file_commit(&file, bytes) == 0, "cannot write");
    free(buffer);
}

int main(int argc, char **argv)
{
    struct bindings b;

    require(argc > 4, "usage: crowd FILE CLIENTS VIP SERVER...");
    const uint32_t clients = (uint32_t)strtoul(argv[2], NULL, 10);
    struct pool *pool = make_pool(argv[3], argv + 4, argc - 4);
    const uint64_t now_ms = clock_now_ms();
    require(clients > 0 && bindings_init(&b, pool, clients, 1) == 0, "no memory");
    for (uint32_t i = 0; i < clients; i++)
        add_client(&b, i, now_ms);
    save(&b, argv[1], now_ms);
    bindings_deinit(&b);
    pool_destroy(pool);
    return 0;
}
