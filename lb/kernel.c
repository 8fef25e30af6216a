#include "lb/kernel.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "lb/delivery.h"
#include "lb/nft.h"

struct kernel {
    struct nft *nft;
};

/* Abstract names belong to the network namespace, as do the table, the rules and the routes. */
int kernel_claim(const struct log *log)
{
    static const char name[] = "\0ikelb";
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(sa.sun_path, name, sizeof name - 1);
    if (fd >= 0 &&
        bind(fd, (const struct sockaddr *)&sa, offsetof(struct sockaddr_un, sun_path) + sizeof name - 1) == 0)
        return fd;
    const int err = -errno;
    log_error(log, "%s: %s",
              err == -EADDRINUSE
                  ? "another ikelb runs in this network namespace (one can serve many services)"
                  : "cannot claim this network namespace",
              err_text(err));
    if (fd >= 0)
        close(fd);
    return err;
}

struct kernel *kernel_create(void)
{
    struct kernel *kernel = calloc(1, sizeof *kernel);

    if (!kernel)
        return NULL;
    kernel->nft = nft_create();
    if (kernel->nft)
        return kernel;
    kernel_destroy(kernel);
    return NULL;
}

void kernel_destroy(struct kernel *kernel)
{
    if (!kernel)
        return;
    nft_destroy(kernel->nft);
    free(kernel);
}

/* The table last: with a rule or a route that it does not use yet nothing has changed. */
int kernel_refresh(struct kernel *kernel, const struct pool *pool, struct io_return_ports ports,
                   const struct log *log)
{
    int err = 0;

    if (ports.v4)
        err = delivery_start(AF_INET, log);
    if (!err && ports.v6)
        err = delivery_start(AF_INET6, log);
    return err ? err : nft_start(kernel->nft, pool, ports, log);
}

int kernel_start(struct kernel *kernel, const struct pool *pool, struct io_return_ports ports,
                 const struct log *log)
{
    const int err = kernel_refresh(kernel, pool, ports, log);

    if (err)
        kernel_stop(kernel, log);
    return err;
}

uint64_t kernel_fingerprint(const struct pool *pool, struct io_return_ports ports)
{
    return nft_fingerprint(pool, ports);
}

void kernel_stop(struct kernel *kernel, const struct log *log)
{
    nft_stop(kernel->nft, log);
    delivery_stop(AF_INET, log);
    delivery_stop(AF_INET6, log);
}
