#include "proxy/admin/operator_verbs.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proxy/admin/client.h"
#include "proxy/admin/text_table.h"
#include "proxy/admin/url_text.h"
#include "proxy/admin/user_target.h"
#include "proxy/base/escape.h"
#include "proxy/config/config.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

// The command line makes no sense.
int Misused(const absl::Status& status) {
  Complain(status);
  return 2;
}

std::string Text(const Json& value) {
  return value.is_string() ? EscapeForLog(value.get<std::string>()) : "";
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "?a=b&c=d" of those that are set.
std::string Query(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::vector<std::string> set;
  for (const auto& [key, value] : pairs) {
    if (!value.empty()) set.push_back(absl::StrCat(key, "=", UrlText(value)));
  }
  return set.empty() ? "" : absl::StrCat("?", absl::StrJoin(set, "&"));
}

// Asks the running server; `show` may throw Json::exception when the answer is not as expected.
template <typename Ask, typename Show>
int AskAndShow(const std::string& config_file, const Ask& ask, const Show& show) {
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) return Complain(config.status());
  const absl::StatusOr<std::string> answer = ask(config->admin);
  if (!answer.ok()) return Complain(answer.status());
  try {
    return show(*answer);
  } catch (const Json::exception&) {
    return Complain(absl::InternalError("the answer is not what this version of postern expects"));
  }
}

std::string Amount(const Json& bytes) {
  const auto count = bytes.get<uint64_t>();
  if (count < 10240) return absl::StrCat(count);
  if (count < (10u << 20)) return absl::StrCat(count >> 10, "K");
  return absl::StrCat(count >> 20, "M");
}

void PrintSessions(const Json& page) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "USER", "CLIENT", "LISTENER", "BACKEND", "PHASE", "AGE", "IDLE", "IN", "OUT"}};
  for (const Json& row : page.at("sessions")) {
    rows.push_back({Text(row.at("id")), Text(row.at("user")), Text(row.at("client")),
                    Text(row.at("listener")), Text(row.at("backend")), Text(row.at("phase")),
                    AgoText(row.at("age_seconds").get<double>()),
                    AgoText(row.at("idle_seconds").get<double>()), Amount(row.at("bytes_in")),
                    Amount(row.at("bytes_out"))});
  }
  std::string text;
  AddTable(rows, &text);
  std::printf("%s", text.c_str());
  if (page.at("more").get<bool>()) {
    std::printf("... and more: %s match, %s are shown; see --limit\n",
                absl::StrCat(page.at("matching").get<uint64_t>()).c_str(),
                absl::StrCat(page.at("sessions").size()).c_str());
  }
}

// Says so when a worker kept us waiting; the exit code is then not 0.
int Completeness(const Json& answer) {
  if (answer.at("complete").get<bool>()) return 0;
  std::fprintf(stderr, "a worker did not answer in time; its sessions are not counted\n");
  return 1;
}

}  // namespace

OperatorVerbs::OperatorVerbs(CLI::App* app,
                             const std::function<CLI::App*(CLI::App*)>& with_config) {
  const auto with_selection = [this](CLI::App* verb) {
    verb->add_option("--user", query_.user, "of this user, or of all users of *@domain");
    verb->add_option("--hash-range", query_.hash_range, "of users whose hash begins so, as 00-7f");
    verb->add_option("--backend", query_.backend, "at this backend");
    verb->add_option("--ip", query_.network, "of clients in this network, as 192.0.2.0/24");
    verb->add_option("--session", query_.id, "the one with this id");
  };
  const auto with_reason = [this](CLI::App* verb) {
    verb->add_option("--reason", reason_, "why, for the log and the status");
  };
  sessions_ = with_config(app->add_subcommand("sessions", "list live sessions"));
  with_selection(sessions_);
  sessions_->add_option("--limit", limit_, "list at most so many, the oldest")
      ->check(CLI::Range(uint64_t{1}, uint64_t{OperatorActions::kListedMax}))
      ->capture_default_str();
  sessions_->add_flag("--json", json_, "print what the server answers");
  kick_ = with_config(app->add_subcommand("kick", "end sessions"));
  with_selection(kick_);
  with_reason(kick_);
  hold_ = with_config(app->add_subcommand(
      "hold", "let new logins of a user or many wait; without a name: list the holds"));
  release_ = with_config(app->add_subcommand("release", "end a hold"));
  for (CLI::App* verb : {hold_, release_}) {
    verb->add_option("user", target_, "login name, or *@domain for all its users");
    verb->add_option("--hash-range", hash_range_, "users whose hash begins so, as 00-7f");
    with_reason(verb);
  }
  move_ = with_config(app->add_subcommand("move", "let users log in at another backend"));
  move_->add_option("user", command_.user, "login name, or *@domain for all its users");
  move_->add_option("--hash-range", command_.hash_range, "users whose hash begins so, as 00-7f");
  move_->add_option("--to", command_.to, "the backend");
  move_->add_flag("--back", command_.back, "back to where the routes say");
  move_
      ->add_option("--patience", command_.patience,
                   "how long live sessions may go on before they are ended")
      ->capture_default_str();
  move_->add_option("--file", command_.file, "move the users in this file, one a line");
  move_->add_option("--max-parallel", command_.max_parallel, "so many at a time")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  move_->add_flag("--dry-run", command_.dry_run, "tell what would be done, and do nothing");
  move_->add_flag("--force", command_.force, "also to a backend where nobody can log in now");
  move_->add_option("--reason", command_.reason, "why, for the log");
  moves_ = with_config(app->add_subcommand("moves", "list users that were moved"));
  moves_->add_option("--user", query_.user, "this one only");
  moves_->add_option("--limit", limit_, "list at most so many")
      ->check(CLI::Range(uint64_t{1}, uint64_t{OperatorActions::kListedMax}))
      ->capture_default_str();
  moves_->add_flag("--json", json_, "print what the server answers");
}

