#include "bench/load/replay.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "bench/load/text_file.h"
#include "proxy/base/status_macros.h"

namespace postern::load {
namespace {

constexpr size_t kLogBytesMax = size_t{4} << 30;
constexpr double kLengthMaxMs = 7 * 86400e3;

// The fields of a line that matter here, by name.
using Fields = absl::flat_hash_map<std::string, std::string>;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

// key=value or key="a value", with one blank between them. A quoted value holds no quote.
absl::StatusOr<Fields> ParseLogfmt(absl::string_view line) {
  Fields fields;
  while (!line.empty()) {
    const size_t equals = line.find('=');
    if (equals == 0 || equals == line.npos || line.substr(0, equals).find(' ') != line.npos) {
      return Bad("this is no key=value");
    }
    const absl::string_view key = line.substr(0, equals);
    line.remove_prefix(equals + 1);
    size_t end;
    if (!line.empty() && line[0] == '"') {
      line.remove_prefix(1);
      end = line.find('"');
      if (end == line.npos) return Bad("a quote without an end");
      fields[key] = std::string(line.substr(0, end));
      line.remove_prefix(end + 1);
      if (!line.empty() && line[0] != ' ') return Bad("something follows a quote");
    } else {
      end = std::min(line.find(' '), line.size());
      fields[key] = std::string(line.substr(0, end));
      line.remove_prefix(end);
    }
    if (!line.empty()) line.remove_prefix(1);
  }
  return fields;
}

absl::StatusOr<Fields> ParseJson(absl::string_view line) {
  const nlohmann::json json =
      nlohmann::json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Bad("this is no JSON object");
  Fields fields;
  for (const auto& [key, value] : json.items()) {
    fields[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return fields;
}

absl::string_view Get(const Fields& fields, absl::string_view name) {
  const auto found = fields.find(name);
  return found == fields.end() ? absl::string_view() : absl::string_view(found->second);
}

// "stat:1 retr:3": how often each was said.
absl::Status ParseCommands(absl::string_view text, LoggedSession* session) {
  for (const absl::string_view part : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> word = absl::StrSplit(part, ':');
    uint32_t count = 0;
    if (!absl::SimpleAtoi(word.second, &count)) return Bad("commands= is not verb:count");
    if (word.first == "stat") session->stats = count;
    if (word.first == "list") session->lists = count;
    if (word.first == "uidl") session->unique_ids = count;
    if (word.first == "top") session->tops = count;
    if (word.first == "dele") session->deletions = count;
    if (word.first == "noop") session->noops = count;
  }
  return absl::OkStatus();
}

struct Parsed {
  LoggedSession session;
  int64_t end_ns = 0;  // since the epoch
  std::string user;
};

absl::StatusOr<Parsed> ParseLine(absl::string_view line) {
  ASSIGN_OR_RETURN(const Fields fields, line[0] == '{' ? ParseJson(line) : ParseLogfmt(line));
  Parsed parsed;
  absl::Time end;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, Get(fields, "time"), &end, &error)) {
    return Bad("time= is no time such as 2026-11-23T11:19:04.539Z");
  }
  parsed.end_ns = absl::ToUnixNanos(end);
  double total_ms = 0;
  if (!absl::SimpleAtod(Get(fields, "total_ms"), &total_ms) || !(total_ms >= 0) ||
      total_ms > kLengthMaxMs) {
    return Bad("total_ms= is no number of milliseconds");
  }
  parsed.session.length = static_cast<DurationNs>(total_ms * kMillisecond);
  const absl::string_view result = Get(fields, "result");
  if (result == "logged_in") {
    parsed.session.result = LoggedSession::Result::kLoggedIn;
  } else if (result == "refused") {
    parsed.session.result = LoggedSession::Result::kRefused;
  } else if (result == "unavailable") {
    parsed.session.result = LoggedSession::Result::kUnavailable;
  } else if (result != "none") {
    return Bad("result= is none of logged_in, refused, unavailable, none");
  }
  const absl::string_view quit = Get(fields, "quit");
  // A session that did not get as far as a login has no quit=.
  const absl::string_view reason = Get(fields, "reason");
  parsed.session.quit =
      quit.empty() ? reason.empty() || absl::StartsWith(reason, "quit") : quit == "true";
  const absl::string_view messages = Get(fields, "messages");
  if (!messages.empty() && !absl::SimpleAtoi(messages, &parsed.session.messages)) {
    return Bad("messages= is no number");
  }
  RETURN_IF_ERROR(ParseCommands(Get(fields, "commands"), &parsed.session));
  // The log's \xNN.
  if (!absl::CUnescape(Get(fields, "user"), &parsed.user)) return Bad("user= is no name");
  // Some are turned away before they say who they are.
  if (parsed.user.empty() && parsed.session.result == LoggedSession::Result::kUnavailable) {
    parsed.session.result = LoggedSession::Result::kNone;
  }
  if (parsed.user.empty() && parsed.session.result != LoggedSession::Result::kNone) {
    return Bad("user= is missing");
  }
  if (parsed.user.find_first_of("\r\n") != std::string::npos) return Bad("user= is no name");
  return parsed;
}

}  // namespace

absl::StatusOr<ReplayLog> ReplayLog::Parse(absl::string_view text, absl::string_view file) {
  ReplayLog log;
  absl::flat_hash_map<std::string, uint32_t> known;
  uint64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    absl::StatusOr<Parsed> parsed = ParseLine(line);
    if (!parsed.ok()) {
      ++log.bad_lines_;
      if (log.first_problem_.empty()) {
        log.first_problem_ = absl::StrCat(file, ":", number, ": ", parsed.status().message());
      }
      continue;
    }
    if (log.sessions_.size() >= kSessionsMax) {
      return Bad(absl::StrCat(file, ": more than ", kSessionsMax, " sessions; cut the file"));
    }
    const auto [user, added] =
        known.try_emplace(parsed->user, static_cast<uint32_t>(log.users_.size()));
    if (added) log.users_.push_back(parsed->user);
    parsed->session.user = user->second;
    parsed->session.start = parsed->end_ns - parsed->session.length;
    log.sessions_.push_back(parsed->session);
  }
  if (log.sessions_.empty()) {
    return Bad(log.first_problem_.empty()
                   ? absl::StrCat(file, ": no lines")
                   : absl::StrCat(log.first_problem_, "; no line of this file is a session"));
  }
  std::sort(log.sessions_.begin(), log.sessions_.end(),
            [](const LoggedSession& a, const LoggedSession& b) {
              return std::tie(a.start, a.length, a.user) < std::tie(b.start, b.length, b.user);
            });
  const DurationNs first = log.sessions_.front().start;
  for (LoggedSession& session : log.sessions_) session.start -= first;
  return log;
}

