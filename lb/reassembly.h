/* Counts the IP fragments that the kernel could not put together, so that their loss does not stay silent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The two counters, both of the whole network namespace. */
enum reassembly_family { REASSEMBLY_V4, REASSEMBLY_V6 };
#define REASSEMBLY_FAMILY_COUNT 2

/* Plain: made by reassembly_init(), changed by reassembly_grown() only. */
struct reassembly {
    int fds[REASSEMBLY_FAMILY_COUNT]; /* the kernel's reports; -1: it has none of that family */
    uint64_t seen[REASSEMBLY_FAMILY_COUNT];
};

/*
 * Opens the reports of the network namespace that the process is in and counts from here. 0, or -errno or
 * ERR_MALFORMED if there is no reading them; then nothing is open. A kernel without IPv6 is no error.
 */
int reassembly_init(struct reassembly *r);

/* Closes the reports; harmless after a reassembly_init() that failed. */
void reassembly_deinit(struct reassembly *r);

/*
 * How many fragments and incomplete datagrams the kernel has given up since the last call (or
 * reassembly_init()). What cannot be read now is counted by a later call.
 */
uint64_t reassembly_grown(struct reassembly *r);

/*
 * Finds the counter in the text of /proc/net/snmp (`ReasmFails` in the two lines `Ip:`, names and values) or
 * of /proc/net/snmp6 (`Ip6ReasmFails`, a line of its own). The text may end anywhere, but only whole lines
 * count. False if the counter is not in it.
 */
bool reassembly_parse(enum reassembly_family family, const char *text, size_t len, uint64_t *failed);
