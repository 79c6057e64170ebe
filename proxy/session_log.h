// The session log: one structured line per session, logfmt or JSON.
//
// Everything a peer sent is escaped; no secret is part of a record. Any thread.
#ifndef POSTERN_PROXY_SESSION_LOG_H_
#define POSTERN_PROXY_SESSION_LOG_H_

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proxy/base/line_log.h"
#include "proxy/config/config.h"
#include "proxy/session_record.h"

namespace postern {

// The line for `record`, without its end. `now` is the wall clock.
std::string FormatSession(const SessionRecord& record, config::LogFormat format, absl::Time now);

class SessionLog : public SessionSink {
 public:
  // `log` outlives this object.
  SessionLog(LineLog* log, config::LogFormat format) : log_(log), format_(format) {}
  void OnSessionEnd(const SessionRecord& record) override {
    log_->Write(FormatSession(record, format_, absl::Now()));
  }

 private:
  LineLog* log_;
  config::LogFormat format_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_SESSION_LOG_H_
