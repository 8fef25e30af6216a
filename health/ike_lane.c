#include "health/ike_lane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "health/socket.h"
#include "health/watch.h"
#include "ike/payload.h"

#define READS_PER_EVENT 8 /* a flood of answers cannot hold the loop */
#define DATAGRAM_MAX    4096

struct ike_lane {
    struct ike_lane_settings settings;
    struct ike_spi spi;
    struct watch *watch; /* owns fd */
    int fd;
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

static void set_cause(const struct ike_lane *lane, int status, char cause[static CAUSE_MAX])
{
    if (status == -ECONNREFUSED)
        cause_set(cause, "UDP %u: destination port unreachable (ICMP)", ike_lane_port(lane));
    else
        cause_set(cause, "UDP %u: %s", ike_lane_port(lane), err_text(status));
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
            set_cause(lane, -errno, cause);
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

struct ike_lane *ike_lane_open(const struct ike_lane_settings *settings, char cause[static CAUSE_MAX])
{
    struct ike_lane *lane = malloc(sizeof *lane);

    if (!lane) {
        cause_set(cause, "%s", err_text(-ENOMEM));
        return NULL;
    }
    *lane = (struct ike_lane){.settings = *settings};
    const struct endpoint target = {.addr = settings->target, .port = ike_lane_port(lane)};
    int status = draw_spi(&lane->spi);
    if (status < 0)
        goto fail;
    lane->fd = socket_udp(&target);
    status = lane->fd;
    if (status < 0)
        goto fail;
    status = watch_open(settings->loop, lane->fd, UV_READABLE, on_readable, lane, &lane->watch);
    if (status < 0)
        goto fail;
    return lane;

fail:
    set_cause(lane, status, cause);
    free(lane);
    return NULL;
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
    set_cause(lane, len ? -errno : ERR_RANGE, cause);
    return false;
}
