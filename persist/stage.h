/* How far a handshake has come, as seen in clear IKE headers (RFC 7296 section 1.2). */
#pragma once

enum stage {
    STAGE_NONE, /* only other traffic so far: the handshake was before our time, or it was a rekeying */
    STAGE_INIT_SENT,
    STAGE_INIT_ANSWERED,
    STAGE_AUTH_SENT,
    STAGE_AUTH_ANSWERED,
    STAGE_ESTABLISHED, /* traffic seen both ways */
    STAGE_COUNT,
};

/* "init-sent" and so on; the words that users see. Static. */
const char *stage_name(enum stage stage);
