#include "admin/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"

#define SOCKET_MODE    0660
#define DIRECTORY_MODE 0755
#define BACKLOG        16

static int open_socket(void)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

static int make_directory_of(const char *path)
{
    char directory[CONFIG_PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t len = slash ? (size_t)(slash - path) : 0;

    if (len == 0)
        return 0;
    memcpy(directory, path, len);
    directory[len] = '\0';
    if (mkdir(directory, DIRECTORY_MODE) < 0)
        return errno == EEXIST ? 0 : -errno;
    return chmod(directory, DIRECTORY_MODE) < 0 ? -errno : 0; /* whatever the umask made of it */
}

/* Only a refused connection proves that nobody listens; every other answer, a full backlog too, is a sign of
 * life. */
static bool is_stale(const struct sockaddr_un *addr)
{
    const int fd = open_socket();
    bool stale = false;

    if (fd >= 0) {
        stale = connect(fd, (const struct sockaddr *)addr, sizeof *addr) < 0 && errno == ECONNREFUSED;
        close(fd);
    }
    return stale;
}

static int clear_path(const struct sockaddr_un *addr)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -ENOTSOCK;
    if (!is_stale(addr))
        return ERR_EXISTS;
    return unlink(addr->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *addr, struct unix_socket *out)
{
    struct stat st;

    /* bind() gives the file the mode of the socket less the umask: at no time is it open to more than it
     * shall be. */
    if (fchmod(fd, SOCKET_MODE) < 0 || bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0)
        return errno == EADDRINUSE ? ERR_EXISTS : -errno;
    if (lstat(addr->sun_path, &st) < 0)
        return -errno;
    memcpy(out->path, addr->sun_path, sizeof out->path);
    out->device = st.st_dev;
    out->inode = st.st_ino;
    if (chmod(addr->sun_path, SOCKET_MODE) < 0 || listen(fd, BACKLOG) < 0) {
        const int err = -errno;
        unix_socket_remove(out);
        return err;
    }
    return 0;
}

int unix_socket_listen(const char *path, struct unix_socket *out)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int err;

    _Static_assert(sizeof addr.sun_path == CONFIG_PATH_MAX, "a path of the configuration fits");
    if (strlen(path) >= sizeof addr.sun_path)
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, path, strlen(path));

    err = make_directory_of(path);
    if (!err)
        err = clear_path(&addr);
    if (err)
        return err;

    const int fd = open_socket();
    if (fd < 0)
        return fd;
    err = bind_and_listen(fd, &addr, out);
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

void unix_socket_remove(const struct unix_socket *s)
{
    struct stat st;

    if (lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        unlink(s->path);
}
