#include "proxy/admin/change_api.h"

#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"
#include "proxy/base/socket_address.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;
using httplib::Request;
using httplib::Response;

constexpr size_t kReasonBytesMax = 200;
constexpr uint64_t kWeightMax = 10000;

void Answer(Response& response, int status, const Json& body) {
  response.status = status;
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_content(body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
                       "application/json");
}

void Refuse(Response& response, int status, const std::string& error) {
  Answer(response, status, Json{{"error", error}});
}

bool MayChange(const ChangePolicy& policy, const Request& request, Response& response) {
  if (policy.unix_socket) return true;
  if (policy.token == nullptr) {
    Refuse(response, 403,
           "changes over TCP need a token: write token_file in [admin], or use a unix socket");
    return false;
  }
  const std::string header = request.get_header_value("Authorization");
  absl::string_view shown = header;
  if (!absl::ConsumePrefix(&shown, "Bearer ") || !ConstantTimeEquals(shown, policy.token->view())) {
    response.set_header("WWW-Authenticate", "Bearer");
    Refuse(response, 401, "this change needs the token of [admin] token_file");
    return false;
  }
  return true;
}

// Whether the body could be read.
bool ReadReason(const std::string& body, std::string* reason) {
  if (body.empty()) return true;
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto found = json.find("reason");
  if (found == json.end()) return true;
  if (!found->is_string()) return false;
  *reason = EscapeForLog(found->get<std::string>(), kReasonBytesMax);
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
    if (!ReadReason(request.body, &wanted.reason)) {
      return Refuse(response, 400, "the body must be empty or {\"reason\": \"...\"}");
    }
    if (request.matches[2].str() == "weight") {
      wanted.what = BackendChange::What::kWeight;
      if (!ReadWeight(request.body, &wanted.weight)) {
        return Refuse(response, 400,
                      absl::StrCat("the body must be {\"weight\": N} with N from 0 to ", kWeightMax,
                                   ", or {\"weight\": null} for the configured one"));
      }
    }
    const absl::Status status = handler(wanted);
    if (!status.ok()) {
      return Refuse(response, absl::IsNotFound(status) ? 404 : 500, std::string(status.message()));
    }
    if (wanted.what == BackendChange::What::kWeight) {
      return Answer(response, 200,
                    Json{{"backend", wanted.backend},
                         {"weight", wanted.weight < 0 ? Json(nullptr) : Json(wanted.weight)}});
    }
    Answer(response, 200,
           Json{{"backend", wanted.backend}, {"state", routing::ServiceName(wanted.service)}});
  };
  router->Post(
      R"(/api/v1/backends/([A-Za-z0-9][A-Za-z0-9._-]*)/(drain|undrain|disable|enable|weight))",
      change);
}

}  // namespace postern::admin
