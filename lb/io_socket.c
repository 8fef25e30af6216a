#include "lb/io_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "lb/io_batch.h"
#include "lb/sockets.h"

/*
 * Batches that one readable socket may take before the others have their turn. A client's port 500 has less,
 * so that tunnels, which are at 4500, keep most of the time in a flood of handshakes.
 */
#define ROUNDS_MAX     4
#define ROUNDS_MAX_500 1

enum family_slot { SLOT_V4, SLOT_V6, SLOT_COUNT };

/* One socket that is read. */
struct reader {
    uv_poll_t poll;
    struct io_socket *io;
    int fd;
    enum packet_side side;
    uint16_t service; /* PACKET_FROM_CLIENT */
    enum ike_port port;
    uint32_t lost; /* sockets_lost() when last looked at */
};

struct io_socket {
    uv_loop_t *loop;
    struct dataplane *dp;
    const struct log *log;
    struct io_batch *batch;
    struct reader *readers;
    size_t reader_count;
    int *vip_fds; /* by vip_fd_index() */
    int raw_fds[SLOT_COUNT];
    struct io_return_ports return_ports;
    size_t open_handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static enum family_slot slot_of(const struct addr *addr)
{
    return addr_is_v4(addr) ? SLOT_V4 : SLOT_V6;
}

static size_t vip_fd_index(uint16_t service, enum ike_port port, enum family_slot slot)
{
    return ((size_t)service * IKE_PORT_COUNT + port) * SLOT_COUNT + slot;
}

static struct io_target target_of(const struct io_socket *io, const struct verdict *verdict)
{
    const enum family_slot slot = slot_of(&verdict->dst.addr);

