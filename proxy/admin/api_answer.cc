#include "proxy/admin/api_answer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;

constexpr size_t kReasonBytesMax = 200;

}  // namespace

void AnswerJson(httplib::Response& response, int status, const Json& body) {
  response.status = status;
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_content(body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
                       "application/json");
}

void RefuseJson(httplib::Response& response, int status, const std::string& error) {
  AnswerJson(response, status, Json{{"error", error}});
}

void RefuseJson(httplib::Response& response, const absl::Status& status) {
  const int code = absl::IsNotFound(status)             ? 404
                   : absl::IsInvalidArgument(status)    ? 400
                   : absl::IsResourceExhausted(status)  ? 429
                   : absl::IsFailedPrecondition(status) ? 409
                   : absl::IsAborted(status)            ? 423
                   : absl::IsUnavailable(status)        ? 503
                                                        : 500;
  RefuseJson(response, code, std::string(status.message()));
}

bool MayChange(const ChangePolicy& policy, const httplib::Request& request,
               httplib::Response& response) {
  if (policy.unix_socket) return true;
  if (policy.token == nullptr) {
    RefuseJson(response, 403,
               "changes over TCP need a token: write token_file in [admin], or use a unix socket");
    return false;
  }
  const std::string header = request.get_header_value("Authorization");
  absl::string_view shown = header;
  if (!absl::ConsumePrefix(&shown, "Bearer ") || !ConstantTimeEquals(shown, policy.token->view())) {
    response.set_header("WWW-Authenticate", "Bearer");
    RefuseJson(response, 401, "this change needs the token of [admin] token_file");
    return false;
  }
  return true;
}

std::string CleanReason(const std::string& reason) { return EscapeForLog(reason, kReasonBytesMax); }

absl::StatusOr<Json> ReadObject(const std::string& body,
                                std::initializer_list<absl::string_view> known) {
  Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("the body must be a JSON object");
  for (const auto& [key, value] : json.items()) {
    bool found = false;
    for (const absl::string_view name : known) found = found || name == key;
    if (!found) {
      return absl::InvalidArgumentError(
          absl::StrCat("the body has an unknown member; there are ", absl::StrJoin(known, ", ")));
    }
  }
  return json;
}

absl::Status ReadText(const Json& json, const char* key, std::string* text) {
  const auto found = json.find(key);
  if (found == json.end()) return absl::OkStatus();
  if (!found->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" must be a string"));
  }
  *text = found->get<std::string>();
  return absl::OkStatus();
}

}  // namespace postern::admin
