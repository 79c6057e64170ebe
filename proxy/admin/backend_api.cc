#include "proxy/admin/backend_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/status_macros.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;
using httplib::Request;
using httplib::Response;

constexpr uint64_t kWeightMax = 10000;

absl::StatusOr<Json> ReadBody(const Request& request,
                              std::initializer_list<absl::string_view> known) {
  if (request.body.empty()) return Json::object();
  return ReadObject(request.body, known);
}

// Nothing that could break a line of the log or the state file.
absl::Status ReadPlainText(const Json& json, const char* key, std::string* text) {
  RETURN_IF_ERROR(ReadText(json, key, text));
  const bool plain = std::none_of(text->begin(), text->end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (plain) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" has a control byte"));
}

absl::StatusOr<config::AddedBackend> ReadAddition(const Request& request) {
  ASSIGN_OR_RETURN(const Json json, ReadBody(request, {"pool", "address", "like", "tls", "ca",
                                                       "server_name", "weight", "reason"}));
  config::AddedBackend wanted;
  wanted.name = request.matches[1].str();
  for (const auto& [key, text] :
       {std::make_pair("pool", &wanted.pool), std::make_pair("address", &wanted.address),
        std::make_pair("like", &wanted.like), std::make_pair("tls", &wanted.tls),
        std::make_pair("ca", &wanted.ca), std::make_pair("server_name", &wanted.server_name)}) {
    RETURN_IF_ERROR(ReadPlainText(json, key, text));
  }
  if (const auto weight = json.find("weight"); weight != json.end()) {
    if (!weight->is_number_unsigned() || weight->get<uint64_t>() > kWeightMax) {
      return absl::InvalidArgumentError(absl::StrCat("weight must be 0 to ", kWeightMax));
    }
    wanted.weight = weight->get<int>();
  }
  std::string reason;
  RETURN_IF_ERROR(ReadText(json, "reason", &reason));
  wanted.who = request.get_header_value(kPeerHeader);
  wanted.why = CleanReason(reason);
  return wanted;
}

absl::StatusOr<Signature> ReadRemoval(const Request& request) {
  ASSIGN_OR_RETURN(const Json json, ReadBody(request, {"reason"}));
  std::string reason;
  RETURN_IF_ERROR(ReadText(json, "reason", &reason));
  return Signature{request.get_header_value(kPeerHeader), CleanReason(reason)};
}

}  // namespace

void AddBackendRoutes(httplib::Server* router, const ChangePolicy& policy,
                      BackendHandlers handlers) {
  const auto answer = [](Response& response, const std::string& name, const absl::Status& status,
                         const char* state) {
    if (!status.ok()) return RefuseJson(response, status);
    AnswerJson(response, 200, Json{{"backend", name}, {"state", state}});
  };
  router->Post(
      R"(/api/v1/backends/([A-Za-z0-9][A-Za-z0-9._-]*)/add)",
      [policy, answer, add = std::move(handlers.add)](const Request& request, Response& response) {
        if (!MayChange(policy, request, response)) return;
        const absl::StatusOr<config::AddedBackend> wanted = ReadAddition(request);
        answer(response, request.matches[1].str(), wanted.ok() ? add(*wanted) : wanted.status(),
               "added");
      });
  router->Post(R"(/api/v1/backends/([A-Za-z0-9][A-Za-z0-9._-]*)/remove)",
               [policy, answer, remove = std::move(handlers.remove)](const Request& request,
                                                                     Response& response) {
                 if (!MayChange(policy, request, response)) return;
                 const absl::StatusOr<Signature> by = ReadRemoval(request);
                 const std::string name = request.matches[1].str();
                 answer(response, name, by.ok() ? remove(name, *by) : by.status(), "removed");
               });
}

}  // namespace postern::admin
