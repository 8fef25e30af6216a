/* What the kernel says network devices can do with XDP: the generic netlink family "netdev", of Linux 6.3 and
 * later. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The bits of enum netdev_xdp_act in the kernel's include/uapi/linux/netdev.h that matter here. */
#define FEATURES_BASIC       (1U << 0)
#define FEATURES_REDIRECT    (1U << 1) /* a program there may send packets to other devices */
#define FEATURES_NDO_XMIT    (1U << 2) /* packets can be sent there natively: what else is sent is lost */
#define FEATURES_NDO_XMIT_SG (1U << 6) /* also those in more than one buffer */

struct features;

/* NULL where the kernel does not tell, or without memory. */
struct features *features_open(void);
void features_close(struct features *features);

/* The device's bits, or 0 if there is no telling. */
uint64_t features_of(struct features *features, uint32_t ifindex);

/* Has any device's changed since the last call? */
bool features_have_changed(struct features *features);
