/*
 * The state file on disk, whatever is in it (persist/saved.h). A new one is written beside the old one and
 * takes its place only when all of it is on the disk, so that there is a whole one at any moment. All calls
 * block: they are for a thread of libuv's pool, and for the daemon's start and end.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "persist/saved.h"

#define STATE_FILE_PATH_MAX 112 /* state.file with the longest ending behind it, NUL included */

/* A file that is being written. Visible so that it can be embedded; use the functions. */
struct state_file {
    char path[STATE_FILE_PATH_MAX];
    char temporary[STATE_FILE_PATH_MAX];
    int fd;          /* -1: none */
    uint64_t length; /* written so far, the room for the header included */
};

/* ERR_RANGE if the path is too long. */
int state_file_init(struct state_file *file, const char *path);

/*
 * Begins a new file, readable by its owner only. If the last folder of the path is missing it is made. 0 or
 * -errno; the same of the others. After an error of any, abandon it.
 */
int state_file_open(struct state_file *file);
int state_file_write(struct state_file *file, const void *data, size_t len);

/* Writes the header, and puts the file in the place of the old one. It is on the disk then. */
int state_file_commit(struct state_file *file, const uint8_t header[static SAVED_HEADER_BYTES]);

/* Removes what has been begun; nothing if nothing was. */
void state_file_abandon(struct state_file *file);

/*
 * Reads all of a file into memory that the caller frees. 0; -errno; -EFBIG over SAVED_FILE_MAX; ERR_MALFORMED
 * if it is no regular file.
 */
int state_file_read(const char *path, uint8_t **data, size_t *len);

/* Renames the file to PATH.bad, so that the next one does not take its place. 0 or -errno. */
int state_file_set_aside(const char *path);
