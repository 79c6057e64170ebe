#include "proxy/admin/change_api.h"

#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/socket_address.h"
#include "proxy/config/value_syntax.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;
using httplib::Request;
using httplib::Response;

constexpr DurationNs kOverMax = 24 * 3600 * kSecond;
constexpr uint64_t kWeightMax = 10000;

// Whether the body could be read.
bool ReadBody(const std::string& body, BackendChange* wanted) {
  if (body.empty()) return true;
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  if (const auto reason = json.find("reason"); reason != json.end()) {
    if (!reason->is_string()) return false;
    wanted->reason = CleanReason(reason->get<std::string>());
  }
  if (const auto over = json.find("over"); over != json.end()) {
    if (!over->is_string() || wanted->service != routing::Service::kDraining) return false;
    const auto duration = config::ParseDuration(over->get<std::string>());
    if (!duration.has_value() || *duration <= 0 || *duration > kOverMax) return false;
    wanted->over = *duration;
  }
  return true;
}

// Whether the body said which.
bool ReadWeight(const std::string& body, int* weight) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto found = json.find("weight");
  if (found == json.end()) return false;
  if (found->is_null()) {
    *weight = routing::BackendWeight::kAsConfigured;
    return true;
  }
  if (!found->is_number_unsigned() || found->get<uint64_t>() > kWeightMax) return false;
  *weight = found->get<int>();
  return true;
}

routing::Service ServiceOf(const std::string& verb) {
  if (verb == "drain") return routing::Service::kDraining;
  if (verb == "disable") return routing::Service::kDisabled;
  return routing::Service::kEnabled;
}

}  // namespace

std::string PeerName(int fd) {
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) return "unknown";
  if (peer.ss_family != AF_UNIX) {
    return SocketAddress(reinterpret_cast<sockaddr*>(&peer), length).ToString();
  }
  ucred credentials{};
  length = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return "unknown";
  return absl::StrCat("uid ", credentials.uid, " (pid ", credentials.pid, ")");
}

void AddChangeRoutes(httplib::Server* router, ChangePolicy policy, ChangeHandler handler) {
  const auto change = [policy = std::move(policy), handler = std::move(handler)](
                          const Request& request, Response& response) {
    if (!MayChange(policy, request, response)) return;
    BackendChange wanted;
    wanted.backend = request.matches[1].str();
    wanted.service = ServiceOf(request.matches[2].str());
    wanted.who = request.get_header_value(kPeerHeader);
    if (!ReadBody(request.body, &wanted)) {
      return RefuseJson(response, 400,
                        "the body must be empty or {\"reason\": \"...\"}; a drain may have "
                        "\"over\": \"10m\", at most 24h");
    }
    if (request.matches[2].str() == "weight") {
      wanted.what = BackendChange::What::kWeight;
      if (!ReadWeight(request.body, &wanted.weight)) {
        return RefuseJson(
            response, 400,
            absl::StrCat("the body must be {\"weight\": N} with N from 0 to ", kWeightMax,
                         ", or {\"weight\": null} for the configured one"));
      }
    }
    const absl::Status status = handler(wanted);
    if (!status.ok()) return RefuseJson(response, status);
    if (wanted.what == BackendChange::What::kWeight) {
      return AnswerJson(response, 200,
                        Json{{"backend", wanted.backend},
                             {"weight", wanted.weight < 0 ? Json(nullptr) : Json(wanted.weight)}});
    }
    AnswerJson(response, 200,
               Json{{"backend", wanted.backend}, {"state", routing::ServiceName(wanted.service)}});
  };
  router->Post(
      R"(/api/v1/backends/([A-Za-z0-9][A-Za-z0-9._-]*)/(drain|undrain|disable|enable|weight))",
      change);
}

}  // namespace postern::admin
