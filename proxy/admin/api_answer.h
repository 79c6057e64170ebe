// What the routes of the admin API have in common: answers in JSON, and who may ask.
#ifndef POSTERN_PROXY_ADMIN_API_ANSWER_H_
#define POSTERN_PROXY_ADMIN_API_ANSWER_H_

#include <httplib.h>

#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"

namespace postern::admin {

struct ChangePolicy {
  bool unix_socket = false;
  std::shared_ptr<const Secret> token;  // null: none
};

// The header that carries who asks from the connection to the routes; what a client put there is
// dropped.
inline constexpr char kPeerHeader[] = "Postern-Peer";

void AnswerJson(httplib::Response& response, int status, const nlohmann::json& body);
void RefuseJson(httplib::Response& response, int status, const std::string& error);
// With the HTTP status that fits.
void RefuseJson(httplib::Response& response, const absl::Status& status);

// Whether this one may change something, or see who the users are. Refuses otherwise.
bool MayChange(const ChangePolicy& policy, const httplib::Request& request,
               httplib::Response& response);

// A reason as it is logged: escaped and cut.
std::string CleanReason(const std::string& reason);

// An object whose members are all known; the error names those that are.
absl::StatusOr<nlohmann::json> ReadObject(const std::string& body,
                                          std::initializer_list<absl::string_view> known);
// A member that is a string; `text` stays as it is when there is none.
absl::Status ReadText(const nlohmann::json& json, const char* key, std::string* text);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_API_ANSWER_H_
