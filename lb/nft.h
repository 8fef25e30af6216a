/* The nft table: TPROXY for replies, and no connection tracking for the traffic that ikelb carries. */
#pragma once

#include "base/log.h"
#include "lb/io_socket.h"
#include "lb/pool.h"

/* Makes the table, or replaces its contents in one transaction that no packet falls between. 0, or
 * ERR_LIBRARY after the kernel's reason has been logged. */
int nft_start(const struct pool *pool, struct io_return_ports ports, const struct log *log);

/* A hash of the table's text; 0 without memory. */
uint64_t nft_fingerprint(const struct pool *pool, struct io_return_ports ports);

/* Removes it if it is there. */
void nft_stop(const struct log *log);
