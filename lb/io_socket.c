#include "lb/io_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "lb/io_batch.h"
#include "lb/sockets.h"

/*
 * A readable socket gives a batch, then the others have their turn: under full load that takes a fifth of a
 * millisecond. A VIP's port 500 gives less, so that tunnels, which are at 4500, keep most of the time in a
 * flood of handshakes.
 */
#define TURN_MAX_500 (IO_BATCH_SIZE / 4)

enum family_slot { SLOT_V4, SLOT_V6, SLOT_COUNT };

/* One socket that is read. */
struct reader {
    uv_poll_t poll;
    struct io_socket *io;
    struct reader *next;
    bool polled; /* the loop has its handle */
    int fd;
    int raw_fd; /* of a VIP of IPv4 at port 4500: what ESP leaves by; else -1 */
    enum packet_side side;
    struct addr vip;  /* PACKET_FROM_CLIENT: where it listens ... */
    uint16_t service; /* ... and whose VIP that is; POOL_NONE: nobody's yet */
    enum ike_port port;
    uint32_t lost; /* sockets_lost() when last looked at */
};

/* What a VIP's packets to clients leave by; borrowed from its reader. */
struct vip_fds {
    int udp;
    int raw; /* -1: none */
};

struct io_socket {
    uv_loop_t *loop;
    struct dataplane *dp;
    const struct log *log;
    struct io_batch *batch;
    struct packet packets[IO_BATCH_SIZE]; /* of the batch that is being handled */
    struct reader *readers;
    bool started;
    struct inherited *inherited; /* borrowed while the sockets are opened; NULL: none */
    struct vip_fds *vip_fds;     /* by vip_index() */
    int raw_fds[SLOT_COUNT];
    struct io_return_ports return_ports;
    size_t closing_readers;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static enum family_slot slot_of(const struct addr *addr)
{
    return addr_is_v4(addr) ? SLOT_V4 : SLOT_V6;
}

static size_t vip_index(uint16_t service, enum ike_port port, enum family_slot slot)
{
    return ((size_t)service * IKE_PORT_COUNT + port) * SLOT_COUNT + slot;
}

static struct io_target target_of(const struct io_socket *io, const struct verdict *verdict)
{
    const enum family_slot slot = slot_of(&verdict->dst.addr);

