// The body of GET /api/v1/status.
#ifndef POSTERN_PROXY_ADMIN_STATUS_JSON_H_
#define POSTERN_PROXY_ADMIN_STATUS_JSON_H_

#include <string>

#include "metrics/collector.h"

namespace postern::admin {

// One JSON object: version, openssl, uptime_seconds, workers, draining, config {...},
// removed [{name, by, reason}] of backends that were taken out by hand,
// listeners [{name, active, sessions, connections, logins {result: n}, closed {reason: n},
// bytes_in, bytes_out, ...}] and backends [{name, pool, active, sessions, sessions_total, connects,
// logins {...}, errors {reason: n}, closed {...}, connect_seconds_mean, weight {configured, now,
// set, by, reason}, agent, load {seats, logins, sessions_max, logins_max}, ...}]. Results are all
// there, reasons only when not 0; a mean is null before the first observation. Names that are no
// UTF-8 are repaired, never an error.
std::string StatusJson(const metrics::StatusSummary& summary);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_STATUS_JSON_H_