    if (verdict->action == VERDICT_TO_BACKEND)
        return (struct io_target){.fd = io->raw_fds[slot], .raw = true};
    return (struct io_target){.fd = io->vip_fds[vip_fd_index(verdict->service, verdict->port, slot)]};
}

static void handle_batch(struct reader *reader, int count, uint64_t now_ms)
{
    struct io_socket *io = reader->io;
    struct verdict verdict;

    for (int i = 0; i < count; i++) {
        struct packet packet = {.side = reader->side, .service = reader->service, .port = reader->port};
        io_batch_packet(io->batch, i, &packet);
        if (reader->side == PACKET_FROM_BACKEND)
            packet.port = packet.src.port == ike_port_number(IKE_PORT_500) ? IKE_PORT_500 : IKE_PORT_4500;
        dataplane_handle(io->dp, &packet, now_ms, &verdict);
        if (verdict.action == VERDICT_DROP)
            continue;
        const struct io_target target = target_of(io, &verdict);
        io_batch_send(io->batch, io->dp, &target, &packet, &verdict,
                      io->dp->bindings.pool->backends[verdict.backend].mtu);
    }
    io_batch_flush(io->batch, io->dp);
}

/* The kernel drops what a full queue does not take; while there is so much, it is worth a look. */
static void count_lost(struct reader *reader)
{
    const uint32_t lost = sockets_lost(reader->fd);

    reader->io->dp->drops[DROP_RECEIVE_BUSY] += lost - reader->lost;
    reader->lost = lost;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct reader *reader = poll->data;

    (void)status; /* an error condition of the socket comes out, and is cleared, by reading */
    (void)events;
    const bool is_500 = reader->side == PACKET_FROM_CLIENT && reader->port == IKE_PORT_500;
    const int rounds = is_500 ? ROUNDS_MAX_500 : ROUNDS_MAX;
    for (int round = 0; round < rounds; round++) {
        const int count = io_batch_receive(reader->io->batch, reader->fd);
        if (count < 0)
            log_warn(reader->io->log, "receiving on a UDP socket: %s", err_text(count));
        if (count <= 0)
            return;
        handle_batch(reader, count, uv_now(reader->io->loop));
        if (count < IO_BATCH_SIZE)
            return;
        if (round == 0)
            count_lost(reader);
    }
}

static const char *remedy_of(int err)
{
    switch (err) {
    case -EADDRINUSE:
        return " (another program, an IKE daemon perhaps, has this port: stop it)";
    case -EACCES:
        return " (run ikelb as root, or give it the capability CAP_NET_BIND_SERVICE)";
    default:
        return "";
    }
}

static int open_vip(struct io_socket *io, uint16_t service, const struct addr *vip, enum ike_port port)
{
    const struct endpoint at = {.addr = *vip, .port = ike_port_number(port)};
    char text[ENDPOINT_TEXT_MAX];
    const int fd = sockets_open_vip(&at);

    if (fd < 0) {
        log_error(io->log, "service %s: cannot listen on UDP %s: %s%s",
                  io->dp->bindings.pool->services[service].name, endpoint_format(&at, text), err_text(fd),
                  remedy_of(fd));
        return fd;
    }
    io->vip_fds[vip_fd_index(service, port, slot_of(vip))] = fd;
    io->readers[io->reader_count++] =
        (struct reader){.io = io, .fd = fd, .side = PACKET_FROM_CLIENT, .service = service, .port = port};
    return 0;
}

/* The sockets that a family needs besides those of its VIPs: for replies, and to send to backends. */
static int open_family(struct io_socket *io, enum family_slot slot)
{
    const int family = slot == SLOT_V4 ? AF_INET : AF_INET6;
    uint16_t *port = slot == SLOT_V4 ? &io->return_ports.v4 : &io->return_ports.v6;

    if (io->raw_fds[slot] >= 0)
        return 0;
    const int fd = sockets_open_return(family, port);
    if (fd >= 0) {
        io->readers[io->reader_count++] = (struct reader){.io = io, .fd = fd, .side = PACKET_FROM_BACKEND};
        io->raw_fds[slot] = sockets_open_raw(family);
    }
    const int err = fd < 0 ? fd : io->raw_fds[slot];
    if (err < 0) {
        log_error(io->log, "cannot open the sockets towards IPv%d backends: %s%s", slot == SLOT_V4 ? 4 : 6,
                  err_text(err), err == -EPERM ? " (needs CAP_NET_ADMIN and CAP_NET_RAW)" : "");
        return err;
    }
    return 0;
}

static int open_all(struct io_socket *io)
{
    const struct pool *pool = io->dp->bindings.pool;

    for (uint16_t s = 0; s < pool->service_count; s++) {
        const struct service *service = &pool->services[s];
        for (size_t v = 0; v < service->vip_count; v++) {
            const struct addr *vip = &service->vips[v];
            int err = open_family(io, slot_of(vip));
            if (!err)
                err = open_vip(io, s, vip, IKE_PORT_500);
            if (!err)
                err = open_vip(io, s, vip, IKE_PORT_4500);
            if (err)
                return err;
        }
    }
    return 0;
}

static void free_all(struct io_socket *io)
{
    for (size_t i = 0; i < io->reader_count; i++)
        close(io->readers[i].fd);
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        if (io->raw_fds[slot] >= 0)
            close(io->raw_fds[slot]);
    io_batch_destroy(io->batch);
    free(io->vip_fds);
    free(io->readers);
    free(io);
}

int io_socket_create(uv_loop_t *loop, struct dataplane *dp, const struct log *log, struct io_socket **out)
{
    const size_t vip_fds = dp->bindings.pool->service_count * IKE_PORT_COUNT * SLOT_COUNT;
    struct io_socket *io = calloc(1, sizeof *io);

    if (!io)
        return -ENOMEM;
    *io = (struct io_socket){.loop = loop, .dp = dp, .log = log, .raw_fds = {-1, -1}};
    io->batch = io_batch_create();
    io->vip_fds = calloc(vip_fds, sizeof *io->vip_fds);
    io->readers = calloc(vip_fds + SLOT_COUNT, sizeof *io->readers);
    int err = io->batch && io->vip_fds && io->readers ? 0 : -ENOMEM;
    if (!err)
        err = open_all(io);
    if (err) {
        free_all(io);
        return err;
    }
    *out = io;
    return 0;
}

struct io_return_ports io_socket_return_ports(const struct io_socket *io)
{
    return io->return_ports;
}

int io_socket_start(struct io_socket *io)
{
    for (; io->open_handles < io->reader_count; io->open_handles++) {
        struct reader *reader = &io->readers[io->open_handles];
        const int err = uv_poll_init(io->loop, &reader->poll, reader->fd);
        if (err)
            return err;
        reader->poll.data = reader;
    }
    for (size_t i = 0; i < io->reader_count; i++) {
        const int err = uv_poll_start(&io->readers[i].poll, UV_READABLE, on_readable);
        if (err)
            return err;
    }
    return 0;
}

static void finish_close(struct io_socket *io)
{
    void (*closed)(void *) = io->closed;
    void *ctx = io->closed_ctx;

    free_all(io);
    closed(ctx);
}

static void on_closed(uv_handle_t *handle)
{
    struct io_socket *io = ((struct reader *)handle->data)->io;

    if (--io->open_handles == 0)
        finish_close(io);
}

void io_socket_close(struct io_socket *io, void (*closed)(void *ctx), void *ctx)
{
    const size_t count = io->open_handles;

    io->closed = closed;
    io->closed_ctx = ctx;
    for (size_t i = 0; i < count; i++)
        uv_close((uv_handle_t *)&io->readers[i].poll, on_closed);
    if (count == 0)
        finish_close(io);
}
