#include "proxy/admin/move_verb.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proxy/admin/client.h"
#include "proxy/admin/user_target.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/config.h"
#include "proxy/operator_actions.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kPollEvery = absl::Milliseconds(100);
// Of one order: what the endpoint takes, with room for the rest of it.
constexpr size_t kOrderBytesMax = 6000;

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

absl::StatusOr<std::vector<std::string>> ReadUsers(const MoveCommand& command) {
  if (command.file.empty()) return std::vector<std::string>{command.user + command.hash_range};
  std::ifstream file(command.file);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("cannot read ", command.file, "; does it exist?"));
  }
  std::vector<std::string> users;
  std::string line;
  while (std::getline(file, line)) {
    const absl::string_view user = absl::StripAsciiWhitespace(line);
    if (!user.empty() && user[0] != '#') users.emplace_back(user);
  }
  if (file.bad()) return absl::UnavailableError(absl::StrCat("cannot read ", command.file));
  return users;
}

// Keeps orders on their way to the server, and tells what becomes of them.
class Orders {
 public:
  Orders(const config::Admin& admin, const MoveCommand& command, UserTarget who,
         std::vector<std::string> users)
      : admin_(admin), command_(command), who_(std::move(who)), users_(std::move(users)) {}

  absl::StatusOr<int> Run() {
    while (next_ < users_.size() || !flying_.empty()) {
      bool progress = false;
      const size_t parallel = static_cast<size_t>(command_.max_parallel);
      while (next_ < users_.size() && users_flying_ < parallel) {
        ASSIGN_OR_RETURN(const bool taken, Send(parallel - users_flying_));
        if (!taken) break;
        progress = true;
      }
      ASSIGN_OR_RETURN(const bool landed, Look());
      if (progress || landed) Tell();
      if (!landed && !flying_.empty()) absl::SleepFor(kPollEvery);
    }
    return failed_ == 0 ? 0 : 1;
  }

 private:
  struct Order {
    uint64_t id;
    size_t users;
  };

