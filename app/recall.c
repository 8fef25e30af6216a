#include "app/recall.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/plural.h"
#include "lb/restore.h"
#include "persist/saved.h"
#include "persist/state_file.h"

/* What a start without memory means; full NAT has to wait for the clients, which begin anew. */
#define WITHOUT                                                                                              \
    "starting without remembered clients: established tunnels recover by themselves in transparent mode, "   \
    "as soon as their servers speak; with full NAT when their clients begin anew"

static void refuse(const char *path, const char *why, const struct log *log)
{
    const int err = state_file_set_aside(path);

    log_warn(log, "state.file: %s %s; " WITHOUT, path, why);
    if (err)
        log_warn(log, "state.file: %s cannot be renamed to %s.bad: %s; it will be overwritten", path, path,
                 err_text(err));
    else
        log_warn(log, "state.file: it is kept as %s.bad", path);
}

static void report_unreadable(const char *path, int err, const struct log *log)
{
    if (err == -ENOENT)
        log_info(log, "state.file: there is no %s yet; starting without remembered clients", path);
    else if (err == -EFBIG)
        refuse(path, "is larger than any state file can be", log);
    else
        log_warn(log, "state.file: %s cannot be read: %s; " WITHOUT, path,
                 err == ERR_MALFORMED ? "it is no regular file" : err_text(err));
}

static void report(const struct restore_result *result, const struct log *log)
{
    log_info(log,
             "state.file: %" PRIu32 " client%s remembered, with %" PRIu32 " session%s and %" PRIu32
             " flow%s, as of %" PRIu64 ".%" PRIu64 " s ago",
             result->pins, plural(result->pins), result->sessions, plural(result->sessions), result->flows,
             plural(result->flows), result->away_ms / 1000, result->away_ms % 1000 / 100);
    if (result->operator_states)
        log_info(log, "state.file: %" PRIu32 " backend%s in the state that an operator had given",
                 result->operator_states, plural(result->operator_states));
    if (result->expired)
        log_info(log, "state.file: %" PRIu32 " client%s expired meanwhile", result->expired,
                 plural(result->expired));
    if (result->gone)
        log_warn(log,
                 "state.file: %" PRIu32
                 " client%s forgotten: the configuration has the service, VIP or backend no more",
                 result->gone, plural(result->gone));
    if (result->lost_flows)
        log_warn(log,
                 "state.file: %" PRIu32
                 " flow%s forgotten: the mode or the source addresses of the service have changed",
                 result->lost_flows, plural(result->lost_flows));
    if (result->no_room)
        log_warn(log, "state.file: %" PRIu32 " client%s forgotten: dataplane.max_clients leaves no room",
                 result->no_room, plural(result->no_room));
}

void recall_state(const char *path, struct bindings *bindings, const struct log *log)
{
    struct restore_result result;
    char why[SAVED_FAULT_TEXT_MAX];
    uint8_t *data = NULL;
    size_t len = 0;
    int err = state_file_read(path, &data, &len);

    if (err) {
        report_unreadable(path, err, log);
        return;
    }
    const struct saved_verdict verdict = saved_verify(data, len);
    if (verdict.fault != SAVED_FAULT_NONE) {
        refuse(path, saved_fault_text(&verdict, why), log);
    } else {
        err = restore_bindings(bindings, data, len, clock_now_ms(), clock_wall_ms(), &result);
        if (err)
            log_error(log, "state.file: not all of %s could be restored: %s", path, err_text(err));
        report(&result, log);
    }
    free(data);
}
