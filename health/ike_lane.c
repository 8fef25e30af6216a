#include "health/ike_lane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "health/watch.h"
#include "ike/payload.h"

#define READS_PER_EVENT 8 /* a flood of answers cannot hold the loop */
#define DATAGRAM_MAX    4096

struct ike_lane {
    struct ike_lane_settings settings;
    struct ike_spi spi;
    struct watch *watch; /* owns fd */
    int fd;
    int error;
    struct socket_limit limit;
    bool noise;
};

uint16_t ike_lane_port(const struct ike_lane *lane)
{
    return lane->settings.natt_port ? IKE_NATT_PORT : IKE_PORT;
}

const struct ike_spi *ike_lane_spi(const struct ike_lane *lane)
{
    return &lane->spi;
}

int ike_lane_error(const struct ike_lane *lane)
{
    return lane->error;
}

struct socket_limit ike_lane_limit(const struct ike_lane *lane)
{
    return lane->limit;
}

bool ike_lane_heard_noise(const struct ike_lane *lane)
{
    return lane->noise;
}

/*
 * Any version will do, an IKEv1-only server's refusal included, but since IKEv2 an answer must say that it is
 * one: an echo of our own request is no sign of a living server.
 */
static bool is_answer(const struct ike_lane *lane, const uint8_t *data, size_t len, struct ike_datagram *d)
{
    struct payload_walk w;

    if (classify_datagram(data, len, lane->settings.natt_port, d) != IKE_CLASS_IKE)
        return false;
    if (!header_spi_equal(&d->header.spi_i, &lane->spi))
        return false;
    if (d->header.major > 1 && !(d->header.flags & IKE_FLAG_RESPONSE))
        return false;
    return payload_walk_init(&w, d) == 0;
}

static void set_cause(uint16_t port, int status, char cause[static CAUSE_MAX])
{
    if (status == -ECONNREFUSED)
        cause_set(cause, "UDP %u: destination port unreachable (ICMP)", port);
    else
        cause_set(cause, "UDP %u: %s", port, err_text(status));
}

static void note_error(struct ike_lane *lane, int status, char cause[static CAUSE_MAX])
{
    lane->error = status;
    if (status == -EMSGSIZE)
        lane->limit = socket_limit(lane->fd);
    set_cause(ike_lane_port(lane), status, cause);
}

/* The callbacks may close the lane, so it is not touched after one. */
static void on_readable(void *ctx, int fd)
{
    struct ike_lane *lane = ctx;
    uint8_t data[DATAGRAM_MAX];
    struct ike_datagram d;
    char cause[CAUSE_MAX];

    for (int i = 0; i < READS_PER_EVENT; i++) {
        const ssize_t len = recv(fd, data, sizeof data, 0);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len < 0) {
            note_error(lane, -errno, cause);
            lane->settings.failure(lane->settings.ctx, cause);
            return;
        }
        if (is_answer(lane, data, (size_t)len, &d)) {
            lane->settings.answer(lane->settings.ctx, &d);
            return; /* if there is more, the loop calls again */
        }
        lane->noise = true;
    }
}

/* Random, but zero is no SPI: RFC 7296 section 3.1. */
static int draw_spi(struct ike_spi *spi)
{
    const int status = uv_random(NULL, NULL, spi->bytes, sizeof spi->bytes, 0, NULL);

    if (header_spi_is_zero(spi))
        spi->bytes[0] = 1;
    return status;
}

static int open_lane(struct ike_lane *lane)
{
    const struct ike_lane_settings *settings = &lane->settings;
    const struct socket_udp what = {.target = {.addr = settings->target, .port = ike_lane_port(lane)},
                                    .source_port = settings->source_port,
                                    .fragments = settings->fragments};
    int status = 0;

    if (settings->spi)
        lane->spi = *settings->spi;
    else
        status = draw_spi(&lane->spi);
    if (status < 0)
        return status;
    lane->fd = socket_udp(&what);
    if (lane->fd < 0)
        return lane->fd;
    return watch_open(settings->loop, lane->fd, UV_READABLE, on_readable, lane, &lane->watch);
}

int ike_lane_open(const struct ike_lane_settings *settings, struct ike_lane **out,
                  char cause[static CAUSE_MAX])
{
    struct ike_lane *lane = malloc(sizeof *lane);
    int status = -ENOMEM;

    *out = NULL;
    if (lane) {
        *lane = (struct ike_lane){.settings = *settings};
        status = open_lane(lane);
        lane->settings.spi = NULL; /* borrowed until now */
    }
    if (status < 0) {
        set_cause(settings->natt_port ? IKE_NATT_PORT : IKE_PORT, status, cause);
        free(lane);
        return status;
    }
    *out = lane;
    return 0;
}

void ike_lane_close(struct ike_lane *lane)
{
    if (!lane)
        return;
    watch_close(lane->watch);
    free(lane);
}

bool ike_lane_send(struct ike_lane *lane, const void *message, size_t len, char cause[static CAUSE_MAX])
{
    if (len && send(lane->fd, message, len, MSG_NOSIGNAL) >= 0)
        return true;
    note_error(lane, len ? -errno : ERR_RANGE, cause);
    return false;
}
