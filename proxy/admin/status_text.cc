#include "proxy/admin/status_text.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/admin/text_table.h"
#include "proxy/admin/verb_arguments.h"
#include "proxy/base/escape.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;

// "-" for null.
std::string Ago(const Json& seconds) {
  return seconds.is_number() ? AgoText(seconds.get<double>()) : "-";
}

std::string Text(const Json& value) {
  return value.is_string() ? EscapeForLog(value.get<std::string>()) : "";
}

// "12", or "12/500" where there is a limit, which counts logins in progress as well.
std::string SessionsText(const Json& backend) {
  const Json& load = backend.at("load");
  if (const int most = load.at("sessions_max").get<int>(); most > 0) {
    return absl::StrCat(load.at("seats").get<int64_t>(), "/", most);
  }
  return absl::StrCat(backend.at("sessions").get<int64_t>());
}

// What matters most comes first: the operator's word, then the checks, then the ejection.
std::vector<std::string> BackendRow(const Json& backend) {
  const Json& health = backend.at("health");
  const Json& service = backend.at("service");
  std::string state = Text(health.at("state"));
  std::string since = Ago(health.at("changed_seconds_ago"));
  std::string why = Text(health.at("reason"));
  if (health.at("ejected_seconds_left").is_number()) {
    state = "ejected";
    since = Ago(health.at("ejected_seconds_left")) + " left";
    why = Text(health.at("eject_reason"));
  }
  if (Text(service.at("state")) != "enabled") {
    const std::string reason = Text(service.at("reason"));
    state = Text(service.at("state"));
    since = Ago(service.at("changed_seconds_ago"));
    why = absl::StrCat("by ", Text(service.at("by")), reason.empty() ? "" : ": ", reason);
  }
  if (const std::string agent = Text(backend.at("agent")); !agent.empty()) {
    absl::StrAppend(&why, why.empty() ? "" : "; ", "its agent says ", agent);
  }
  // An operator's weight is told behind all that keeps the backend out.
  const Json& weight = backend.at("weight");
  if (weight.at("set").is_number()) {
    const std::string reason = Text(weight.at("reason"));
    absl::StrAppend(&why, why.empty() ? "" : "; ", "weight ", weight.at("set").get<int>(), " by ",
                    Text(weight.at("by")), reason.empty() ? "" : ": ", reason);
  }
  if (const Json& added = backend.at("added"); added.is_object()) {
    const std::string reason = Text(added.at("reason"));
    absl::StrAppend(&why, why.empty() ? "" : "; ", "added by ", Text(added.at("by")),
                    reason.empty() ? "" : ": ", reason);
  }
  return {
      Text(backend.at("name")), Text(backend.at("pool")), state, since, SessionsText(backend), why};
}

absl::Status NoStatus() {
  return absl::InternalError("the answer is not what this version of postern expects");
}

}  // namespace

absl::StatusOr<std::string> StatusText(const std::string& status_json) try {
  const Json status = Json::parse(status_json);
  std::string text;
  std::vector<std::vector<std::string>> pools = {{"POOL", "USABLE", "BACKENDS", ""}};
  for (const Json& pool : status.at("pools")) {
    const int waiting = pool.at("waiting").get<int>();
    std::string note = pool.at("panic").get<bool>() ? "panic" : "";
    if (waiting > 0) {
      absl::StrAppend(&note, note.empty() ? "" : ", ", waiting,
                      waiting == 1 ? " login waits" : " logins wait");
    }
    pools.push_back({Text(pool.at("name")), absl::StrCat(pool.at("usable").get<int>()),
                     absl::StrCat(pool.at("backends").get<int>()), note});
  }
  AddTable(pools, &text);
  text += "\n";
  std::vector<std::vector<std::string>> backends = {
      {"BACKEND", "POOL", "STATE", "SINCE", "SESSIONS", "WHY"}};
  for (const Json& backend : status.at("backends")) {
    if (backend.contains("health")) backends.push_back(BackendRow(backend));
  }
  AddTable(backends, &text);
  const auto number = [&status](const char* key) { return status.value(key, uint64_t{0}); };
  if (number("holds") > 0) {
    const uint64_t waiting = number("held_logins");
    absl::StrAppend(&text, "\n", number("holds"), " on hold, ", waiting,
                    waiting == 1 ? " login waits\n" : " logins wait\n");
  }
  if (number("moved_users") > 0) {
    absl::StrAppend(&text, "\n", CountText(number("moved_users"), "moved user"), "\n");
  }
  if (const uint64_t groups = number("moved_groups"); groups > 0) {
    absl::StrAppend(&text, "\n", groups,
                    groups == 1 ? " moved domain or range\n" : " moved domains and ranges\n");
  }
  absl::string_view gap = "\n";
  for (const Json& removed : status.at("removed")) {
    const std::string reason = Text(removed.at("reason"));
    absl::StrAppend(&text, gap, "removed by hand: ", Text(removed.at("name")), ", by ",
                    Text(removed.at("by")), reason.empty() ? "" : ": ", reason, "\n");
    gap = "";
  }
  return text;
} catch (const Json::exception&) {
  return NoStatus();
}

absl::StatusOr<int> SessionsOf(const std::string& status_json, const std::string& backend) try {
  const Json status = Json::parse(status_json);
  int64_t sessions = 0;
  for (const Json& row : status.at("backends")) {
    if (Text(row.at("name")) == backend) sessions += row.at("sessions").get<int64_t>();
  }
  return static_cast<int>(sessions);
} catch (const Json::exception&) {
  return NoStatus();
}

}  // namespace postern::admin
