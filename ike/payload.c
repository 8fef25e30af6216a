#include "ike/payload.h"

#include "base/err.h"

#define GENERIC_HEADER_LEN 4
#define CRITICAL_BIT       0x80

static bool ends_here(uint8_t next)
{
    return next == IKE_PAYLOAD_NONE || next == IKE_PAYLOAD_ENCRYPTED ||
           next == IKE_PAYLOAD_ENCRYPTED_FRAGMENT;
}

bool payload_walk_next(struct payload_walk *w, struct ike_payload *out)
{
    if (w->rest.failed || ends_here(w->next))
        return false;

    const uint8_t following = cursor_u8(&w->rest);
    const uint8_t reserved = cursor_u8(&w->rest);
    const size_t len = cursor_u16(&w->rest);
    if (len < GENERIC_HEADER_LEN)
        w->rest.failed = true;
    const struct cursor body = cursor_slice(&w->rest, len - GENERIC_HEADER_LEN);
    if (w->rest.failed)
        return false;

    *out = (struct ike_payload){
        .type = w->next,
        .critical = reserved & CRITICAL_BIT,
        .body = body.pos,
        .len = cursor_left(&body),
    };
    w->next = following;
    return true;
}

/* Walks a copy to its end. */
static bool chain_is_sound(struct payload_walk w)
{
    struct ike_payload p;
    size_t count = 0;

    while (count <= IKE_PAYLOADS_MAX && payload_walk_next(&w, &p)) {
        struct ike_notify n;
        const bool notify = p.type == IKE_PAYLOAD_NOTIFY || p.type == IKE_PAYLOAD_V1_NOTIFY;
        if (notify && payload_notify(&p, &n) < 0)
            return false;
        count++;
    }
    return !w.rest.failed && count <= IKE_PAYLOADS_MAX;
}

int payload_walk_init(struct payload_walk *w, const struct ike_datagram *d)
{
    const struct ike_header *h = &d->header;
    const bool opaque = h->major > 2 || (h->major == 1 && header_is_encrypted(h));

    w->rest = cursor_over(d->ike + IKE_HEADER_LEN, d->ike_len - IKE_HEADER_LEN);
    w->next = opaque ? IKE_PAYLOAD_NONE : h->next_payload;
    if (chain_is_sound(*w))
        return 0;
    w->next = IKE_PAYLOAD_NONE;
    return ERR_MALFORMED;
}

int payload_notify(const struct ike_payload *p, struct ike_notify *out)
{
    struct cursor c = cursor_over(p->body, p->len);

    if (p->type == IKE_PAYLOAD_V1_NOTIFY)
        cursor_u32(&c); /* the domain of interpretation: RFC 2408 section 3.14 */
    out->protocol = cursor_u8(&c);
    out->spi_len = cursor_u8(&c);
    out->type = cursor_u16(&c);
    out->spi = cursor_bytes(&c, out->spi_len);
    out->data_len = cursor_left(&c);
    out->data = cursor_bytes(&c, out->data_len);
    return c.failed ? ERR_MALFORMED : 0;
}

bool payload_find_notify(const struct ike_datagram *d, enum ike_notify_type type, struct ike_notify *out)
{
    struct payload_walk w;
    struct ike_payload p;

    if (payload_walk_init(&w, d) < 0)
        return false;
    while (payload_walk_next(&w, &p)) {
        struct ike_notify n;
        if (p.type != IKE_PAYLOAD_NOTIFY || payload_notify(&p, &n) < 0 || n.type != type)
            continue;
        if (out)
            *out = n;
        return true;
    }
    return false;
}

bool payload_is_vendor(const struct ike_payload *p)
{
    return p->type == IKE_PAYLOAD_VENDOR || p->type == IKE_PAYLOAD_V1_VENDOR;
}