std::optional<int> OperatorVerbs::Run(const std::string& config_file) const {
  if (sessions_->parsed()) return Sessions(config_file);
  if (kick_->parsed()) return Kick(config_file);
  if (hold_->parsed()) return HoldOrRelease(config_file, true);
  if (release_->parsed()) return HoldOrRelease(config_file, false);
  if (move_->parsed()) return RunMove(config_file, command_);
  if (moves_->parsed()) return Moves(config_file);
  return std::nullopt;
}

int OperatorVerbs::Sessions(const std::string& config_file) const {
  const absl::StatusOr<UserTarget> who = ReadUserTarget(query_.user, query_.hash_range);
  if (!who.ok()) return Misused(who.status());
  std::vector<std::pair<std::string, std::string>> fields = who->Fields();
  fields.insert(fields.end(), {{"backend", query_.backend},
                               {"ip", query_.network},
                               {"id", query_.id},
                               {"limit", absl::StrCat(limit_)}});
  const std::string path = absl::StrCat("/api/v1/sessions", Query(fields));
  return AskAndShow(
      config_file, [&](const config::Admin& admin) { return Get(admin, path); },
      [&](const std::string& answer) {
        const Json page = Json::parse(answer);
        if (json_) {
          std::printf("%s", answer.c_str());
        } else {
          PrintSessions(page);
        }
        return Completeness(page);
      });
}

int OperatorVerbs::Kick(const std::string& config_file) const {
  if (query_.empty()) {
    std::fprintf(stderr,
                 "name the sessions to end: --user, --hash-range, --session, --ip or --backend\n");
    return 2;
  }
  const absl::StatusOr<UserTarget> who = ReadUserTarget(query_.user, query_.hash_range);
  if (!who.ok()) return Misused(who.status());
  Json wanted = Json::object();
  for (const auto& [key, value] : who->Fields()) wanted[key] = value;
  for (const auto& [key, value] :
       {std::make_pair("backend", query_.backend), std::make_pair("ip", query_.network),
        std::make_pair("id", query_.id), std::make_pair("reason", reason_)}) {
    if (!value.empty()) wanted[key] = value;
  }
  return AskAndShow(
      config_file,
      [&](const config::Admin& admin) {
        return Post(admin, "/api/v1/sessions/kick", Dump(wanted));
      },
      [](const std::string& answer) {
        const Json json = Json::parse(answer);
        const auto kicked = json.at("kicked").get<uint64_t>();
        std::printf("%s\n", absl::StrCat(kicked, kicked == 1 ? " session" : " sessions").c_str());
        return Completeness(json);
      });
}

int OperatorVerbs::HoldOrRelease(const std::string& config_file, bool hold) const {
  const bool listing = target_.empty() && hash_range_.empty();
  const absl::StatusOr<UserTarget> who = ReadUserTarget(target_, hash_range_);
  if (!who.ok()) return Misused(who.status());
  if (listing && !hold) {
    std::fprintf(stderr, "name a user, *@domain or --hash-range\n");
    return 2;
  }
  if (listing) {
    return AskAndShow(
        config_file, [](const config::Admin& admin) { return Get(admin, "/api/v1/holds"); },
        [](const std::string& answer) {
          std::vector<std::vector<std::string>> rows = {{"ON HOLD", "SINCE", "BY", "WHY"}};
          const Json json = Json::parse(answer);
          for (const Json& row : json.at("holds")) {
            rows.push_back({Text(row.at("target")), AgoText(row.at("seconds_ago").get<double>()),
                            Text(row.at("by")), Text(row.at("reason"))});
          }
          std::string text;
          AddTable(rows, &text);
          std::printf("%s", text.c_str());
          return 0;
        });
  }
  Json wanted = Json::object();
  for (const auto& [key, value] : who->Fields()) wanted[key] = value;
  if (!reason_.empty()) wanted["reason"] = reason_;
  const std::string name = hash_range_.empty() ? target_ : absl::StrCat("hash ", hash_range_);
  return AskAndShow(
      config_file,
      [&](const config::Admin& admin) {
        return Post(admin, hold ? "/api/v1/holds" : "/api/v1/holds/release", Dump(wanted));
      },
      [&](const std::string&) {
        std::printf("%s: %s\n", EscapeForLog(name).c_str(), hold ? "on hold" : "released");
        return 0;
      });
}

int OperatorVerbs::Moves(const std::string& config_file) const {
  const std::string path = absl::StrCat(
      "/api/v1/moves", Query({{"user", query_.user}, {"limit", absl::StrCat(limit_)}}));
  return AskAndShow(
      config_file, [&](const config::Admin& admin) { return Get(admin, path); },
      [&](const std::string& answer) {
        if (json_) {
          std::printf("%s", answer.c_str());
          return 0;
        }
        const Json json = Json::parse(answer);
        std::vector<std::vector<std::string>> rows = {{"USER", "BACKEND"}};
        for (const Json& row : json.at("users")) {
          rows.push_back({Text(row.at("user")), Text(row.at("backend"))});
        }
        std::string text;
        AddTable(rows, &text);
        std::printf("%s", text.c_str());
        if (json.at("more").get<bool>()) {
          std::printf("... and more: %s in all\n",
                      absl::StrCat(json.at("total").get<uint64_t>()).c_str());
        }
        return 0;
      });
}

}  // namespace postern::admin
