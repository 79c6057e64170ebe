#include "proxy/session_log.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "metrics/worker_stats.h"
#include "proxy/base/escape.h"

namespace postern {
namespace {

// One field: text is quoted where the format wants it, numbers and flags are not.
struct Field {
  const char* name;
  std::string text;
  double number = 0;
  enum class Kind { kText, kMilliseconds, kCount, kFlag } kind = Kind::kText;
};

using Fields = std::vector<Field>;

void AddText(Fields* fields, const char* name, absl::string_view text) {
  if (!text.empty()) fields->push_back({name, EscapeForLog(text), 0, Field::Kind::kText});
}
void AddCount(Fields* fields, const char* name, uint64_t count) {
  fields->push_back({name, "", static_cast<double>(count), Field::Kind::kCount});
}
void AddDuration(Fields* fields, const char* name, DurationNs duration) {
  const double milliseconds = static_cast<double>(duration) / 1e6;
  fields->push_back({name, "", milliseconds, Field::Kind::kMilliseconds});
}
void AddFlag(Fields* fields, const char* name, bool flag) {
  fields->push_back({name, "", flag ? 1.0 : 0.0, Field::Kind::kFlag});
}

// "retr:3 dele:1": only what occurred.
std::string CommandsText(const pop3::RelayCounts& counts) {
  std::string text;
  for (size_t i = 0; i < counts.commands.size(); ++i) {
    if (counts.commands[i] == 0) continue;
    const absl::string_view verb = metrics::RelayVerbName(static_cast<metrics::RelayVerb>(i));
    absl::StrAppend(&text, text.empty() ? "" : " ", verb, ":", counts.commands[i]);
  }
  return text;
}

Fields Collect(const SessionRecord& record, absl::Time now) {
  Fields fields;
  fields.reserve(32);
  AddText(&fields, "time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone()));
  AddText(&fields, "id", absl::StrFormat("%016x", record.id));
  AddText(&fields, "listener", record.listener);
  AddText(&fields, "client", record.client.ToString());
  AddText(&fields, "via", record.via.ToString());
  AddText(&fields, "via_protocol", record.via_protocol);
  AddText(&fields, "via_session", record.via_session);
  AddText(&fields, "proxy_error", record.proxy_error);
  AddText(&fields, "tls", record.tls_version);
  AddText(&fields, "cipher", record.tls_cipher);
  if (record.tls_resumed.has_value()) AddFlag(&fields, "resumed", *record.tls_resumed);
  AddText(&fields, "sni", record.tls_server_name);
  AddText(&fields, "certificate", record.certificate);
  AddText(&fields, "tls_error", record.tls_error);
  AddText(&fields, "user", record.user);
  AddText(&fields, "method", record.method);
  AddText(&fields, "backend", record.backend);
  AddText(&fields, "pool", record.pool);
  AddText(&fields, "lookup", record.lookup);
  if (!record.server.empty()) AddText(&fields, "server", record.server.ToString());
  AddText(&fields, "result",
          record.logged_in                ? "logged_in"
          : record.refused_logins > 0     ? "refused"
          : record.upstream_error.empty() ? "none"
                                          : "unavailable");
  AddText(&fields, "reason", CloseReasonName(record.reason));
  if (record.guard_refusal != GuardRefusal::kNone) {
    AddText(&fields, "guard", GuardRefusalName(record.guard_refusal));
  }
  AddText(&fields, "policy", record.policy);
  if (record.tarpit > 0) AddDuration(&fields, "tarpit_ms", record.tarpit);
  AddText(&fields, "phase", PhaseName(record.phase));
  if (record.refused_logins > 0) {
    AddCount(&fields, "refused", static_cast<uint64_t>(record.refused_logins));
  }
  if (record.bad_commands > 0) {
    AddCount(&fields, "bad_commands", static_cast<uint64_t>(record.bad_commands));
  }
  if (record.handshake > 0) AddDuration(&fields, "handshake_ms", record.handshake);
  if (record.upstream > 0) AddDuration(&fields, "upstream_ms", record.upstream);
  if (record.undecided > 0) AddDuration(&fields, "undecided_ms", record.undecided);
  if (record.in_use > 0) AddDuration(&fields, "in_use_ms", record.in_use);
  if (record.logged_in) AddDuration(&fields, "login_ms", record.login);
  AddDuration(&fields, "total_ms", record.total);
  if (record.counter != nullptr) {
    AddCount(&fields, "bytes_in", record.bytes_from_client);
    AddCount(&fields, "bytes_out", record.bytes_to_client);
    AddText(&fields, "commands", CommandsText(record.counter->counts()));
    AddCount(&fields, "messages", record.counter->counts().messages_retrieved);
    AddFlag(&fields, "quit", record.counter->quit_sent());
  }
  // Escaped already where it was made.
  if (!record.upstream_error.empty()) {
    fields.push_back({"error", std::string(record.upstream_error), 0, Field::Kind::kText});
  }
  return fields;
}

bool NeedsQuotes(absl::string_view text) {
  return text.find_first_of(" =\"") != absl::string_view::npos;
}

std::string FormatLogfmt(const Fields& fields) {
  std::string line;
  line.reserve(512);
  for (const Field& field : fields) {
    absl::StrAppend(&line, line.empty() ? "" : " ", field.name, "=");
    switch (field.kind) {
      case Field::Kind::kText: {
        // The one place where a quote may still stand is a quoted backend's answer.
        std::string text = field.text;
        for (char& c : text) {
          if (c == '"') c = '\'';
        }
        absl::StrAppend(&line, NeedsQuotes(text) ? absl::StrCat("\"", text, "\"") : text);
        break;
      }
      case Field::Kind::kMilliseconds:
        absl::StrAppendFormat(&line, "%.3f", field.number);
        break;
      case Field::Kind::kCount:
        absl::StrAppend(&line, static_cast<uint64_t>(field.number));
        break;
      case Field::Kind::kFlag:
        absl::StrAppend(&line, field.number != 0 ? "true" : "false");
        break;
    }
  }
  return line;
}

std::string FormatJson(const Fields& fields) {
  nlohmann::ordered_json line;
  for (const Field& field : fields) {
    switch (field.kind) {
      case Field::Kind::kText:
        line[field.name] = field.text;
        break;
      case Field::Kind::kMilliseconds:
        line[field.name] = field.number;
        break;
      case Field::Kind::kCount:
        line[field.name] = static_cast<uint64_t>(field.number);
        break;
      case Field::Kind::kFlag:
        line[field.name] = field.number != 0;
        break;
    }
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string FormatSession(const SessionRecord& record, config::LogFormat format, absl::Time now) {
  const Fields fields = Collect(record, now);
  return format == config::LogFormat::kJson ? FormatJson(fields) : FormatLogfmt(fields);
}

}  // namespace postern
