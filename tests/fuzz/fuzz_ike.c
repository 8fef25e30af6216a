/*
 * Fuzzes what reads a stranger's datagram: classification, the payload walk, notifies and vendor IDs. Besides
 * memory errors, it holds them to their promises. The first byte of the input says which port the datagram is
 * for.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ike/classify.h"
#include "ike/payload.h"
#include "ike/vendor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_inside(const struct ike_datagram *d, const uint8_t *data, size_t len)
{
    require(data >= d->ike && len <= d->ike_len && (size_t)(data - d->ike) <= d->ike_len - len);
}

static void check_notify(const struct ike_datagram *d, const struct ike_payload *p)
{
    struct ike_notify n;

    /* The walk began, so every notify was found to be sound. */
    require(payload_notify(p, &n) == 0);
    require_inside(d, n.spi, n.spi_len);
    require_inside(d, n.data, n.data_len);
    if (p->type == IKE_PAYLOAD_NOTIFY)
        require(payload_find_notify(d, (enum ike_notify_type)n.type, NULL));
}

static void check_ike(const struct ike_datagram *d, size_t size)
{
    struct payload_walk w;
    struct ike_payload p;
    int count = 0;

    require(d->ike_len >= IKE_HEADER_LEN && d->ike_len <= size);
    require(!header_spi_is_zero(&d->header.spi_i));
    require(!(header_is_init_request(&d->header) && header_is_init_response(&d->header)));
    const int sound = payload_walk_init(&w, d) == 0;
    while (payload_walk_next(&w, &p)) {
        require(sound && ++count <= IKE_PAYLOADS_MAX);
        require_inside(d, p.body, p.len);
        if (p.type == IKE_PAYLOAD_NOTIFY || p.type == IKE_PAYLOAD_V1_NOTIFY)
            check_notify(d, &p);
        if (payload_is_vendor(&p))
            vendor_name(p.body, p.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ike_datagram d;

    if (!size)
        return 0;
    /* A copy of the exact size: a read past its end is seen. */
    const size_t len = size - 1;
    uint8_t *datagram = malloc(len ? len : 1);
    if (!datagram)
        return 0;
    memcpy(datagram, data + 1, len);
    switch (classify_datagram(datagram, len, data[0] & 1, &d)) {
    case IKE_CLASS_IKE:
        check_ike(&d, len);
        break;
    case IKE_CLASS_ESP:
        require((data[0] & 1) && d.esp_spi && len >= IKE_ESP_MIN_LEN);
        break;
    case IKE_CLASS_KEEPALIVE:
        require(len == 1);
        break;
    case IKE_CLASS_GARBAGE:
        require(strcmp(classify_garbage_name(d.garbage), "unknown") != 0);
        break;
    }
    free(datagram);
    return 0;
}
