#include "lb/kernel.h"

#include "lb/netlink.h"
#include "lb/nft.h"

int kernel_start(const struct pool *pool, struct io_return_ports ports, const struct log *log)
{
    int err = nft_start(pool, ports, log);

    if (!err && ports.v4)
        err = netlink_start(AF_INET, log);
    if (!err && ports.v6)
        err = netlink_start(AF_INET6, log);
    if (err)
        kernel_stop(log);
    return err;
}

void kernel_stop(const struct log *log)
{
    nft_stop(log);
    netlink_stop(AF_INET, log);
    netlink_stop(AF_INET6, log);
}
