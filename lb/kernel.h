/*
 * What ikelb puts into the kernel so that replies come to it: one nft table, and per family one rule and one
 * route. All of it carries ikelb's name or number, is taken over from a process that was killed, and goes
 * away at exit. Nothing else is touched.
 */
#pragma once

#include <stdint.h>

#include "base/log.h"
#include "lb/io_socket.h"
#include "lb/pool.h"

/* The names by which an administrator finds it: `nft list table inet ikelb`, `ip rule`, `ip route show table
 * 4500`. */
#define KERNEL_NFT_TABLE     "ikelb"
#define KERNEL_ROUTE_TABLE   4500
#define KERNEL_RULE_PRIORITY 45
#define KERNEL_PROTOCOL      73 /* marks our rules and routes, as `proto 73`: 'I' */
#define KERNEL_MARK          0x45000000U
#define KERNEL_MARK_MASK     0xff000000U

/*
 * Makes this process the only ikelb of its network namespace, where the names above can serve but one. A
 * descriptor to close after kernel_stop(), or -EADDRINUSE, logged, if there is another ikelb; it frees the
 * claim however its process ends.
 */
int kernel_claim(const struct log *log);

/* The way to the kernel, kept open as long as something is set up (lb/nft.h). */
struct kernel;

/*
 * NULL without memory. It takes the lowest free descriptor, which must be below FD_SETSIZE: libnftables waits
 * with select(2), and ends the process if it is not.
 */
struct kernel *kernel_create(void);

/* Leaves what is set up. NULL is allowed. */
void kernel_destroy(struct kernel *kernel);

/*
 * Sets it all up, in place of whatever an earlier run left. 0 or a negative error, logged, after which
 * nothing of it is there.
 */
int kernel_start(struct kernel *kernel, const struct pool *pool, struct io_return_ports ports,
                 const struct log *log);

/*
 * Brings what is set up into step with the changed pool, in one transaction. 0, or a negative error, logged,
 * after which the nft table is as it was.
 */
int kernel_refresh(struct kernel *kernel, const struct pool *pool, struct io_return_ports ports,
                   const struct log *log);

/* Of all that kernel_start() and kernel_refresh() would write: as long as it stays the same neither is
 * needed. */
uint64_t kernel_fingerprint(const struct pool *pool, struct io_return_ports ports);

/* Removes it all. Needs no successful start: what is not there is no error. */
void kernel_stop(struct kernel *kernel, const struct log *log);