    if (verdict->action == VERDICT_TO_BACKEND)
        return (struct io_target){
            .fd = io->raw_fds[slot],
            .raw = true,
            .mtu = io->dp->bindings.pool->backends[verdict->backend].mtu,
            .udp_fd = -1,
        };
    const struct vip_fds *vip = &io->vip_fds[vip_index(verdict->service, verdict->port, slot)];
    /* The kernel gives what leaves a UDP socket a checksum, which ESP over IPv4 is better without. */
    if (verdict->may_omit_checksum && vip->raw >= 0)
        return (struct io_target){.fd = vip->raw, .raw = true, .udp_fd = vip->udp};
    return (struct io_target){.fd = vip->udp, .udp_fd = -1};
}

static void handle_batch(struct reader *reader, int count, uint64_t now_ms)
{
    struct io_socket *io = reader->io;
    struct packet *packets = io->packets;
    struct verdict verdict;

    for (int i = 0; i < count; i++) {
        struct packet *packet = &packets[i];
        *packet = (struct packet){.side = reader->side, .service = reader->service, .port = reader->port};
        io_batch_packet(io->batch, i, packet);
        if (reader->side == PACKET_FROM_BACKEND)
            packet->port = packet->src.port == ike_port_number(IKE_PORT_500) ? IKE_PORT_500 : IKE_PORT_4500;
    }
    dataplane_expect(io->dp, packets, (size_t)count);
    for (int i = 0; i < count; i++) {
        dataplane_handle(io->dp, &packets[i], now_ms, &verdict);
        if (verdict.action == VERDICT_DROP)
            continue;
        const struct io_target target = target_of(io, &verdict);
        io_batch_send(io->batch, io->dp, &target, &packets[i], &verdict);
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
    const int most = is_500 ? TURN_MAX_500 : IO_BATCH_SIZE;
    const int count = io_batch_receive(reader->io->batch, reader->fd, most);
    if (count < 0)
        log_warn(reader->io->log, "receiving on a UDP socket: %s", err_text(count));
    if (count <= 0)
        return;
    handle_batch(reader, count, uv_now(reader->io->loop));
    if (count == most)
        count_lost(reader);
}

static const char *remedy_of(int err)
{
    switch (err) {
    case -EADDRINUSE:
        return " (another program, an IKE daemon perhaps, has this port: stop it)";
    case -EACCES:
        return " (run ikelb as root, or give it the capability CAP_NET_BIND_SERVICE)";
    case -EMFILE:
        return " (raise the limit: `ulimit -n`, or LimitNOFILE= in the unit)";
    default:
        return "";
    }
}

/* Takes the descriptor over, without memory as well. */
static struct reader *add_reader(struct io_socket *io, int fd, enum packet_side side)
{
    struct reader *reader = calloc(1, sizeof *reader);

    if (!reader) {
        close(fd);
        return NULL;
    }
    *reader = (struct reader){
        .io = io, .next = io->readers, .fd = fd, .raw_fd = -1, .side = side, .service = POOL_NONE};
    reader->lost = sockets_lost(fd); /* which was counted by who had the socket before */
    io->readers = reader;
    return reader;
}

static struct reader *find_vip(const struct io_socket *io, const struct addr *vip, enum ike_port port)
{
    struct reader *reader = io->readers;

    while (reader &&
           (reader->side != PACKET_FROM_CLIENT || reader->port != port || !addr_equal(&reader->vip, vip)))
        reader = reader->next;
    return reader;
}

/* From the earlier process, or else new. The descriptor, or -errno. */
static int obtain_vip(const struct io_socket *io, const struct endpoint *at)
{
    const int fd = io->inherited ? inherited_take_vip(io->inherited, at) : ERR_NOT_FOUND;

    return fd >= 0 ? fd : sockets_open_vip(at);
}

static int obtain_return(const struct io_socket *io, int family, uint16_t *port)
{
    const int fd = io->inherited ? inherited_take_return(io->inherited, family, port) : ERR_NOT_FOUND;

    return fd >= 0 ? fd : sockets_open_return(family, port);
}

static int open_vip(struct io_socket *io, const char *service, const struct addr *vip, enum ike_port port)
{
    const struct endpoint at = {.addr = *vip, .port = ike_port_number(port)};
    char text[ENDPOINT_TEXT_MAX];

    if (find_vip(io, vip, port))
        return 0;
    const int fd = obtain_vip(io, &at);
    if (fd < 0) {
        log_error(io->log, "service %s: cannot listen on UDP %s: %s%s", service, endpoint_format(&at, text),
                  err_text(fd), remedy_of(fd));
        return fd;
    }
    struct reader *reader = add_reader(io, fd, PACKET_FROM_CLIENT);
    if (!reader)
        return -ENOMEM;
    reader->vip = *vip;
    reader->port = port;
    /* It opens if that towards the backends did (open_family()); without it the UDP socket does. */
    if (port == IKE_PORT_4500 && addr_is_v4(vip))
        reader->raw_fd = sockets_open_raw_vip(vip);
    return 0;
}

/* The sockets that a family needs besides those of its VIPs: for replies, and to send to backends. */
static int open_family(struct io_socket *io, enum family_slot slot)
{
    const int family = slot == SLOT_V4 ? AF_INET : AF_INET6;
    uint16_t *port = slot == SLOT_V4 ? &io->return_ports.v4 : &io->return_ports.v6;

    if (io->raw_fds[slot] >= 0)
        return 0;
    int err = io->raw_fds[slot] = sockets_open_raw(family);
    if (err >= 0)
        err = obtain_return(io, family, port);
    if (err >= 0)
        err = add_reader(io, err, PACKET_FROM_BACKEND) ? 0 : -ENOMEM;
    if (err < 0) {
        log_error(io->log, "cannot open the sockets towards IPv%d backends: %s%s", slot == SLOT_V4 ? 4 : 6,
                  err_text(err), err == -EPERM ? " (needs CAP_NET_ADMIN and CAP_NET_RAW)" : "");
        if (io->raw_fds[slot] >= 0)
            close(io->raw_fds[slot]);
        io->raw_fds[slot] = -1;
        *port = 0;
        return err;
    }
    return 0;
}

int io_socket_prepare(struct io_socket *io, const char *service, const struct addr *vip)
{
    int err = open_family(io, slot_of(vip));

    if (!err)
        err = open_vip(io, service, vip, IKE_PORT_500);
    if (!err)
        err = open_vip(io, service, vip, IKE_PORT_4500);
    return err;
}

static int open_all(struct io_socket *io)
{
    const struct pool *pool = io->dp->bindings.pool;
    int err = 0;

    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const struct service *service = &pool->services[s];
        for (size_t v = 0; v < service->vip_count && !err; v++)
            err = io_socket_prepare(io, service->name, &service->vips[v]);
    }
    return err;
}

static void free_reader(struct reader *reader)
{
    close(reader->fd);
    if (reader->raw_fd >= 0)
        close(reader->raw_fd);
    free(reader);
}

/* No reader is left to the loop. */
static void free_all(struct io_socket *io)
{
    while (io->readers) {
        struct reader *reader = io->readers;
        io->readers = reader->next;
        free_reader(reader);
    }
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        if (io->raw_fds[slot] >= 0)
            close(io->raw_fds[slot]);
    io_batch_destroy(io->batch);
    free(io->vip_fds);
    free(io);
}

/* Tells each VIP's sockets whose they are. */
static void assign_vips(struct io_socket *io)
{
    const struct pool *pool = io->dp->bindings.pool;

    for (struct reader *reader = io->readers; reader; reader = reader->next)
        reader->service = POOL_NONE;
    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const struct service *service = &pool->services[s];
        for (size_t v = 0; v < service->vip_count * IKE_PORT_COUNT; v++) {
            const struct addr *vip = &service->vips[v / IKE_PORT_COUNT];
            const enum ike_port port = (enum ike_port)(v % IKE_PORT_COUNT);
            struct reader *reader = find_vip(io, vip, port);
            if (!reader)
                continue; /* a VIP that was kept, of a service whose sockets did not open: not for long */
            reader->service = s;
            io->vip_fds[vip_index(s, port, slot_of(vip))] =
                (struct vip_fds){.udp = reader->fd, .raw = reader->raw_fd};
        }
    }
}