  // False when the server has as many as it takes.
  absl::StatusOr<bool> Send(size_t users_max) {
    Json order = {{"to", command_.to},
                  {"patience", command_.patience},
                  {"dry_run", command_.dry_run},
                  {"force", command_.force}};
    if (!command_.reason.empty()) order["reason"] = command_.reason;
    const size_t count = AddWho(users_max, &order);
    const absl::StatusOr<std::string> answer =
        Post(admin_, "/api/v1/moves", order.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (absl::IsResourceExhausted(answer.status()) && !flying_.empty()) return false;
    if (!answer.ok()) return answer.status();
    next_ += count;
    const Json report = Json::parse(*answer);
    if (report.at("over").get<bool>()) {
      Count(report);
      return true;
    }
    flying_.push_back({report.at("id").get<uint64_t>(), count});
    users_flying_ += count;
    return true;
  }

  // How many of users_ it takes from next_ on.
  size_t AddWho(size_t users_max, Json* order) const {
    if (!who_.domain.empty() || !who_.hash_range.empty()) {
      for (const auto& [key, value] : who_.Fields()) (*order)[key] = value;
      return 1;
    }
    Json names = Json::array();
    size_t bytes = 0;
    size_t count = 0;
    const size_t left = users_.size() - next_;
    for (; count < std::min({users_max, left, OperatorActions::kUsersPerMoveMax}); ++count) {
      // In the worst case each byte becomes "\u00xx".
      bytes += 6 * users_[next_ + count].size() + 4;
      if (count > 0 && bytes > kOrderBytesMax) break;
      names.push_back(users_[next_ + count]);
    }
    (*order)["users"] = std::move(names);
    return count;
  }

  // Whether one has ended.
  absl::StatusOr<bool> Look() {
    bool landed = false;
    for (size_t i = flying_.size(); i > 0; --i) {
      const Order order = flying_.front();
      flying_.pop_front();
      ASSIGN_OR_RETURN(const std::string answer,
                       Get(admin_, absl::StrCat("/api/v1/moves/", order.id)));
      const Json report = Json::parse(answer);
      if (report.at("over").get<bool>()) {
        Count(report);
        users_flying_ -= order.users;
        landed = true;
        continue;
      }
      if (command_.file.empty()) TellWaiting(report);
      flying_.push_back(order);
    }
    return landed;
  }

  void TellWaiting(const Json& report) {
    for (const Json& user : report.at("users")) {
      const auto sessions = user.at("sessions").get<int64_t>();
      if (user.at("state").get<std::string>() != "waiting" || sessions == told_) continue;
      told_ = sessions;
      std::printf("%s: on hold, %s\n", Name(user).c_str(),
                  absl::StrCat(sessions, sessions == 1 ? " session" : " sessions").c_str());
      std::fflush(stdout);
    }
  }

  static std::string Name(const Json& user) {
    return EscapeForLog(user.at("user").get<std::string>());
  }

  void Count(const Json& report) {
    const std::string where =
        command_.to.empty() ? "where the routes say" : EscapeForLog(command_.to);
    kicked_ += report.at("kicked").get<uint64_t>();
    for (const Json& user : report.at("users")) {
      const std::string state = user.at("state").get<std::string>();
      ++counts_[state];
      ++done_;
      const std::string from = EscapeForLog(user.at("from").get<std::string>());
      if (state == "failed") {
        ++failed_;
        std::fprintf(stderr, "%s: not moved: %s\n", Name(user).c_str(),
                     EscapeForLog(user.at("why").get<std::string>()).c_str());
      } else if (command_.dry_run) {
        std::printf("%s: %s\n", Name(user).c_str(),
                    state == "already"
                        ? "is there already"
                        : absl::StrCat("from ", from.empty() ? "nowhere" : from, " to ", where,
                                       ", sessions: ", user.at("sessions").get<int64_t>())
                              .c_str());
      } else if (command_.file.empty()) {
        std::printf("%s: %s %s\n", Name(user).c_str(),
                    state == "already" ? (command_.to.empty() ? "is already" : "is already at")
                                       : "moved to",
                    where.c_str());
      }
    }
  }

  void Tell() {
    if (command_.file.empty() || command_.dry_run) return;
    std::printf(
        "%zu of %zu: %zu moved, %zu there already, %zu failed; %zu in progress; %llu "
        "sessions ended\n",
        done_, users_.size(), counts_["moved"], counts_["already"], counts_["failed"],
        users_flying_, static_cast<unsigned long long>(kicked_));
    std::fflush(stdout);
  }

  const config::Admin& admin_;
  const MoveCommand& command_;
  const UserTarget who_;  // empty with a file
  const std::vector<std::string> users_;
  size_t next_ = 0;
  size_t users_flying_ = 0;
  std::deque<Order> flying_;
  std::map<std::string, size_t> counts_;
  size_t done_ = 0;
  size_t failed_ = 0;
  uint64_t kicked_ = 0;
  int64_t told_ = -1;
};

}  // namespace

int RunMove(const std::string& config_file, const MoveCommand& command) {
  const int named = (command.user.empty() ? 0 : 1) + (command.file.empty() ? 0 : 1) +
                    (command.hash_range.empty() ? 0 : 1);
  if (named != 1) {
    std::fprintf(stderr, "name a user, *@domain, a --hash-range or a --file of users\n");
    return 2;
  }
  if (command.to.empty() != command.back) {
    std::fprintf(stderr, "say where: --to BACKEND, or --back\n");
    return 2;
  }
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) return Complain(config.status());
  const absl::StatusOr<UserTarget> who = ReadUserTarget(command.user, command.hash_range);
  if (!who.ok()) {
    Complain(who.status());
    return 2;
  }
  absl::StatusOr<std::vector<std::string>> users = ReadUsers(command);
  if (!users.ok()) return Complain(users.status());
  try {
    const absl::StatusOr<int> code = Orders(config->admin, command, *who, *std::move(users)).Run();
    return code.ok() ? *code : Complain(code.status());
  } catch (const Json::exception&) {
    return Complain(absl::InternalError("the answer is not what this version of postern expects"));
  }
}

}  // namespace postern::admin
