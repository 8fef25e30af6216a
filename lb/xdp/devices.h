/*
 * The devices that the XDP program is attached to: every Ethernet device that IP knows, as they come and go.
 * What a packet must know of them is written into the program's maps.
 */
#pragma once

#include "base/log.h"
#include "config/config.h"
#include "lb/fastpath.h"
#include "lb/xdp/links.h"
#include "lb/xdp/maps.h"

struct devices;

/* All is borrowed and must outlive it. 0 and *out, or a negative error. Nothing is attached yet. */
int devices_create(struct maps *maps, struct links *links, enum config_fastpath wanted, const struct log *log,
                   struct devices **out);

/* Attaches and detaches as devices are now; what earlier runs have left is replaced, where it is not wanted
 * removed. Cheap if nothing has changed. */
void devices_refresh(struct devices *devices, bool links_have_changed);

/* The mode that is in use; FASTPATH_OFF if there is no device. */
enum fastpath_mode devices_mode(const struct devices *devices);
const struct fastpath_interface *devices_list(const struct devices *devices, size_t *count);

/* Detaches everything; `leave`: but what lasts, for the next run. Frees it. NULL is allowed. */
void devices_destroy(struct devices *devices, bool leave);

/* Detaches what earlier runs have left. */
void devices_clean(struct maps *maps, const struct log *log);
