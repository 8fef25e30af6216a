/* What is told of the devices that the program is on: in the log as it becomes new, and to whoever asks. */
#pragma once

#include "base/log.h"
#include "lb/fastpath.h"
#include "lb/xdp/links.h"

struct device_report {
    struct fastpath_interface lists[2][LINKS_MAX];
    size_t counts[2];
    unsigned now; /* the list that holds; the other is the one before it */
};

/* Begins a new list, which is empty. */
void device_report_begin(struct device_report *report);

/* Adds a device; there is room for LINKS_MAX. `err` is of the last try to attach to it, or 0; `link` what is
 * known of it now, or NULL. */
void device_report_add(struct device_report *report, const char *name, enum fastpath_mode mode, int err,
                       const struct link *link);

/* Logs what is not as it was in the list before. */
void device_report_log(const struct device_report *report, const struct log *log);

/* The latest list; valid until the next one begins. */
const struct fastpath_interface *device_report_list(const struct device_report *report, size_t *count);
