#include "proxy/admin/operator_api.h"

#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/value_syntax.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;
using httplib::Request;
using httplib::Response;

constexpr size_t kListedByDefault = 1000;
constexpr DurationNs kPatienceMax = 24 * 3600 * kSecond;

double Seconds(DurationNs duration) { return static_cast<double>(duration) / kSecond; }

absl::StatusOr<Signature> ReadSignature(const Request& request, const Json& json) {
  Signature by;
  by.who = request.get_header_value(kPeerHeader);
  std::string reason;
  RETURN_IF_ERROR(ReadText(json, "reason", &reason));
  by.why = CleanReason(reason);
  return by;
}

absl::StatusOr<size_t> ReadLimit(const Request& request) {
  if (!request.has_param("limit")) return kListedByDefault;
  uint64_t limit = 0;
  if (!absl::SimpleAtoi(request.get_param_value("limit"), &limit) || limit == 0 ||
      limit > OperatorActions::kListedMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit must be 1 to ", OperatorActions::kListedMax));
  }
  return static_cast<size_t>(limit);
}

absl::StatusOr<Json> ListSessions(OperatorActions* actions, const Request& request) {
  SessionQuery query;
  query.user = request.get_param_value("user");
  query.domain = request.get_param_value("domain");
  query.hash_range = request.get_param_value("hash_range");
  query.backend = request.get_param_value("backend");
  query.network = request.get_param_value("ip");
  query.id = request.get_param_value("id");
  ASSIGN_OR_RETURN(const size_t limit, ReadLimit(request));
  ASSIGN_OR_RETURN(const SessionPage page, actions->Sessions(query, limit));
  Json sessions = Json::array();
  for (const SessionInfo& info : page.sessions) {
    sessions.push_back({{"id", absl::StrFormat("%016x", info.id)},
                        {"user", info.user},
                        {"client", info.client},
                        {"listener", info.listener},
                        {"backend", info.backend},
                        {"phase", PhaseName(info.phase)},
                        {"age_seconds", Seconds(info.age)},
                        {"idle_seconds", Seconds(info.idle)},
                        {"bytes_in", info.bytes_from_client},
                        {"bytes_out", info.bytes_to_client}});
  }
  return Json{{"matching", page.matching},
              {"more", page.matching > page.sessions.size()},
              {"complete", page.complete},
              {"sessions", std::move(sessions)}};
}

absl::StatusOr<Json> Kick(OperatorActions* actions, const Request& request) {
  ASSIGN_OR_RETURN(const Json json, ReadObject(request.body, {"user", "domain", "hash_range",
                                                              "backend", "ip", "id", "reason"}));
  SessionQuery query;
  RETURN_IF_ERROR(ReadText(json, "user", &query.user));
  RETURN_IF_ERROR(ReadText(json, "domain", &query.domain));
  RETURN_IF_ERROR(ReadText(json, "hash_range", &query.hash_range));
  RETURN_IF_ERROR(ReadText(json, "backend", &query.backend));
  RETURN_IF_ERROR(ReadText(json, "ip", &query.network));
  RETURN_IF_ERROR(ReadText(json, "id", &query.id));
  ASSIGN_OR_RETURN(const Signature by, ReadSignature(request, json));
  ASSIGN_OR_RETURN(const KickResult result, actions->Kick(query, by));
  return Json{{"kicked", result.kicked}, {"complete", result.complete}};
}

absl::StatusOr<Json> HoldOrRelease(OperatorActions* actions, const Request& request, bool hold) {
  ASSIGN_OR_RETURN(const Json json,
                   ReadObject(request.body, {"user", "domain", "hash_range", "reason"}));
  HoldQuery query;
  RETURN_IF_ERROR(ReadText(json, "user", &query.user));
  RETURN_IF_ERROR(ReadText(json, "domain", &query.domain));
  RETURN_IF_ERROR(ReadText(json, "hash_range", &query.hash_range));
  ASSIGN_OR_RETURN(const Signature by, ReadSignature(request, json));
  RETURN_IF_ERROR(hold ? actions->Hold(query, by) : actions->Release(query, by));
  return Json{{"held", hold}};
}

Json HoldsJson(OperatorActions* actions) {
  Json holds = Json::array();
  for (const HoldReport& hold : actions->Holds()) {
    holds.push_back({{"target", hold.target},
                     {"by", hold.who},
                     {"reason", hold.why},
                     {"seconds_ago", hold.seconds_ago}});
  }
  return Json{{"holds", std::move(holds)}};
}

