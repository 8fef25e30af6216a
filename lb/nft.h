/* The nft table: TPROXY for replies, and no connection tracking for the traffic that ikelb carries. */
#pragma once

#include "base/log.h"
#include "lb/io_socket.h"
#include "lb/pool.h"

/*
 * The way to the kernel. It is kept open for as long as the table may change: closing it waits for the kernel
 * to free what was replaced, 5 to 20 ms.
 */
struct nft;

/* NULL without memory. */
struct nft *nft_create(void);
void nft_destroy(struct nft *nft);

/* Makes the table, or replaces its contents in one transaction that no packet falls between. 0, or
 * ERR_LIBRARY after the kernel's reason has been logged. */
int nft_start(struct nft *nft, const struct pool *pool, struct io_return_ports ports, const struct log *log);

/* A hash of the table's text; 0 without memory. */
uint64_t nft_fingerprint(const struct pool *pool, struct io_return_ports ports);

/* Removes it if it is there. */
void nft_stop(struct nft *nft, const struct log *log);