absl::StatusOr<ReplayLog> ReplayLog::Read(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kLogBytesMax));
  return Parse(text, file);
}

DurationNs ReplayLog::length_max() const {
  DurationNs longest = 0;
  for (const LoggedSession& session : sessions_) longest = std::max(longest, session.length);
  return longest;
}

Script ReplayScript(const LoggedSession& session, double speed) {
  Script script;
  const auto add = [&script](Verb verb, uint32_t times) {
    Step step;
    step.verb = verb;
    script.insert(script.end(), std::min<uint32_t>(times, 1000), step);
  };
  // Messages 1 to `count`, of those that there are.
  const auto add_range = [&script](Verb verb, uint32_t count) {
    if (count == 0) return;
    Step step;
    step.verb = verb;
    step.last = count;
    script.push_back(step);
  };
  if (session.result != LoggedSession::Result::kNone) add(Verb::kLogin, 1);
  if (session.result == LoggedSession::Result::kLoggedIn) {
    // The mailbox of today may be smaller, so whoever asked for messages asks how many there are.
    const bool counts = session.stats > 0 || session.lists > 0 || session.unique_ids > 0;
    const bool asks = session.messages > 0 || session.tops > 0 || session.deletions > 0;
    add(Verb::kStat, asks && !counts ? 1 : session.stats);
    add(Verb::kUidl, session.unique_ids);
    add(Verb::kList, session.lists);
    add_range(Verb::kTop, session.tops);
    add_range(Verb::kRetr, session.messages);
    add_range(Verb::kDele, session.deletions);
    add(Verb::kNoop, session.noops);
  }
  Step wait;
  wait.verb = Verb::kUntil;
  wait.pause = static_cast<DurationNs>(static_cast<double>(session.length) / speed);
  script.push_back(wait);
  add(session.quit ? Verb::kQuit : Verb::kClose, 1);
  return script;
}

}  // namespace postern::load