int io_socket_create(uv_loop_t *loop, struct dataplane *dp, struct inherited *inherited,
                     const struct log *log, struct io_socket **out)
{
    struct io_socket *io = calloc(1, sizeof *io);

    if (!io)
        return -ENOMEM;
    *io = (struct io_socket){.loop = loop, .dp = dp, .log = log, .inherited = inherited, .raw_fds = {-1, -1}};
    io->batch = io_batch_create();
    io->vip_fds = calloc((size_t)POOL_SERVICES_MAX * IKE_PORT_COUNT * SLOT_COUNT, sizeof *io->vip_fds);
    int err = io->batch && io->vip_fds ? 0 : -ENOMEM;
    if (!err)
        err = open_all(io);
    io->inherited = NULL;
    if (err) {
        free_all(io);
        return err;
    }
    assign_vips(io);
    *out = io;
    return 0;
}

struct io_return_ports io_socket_return_ports(const struct io_socket *io)
{
    return io->return_ports;
}

static int start_reader(struct io_socket *io, struct reader *reader)
{
    if (reader->polled)
        return 0;
    const int err = uv_poll_init(io->loop, &reader->poll, reader->fd);
    if (err)
        return err;
    reader->poll.data = reader;
    reader->polled = true;
    return uv_poll_start(&reader->poll, UV_READABLE, on_readable);
}

static void write_name(const struct reader *reader, char name[static IO_SOCKET_NAME_MAX])
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct endpoint at = {0};
    char text[ADDR_TEXT_MAX];

    /* It cannot fail with a socket that is bound. */
    if (getsockname(reader->fd, (struct sockaddr *)&sa, &len) == 0)
        (void)endpoint_from_sockaddr((const struct sockaddr *)&sa, &at);
    if (reader->side == PACKET_FROM_BACKEND)
        snprintf(name, IO_SOCKET_NAME_MAX, "return.%d", addr_is_v4(&at.addr) ? 4 : 6);
    else
        snprintf(name, IO_SOCKET_NAME_MAX, "udp.%s.%u", addr_format(&at.addr, text), at.port);
    for (char *colon = strchr(name, ':'); colon; colon = strchr(colon, ':'))
        *colon = '-';
}

void io_socket_each(const struct io_socket *io, void (*visit)(void *ctx, int fd, const char *name), void *ctx)
{
    char name[IO_SOCKET_NAME_MAX];

    for (const struct reader *reader = io->readers; reader; reader = reader->next) {
        write_name(reader, name);
        visit(ctx, reader->fd, name);
    }
}

int io_socket_start(struct io_socket *io)
{
    int err = 0;

    for (struct reader *reader = io->readers; reader && !err; reader = reader->next)
        err = start_reader(io, reader);
    io->started = true;
    return err;
}

static void finish_close(struct io_socket *io)
{
    void (*closed)(void *) = io->closed;
    void *ctx = io->closed_ctx;

    free_all(io);
    closed(ctx);
}

static void on_reader_closed(uv_handle_t *handle)
{
    struct reader *reader = handle->data;
    struct io_socket *io = reader->io;

    free_reader(reader);
    if (--io->closing_readers == 0 && io->closed)
        finish_close(io);
}

/* Takes the reader that *link points to out of the list, and closes it. */
static void close_reader(struct io_socket *io, struct reader **link)
{
    struct reader *reader = *link;

    *link = reader->next;
    if (!reader->polled) {
        free_reader(reader);
        return;
    }
    io->closing_readers++;
    uv_close((uv_handle_t *)&reader->poll, on_reader_closed);
}

int io_socket_refresh(struct io_socket *io)
{
    struct reader **link = &io->readers;
    int err = 0;

    assign_vips(io);
    while (*link) {
        struct reader *reader = *link;
        if (reader->side == PACKET_FROM_CLIENT && reader->service == POOL_NONE) {
            close_reader(io, link);
            continue;
        }
        const int start_err = io->started ? start_reader(io, reader) : 0;
        if (start_err) {
            log_error(io->log, "cannot read a UDP socket: %s", err_text(start_err));
            err = start_err;
        }
        link = &reader->next;
    }
    return err;
}

void io_socket_close(struct io_socket *io, void (*closed)(void *ctx), void *ctx)
{
    io->closed = closed;
    io->closed_ctx = ctx;
    while (io->readers)
        close_reader(io, &io->readers);
    if (io->closing_readers == 0)
        finish_close(io);
}
