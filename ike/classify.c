#include "ike/classify.h"

static enum ike_class garbage(enum ike_garbage reason, struct ike_datagram *out)
{
    out->garbage = reason;
    return out->class = IKE_CLASS_GARBAGE;
}

/* Exchange types below 34 belong to IKEv1, those from there on to IKEv2, the private ones to either. */
static bool exchange_fits_version(const struct ike_header *h)
{
    if (h->major == 2)
        return h->exchange >= IKE_EXCHANGE_SA_INIT;
    if (h->major == 1)
        return h->exchange && (h->exchange < IKE_EXCHANGE_SA_INIT || h->exchange >= IKE_EXCHANGE_PRIVATE);
    return true;
}

static enum ike_class classify_ike(const uint8_t *data, size_t len, struct ike_datagram *out)
{
    struct ike_header *h = &out->header;

    if (header_read(data, len, h) < 0)
        return garbage(IKE_GARBAGE_TOO_SHORT, out);
    if (header_spi_is_zero(&h->spi_i))
        return garbage(IKE_GARBAGE_ZERO_SPI, out);
    if (h->major == 0)
        return garbage(IKE_GARBAGE_BAD_IKE_VERSION, out);
    if (!exchange_fits_version(h))
        return garbage(IKE_GARBAGE_BAD_IKE_EXCHANGE, out);
    if (h->length < IKE_HEADER_LEN || h->length > len)
        return garbage(IKE_GARBAGE_BAD_IKE_LENGTH, out);
    out->ike = data;
    out->ike_len = h->length;
    return out->class = IKE_CLASS_IKE;
}

/* By hand, not by a cursor: once the length has been checked, this is one load on the hot path. */
static uint32_t first_word(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

enum ike_class classify_datagram(const uint8_t *data, size_t len, bool natt_port, struct ike_datagram *out)
{
    /* ESP first: nearly every datagram is ESP, and this is all the work that it costs. */
    if (natt_port && len >= IKE_ESP_MIN_LEN) {
        const uint32_t spi = first_word(data);
        if (spi) {
            out->esp_spi = spi;
            return out->class = IKE_CLASS_ESP;
        }
        return classify_ike(data + IKE_NON_ESP_MARKER, len - IKE_NON_ESP_MARKER, out);
    }
    if (len == 1 && data[0] == IKE_NATT_KEEPALIVE)
        return out->class = IKE_CLASS_KEEPALIVE;
    if (natt_port)
        return garbage(IKE_GARBAGE_TOO_SHORT, out);
    return classify_ike(data, len, out);
}

const char *classify_garbage_name(enum ike_garbage reason)
{
    switch (reason) {
#define IKE_GARBAGE_CASE(name, label)                                                                        \
    case IKE_GARBAGE_##name:                                                                                 \
        return label;
        IKE_GARBAGE_LIST(IKE_GARBAGE_CASE)
#undef IKE_GARBAGE_CASE
    case IKE_GARBAGE_COUNT:
        break;
    }
    return "unknown";
}
