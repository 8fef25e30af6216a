#include "admin/token.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define FILE_BYTES_MAX 1024 /* with some white space after the token */

/* The file's bytes, NUL-terminated. The number of them, or -errno. */
static ssize_t read_file(const char *path, const struct log *log, char text[static FILE_BYTES_MAX + 1])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st = {0};
    ssize_t len = -1;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0)
        len = read(fd, text, FILE_BYTES_MAX);
    const ssize_t result = len < 0 ? -errno : len;
    close(fd);
    if (result >= 0) {
        text[result] = '\0';
        if (st.st_mode & S_IROTH)
            log_warn(log, "admin: everybody on this machine may read %s: chmod o-r makes the token a secret",
                     path);
    }
    return result;
}

/* Why the text is no token, or NULL. */
static const char *fault_of(const char *text, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";

    if (len == 0)
        return "is empty";
    if (strspn(text, allowed) != len)
        return "has characters that a token cannot have";
    if (len < TOKEN_MIN)
        return "is too short";
    return len > TOKEN_MAX ? "is too long" : NULL;
}

int token_read(const char *path, const struct log *log, struct token *out)
{
    char text[FILE_BYTES_MAX + 1];
    const ssize_t got = read_file(path, log, text);
    size_t len = got > 0 ? (size_t)got : 0;

    if (got < 0) {
        log_error(log, "admin: cannot read admin.token_file %s: %s", path, err_text((int)got));
        return (int)got;
    }
    while (len > 0 && strchr(" \t\r\n", text[len - 1]))
        len--;
    text[len] = '\0';
    const char *fault = fault_of(text, len);
    if (fault) {
        log_error(log,
                  "admin: the token in %s %s; it must be one word of %d to %d letters, digits and -._~+/=, "
                  "such as `openssl rand -hex 32` prints",
                  path, fault, TOKEN_MIN, TOKEN_MAX);
        return ERR_MALFORMED;
    }
    *out = (struct token){0};
    memcpy(out->text, text, len);
    return 0;
}

bool token_matches(const struct token *token, const char *presented)
{
    char padded[TOKEN_MAX + 1] = "";
    const size_t len = presented ? strnlen(presented, sizeof padded) : sizeof padded;
    volatile unsigned char difference = 0;

    if (len > TOKEN_MAX || token->text[0] == '\0')
        return false;
    memcpy(padded, presented, len);
    for (size_t i = 0; i < sizeof padded; i++)
        difference |= (unsigned char)(padded[i] ^ token->text[i]);
    return difference == 0;
}
