#include "persist/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define TEMPORARY_ENDING ".new"
#define ASIDE_ENDING     ".bad"

int state_file_init(struct state_file *file, const char *path)
{
    *file = (struct state_file){.fd = -1};
    if (strlen(path) + sizeof TEMPORARY_ENDING > sizeof file->path)
        return ERR_RANGE;
    snprintf(file->path, sizeof file->path, "%s", path);
    snprintf(file->temporary, sizeof file->temporary, "%.107s" TEMPORARY_ENDING, path);
    return 0;
}

/* Whatever has that name gives way: it is what a killed daemon left, or it is in the way. */
static int create_file(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return -errno;
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

/* The folder that the path is in; returns `out`. */
static const char *folder_of(const char *path, char out[static STATE_FILE_PATH_MAX])
{
    char copy[STATE_FILE_PATH_MAX];

    snprintf(copy, sizeof copy, "%s", path);
    snprintf(out, STATE_FILE_PATH_MAX, "%s", dirname(copy));
    return out;
}

int state_file_open(struct state_file *file)
{
    char folder[STATE_FILE_PATH_MAX];
    int fd = create_file(file->temporary);

    if (fd == -ENOENT && mkdir(folder_of(file->path, folder), 0700) == 0)
        fd = create_file(file->temporary);
    if (fd < 0)
        return fd;
    file->fd = fd;
    file->length = SAVED_HEADER_BYTES;
    return 0;
}

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
    while (len) {
        const ssize_t written = pwrite(fd, data, len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        len -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

int state_file_write(struct state_file *file, const void *data, size_t len)
{
    const int err = write_at(file->fd, data, len, file->length);

    file->length += len;
    return err;
}

/* The new name in its folder is what must be on the disk. Some file systems cannot say so. */
static int sync_folder(const char *path)
{
    char folder[STATE_FILE_PATH_MAX];
    const int fd = open(folder_of(path, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    const int err = fsync(fd) != 0 && errno != EINVAL ? -errno : 0;
    close(fd);
    return err;
}

int state_file_commit(struct state_file *file, const uint8_t header[static SAVED_HEADER_BYTES])
{
    int err = write_at(file->fd, header, SAVED_HEADER_BYTES, 0);

    if (!err && fsync(file->fd) != 0)
        err = -errno;
    if (!err && close(file->fd) != 0)
        err = -errno;
    if (err)
        return err;
    file->fd = -1;
    if (rename(file->temporary, file->path) != 0)
        return -errno;
    return sync_folder(file->path);
}

void state_file_abandon(struct state_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    (void)unlink(file->temporary); /* what cannot be removed is replaced the next time */
}

static int read_all(int fd, uint8_t *data, size_t len)
{
    while (len) {
        const ssize_t got = read(fd, data, len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO; /* it has become shorter meanwhile */
        data += got;
        len -= (size_t)got;
    }
    return 0;
}

int state_file_read(const char *path, uint8_t **data, size_t *len)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    int err = 0;

    *data = NULL;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) != 0)
        err = -errno;
    else if (!S_ISREG(status.st_mode))
        err = ERR_MALFORMED;
    else if ((uint64_t)status.st_size > SAVED_FILE_MAX)
        err = -EFBIG;
    if (err)
        goto close_file;
    *len = (size_t)status.st_size;
    *data = malloc(*len ? *len : 1);
    err = *data ? read_all(fd, *data, *len) : -ENOMEM;
    if (err) {
        free(*data);
        *data = NULL;
    }
close_file:
    close(fd);
    return err;
}

int state_file_set_aside(const char *path)
{
    char aside[STATE_FILE_PATH_MAX];

    if ((size_t)snprintf(aside, sizeof aside, "%s" ASIDE_ENDING, path) >= sizeof aside)
        return -ENAMETOOLONG;
    return rename(path, aside) == 0 ? 0 : -errno;
}