Json MoveJson(const MoveReport& report) {
  Json users = Json::array();
  for (const MoveReport::User& user : report.users) {
    users.push_back({{"user", user.user},
                     {"from", user.from},
                     {"state", user.state},
                     {"sessions", user.sessions},
                     {"why", user.why}});
  }
  return Json{{"id", report.id},
              {"to", report.to},
              {"over", report.over},
              {"kicked", report.kicked},
              {"users", std::move(users)}};
}

absl::StatusOr<Json> StartMove(OperatorActions* actions, const Request& request) {
  ASSIGN_OR_RETURN(const Json json,
                   ReadObject(request.body, {"users", "domain", "hash_range", "to", "patience",
                                             "dry_run", "force", "reason"}));
  MoveOrder order;
  RETURN_IF_ERROR(ReadText(json, "domain", &order.domain));
  RETURN_IF_ERROR(ReadText(json, "hash_range", &order.hash_range));
  const bool many = !order.domain.empty() || !order.hash_range.empty();
  const Json users = json.value("users", many ? Json::array() : Json());
  if (!users.is_array()) {
    return absl::InvalidArgumentError("\"users\" must be a list of names");
  }
  for (const Json& user : users) {
    if (!user.is_string()) return absl::InvalidArgumentError("\"users\" must hold strings only");
    order.users.push_back(user.get<std::string>());
  }
  RETURN_IF_ERROR(ReadText(json, "to", &order.to));
  std::string patience;
  RETURN_IF_ERROR(ReadText(json, "patience", &patience));
  if (!patience.empty()) {
    const std::optional<DurationNs> duration = config::ParseDuration(patience);
    if (!duration.has_value() || *duration > kPatienceMax) {
      return absl::InvalidArgumentError("\"patience\" must be a duration as \"10s\", at most 24h");
    }
    order.patience = *duration;
  }
  for (const auto& [key, flag] :
       {std::make_pair("dry_run", &order.dry_run), std::make_pair("force", &order.force)}) {
    const auto value = json.find(key);
    if (value == json.end()) continue;
    if (!value->is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" must be true or false"));
    }
    *flag = value->get<bool>();
  }
  ASSIGN_OR_RETURN(const Signature by, ReadSignature(request, json));
  ASSIGN_OR_RETURN(const MoveReport report, actions->Move(order, by));
  return MoveJson(report);
}

absl::StatusOr<Json> ListMoved(OperatorActions* actions, const Request& request) {
  ASSIGN_OR_RETURN(const size_t limit, ReadLimit(request));
  ASSIGN_OR_RETURN(const MovedUsers moved, actions->Moved(request.get_param_value("user"), limit));
  Json users = Json::array();
  for (const MovedUsers::User& user : moved.users) {
    users.push_back({{"user", user.user}, {"backend", user.backend}});
  }
  return Json{{"total", moved.total},
              {"more", moved.total > moved.users.size()},
              {"users", std::move(users)}};
}

absl::StatusOr<Json> ShowMove(OperatorActions* actions, const Request& request) {
  uint64_t id = 0;
  if (!absl::SimpleAtoi(request.matches[1].str(), &id)) return absl::NotFoundError("no such move");
  ASSIGN_OR_RETURN(const MoveReport report, actions->MoveProgress(id));
  return MoveJson(report);
}

}  // namespace

void AddOperatorRoutes(httplib::Server* router, const ChangePolicy& policy,
                       OperatorActions* actions) {
  using Handler = std::function<absl::StatusOr<Json>(const Request&)>;
  const auto guarded = [policy](Handler handler) {
    return [policy, handler = std::move(handler)](const Request& request, Response& response) {
      if (!MayChange(policy, request, response)) return;
      const absl::StatusOr<Json> answer = handler(request);
      if (!answer.ok()) return RefuseJson(response, answer.status());
      AnswerJson(response, 200, *answer);
    };
  };
  router->Get("/api/v1/sessions",
              guarded([actions](const Request& r) { return ListSessions(actions, r); }));
  router->Post("/api/v1/sessions/kick",
               guarded([actions](const Request& r) { return Kick(actions, r); }));
  router->Get("/api/v1/holds", guarded([actions](const Request&) -> absl::StatusOr<Json> {
                return HoldsJson(actions);
              }));
  router->Post("/api/v1/holds",
               guarded([actions](const Request& r) { return HoldOrRelease(actions, r, true); }));
  router->Post("/api/v1/holds/release",
               guarded([actions](const Request& r) { return HoldOrRelease(actions, r, false); }));
  router->Get("/api/v1/moves",
              guarded([actions](const Request& r) { return ListMoved(actions, r); }));
  router->Post("/api/v1/moves",
               guarded([actions](const Request& r) { return StartMove(actions, r); }));
  router->Get(R"(/api/v1/moves/([0-9]{1,19}))",
              guarded([actions](const Request& r) { return ShowMove(actions, r); }));
}

}  // namespace postern::admin
