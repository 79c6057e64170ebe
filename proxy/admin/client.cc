#include "proxy/admin/client.h"

#include <httplib.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/secrets.h"

namespace postern::admin {
namespace {

constexpr time_t kPatienceSeconds = 10;

absl::StatusOr<std::unique_ptr<httplib::Client>> Connect(const config::Admin& admin,
                                                         time_t patience) {
  if (admin.address.empty()) {
    return absl::FailedPreconditionError(
        "[admin] address = \"\" switches the admin endpoint off; give it one and restart");
  }
  absl::string_view address = admin.address;
  std::unique_ptr<httplib::Client> client;
  if (absl::ConsumePrefix(&address, "unix:")) {
    client = std::make_unique<httplib::Client>(std::string(address), 80);
    client->set_address_family(AF_UNIX);
  } else {
    client = std::make_unique<httplib::Client>(absl::StrCat("http://", address));
  }
  client->set_connection_timeout(kPatienceSeconds);
  client->set_read_timeout(patience);
  return client;
}

absl::StatusOr<httplib::Headers> HeadersFor(const config::Admin& admin) {
  httplib::Headers headers;
  if (!admin.token_file.empty()) {
    ASSIGN_OR_RETURN(const Secret token, config::ReadPasswordFile(admin.token_file));
    headers.emplace("Authorization", absl::StrCat("Bearer ", token.view()));
  }
  return headers;
}

absl::StatusOr<std::string> Judge(const config::Admin& admin, const httplib::Result& result) {
  if (!result) {
    return absl::UnavailableError(absl::StrCat("no answer from the admin endpoint at ",
                                               admin.address, " (",
                                               httplib::to_string(result.error()),
                                               "); is postern serve running with this "
                                               "configuration?"));
  }
  if (result->status == 200) return result->body;
  const auto json = nlohmann::json::parse(result->body, nullptr, /*allow_exceptions=*/false);
  const bool told = json.is_object() && json.contains("error") && json["error"].is_string();
  // Too much at once: may be asked again.
  if (result->status == 429 && told) {
    return absl::ResourceExhaustedError(json["error"].get<std::string>());
  }
  // Somebody is still there.
  if (result->status == 423 && told) return absl::AbortedError(json["error"].get<std::string>());
  return absl::InternalError(told ? json["error"].get<std::string>()
                                  : absl::StrCat("the server answered ", result->status));
}

}  // namespace

absl::StatusOr<std::string> Get(const config::Admin& admin, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<httplib::Client> client, Connect(admin, kPatienceSeconds));
  ASSIGN_OR_RETURN(const httplib::Headers headers, HeadersFor(admin));
  return Judge(admin, client->Get(path.c_str(), headers));
}

absl::StatusOr<std::string> Post(const config::Admin& admin, const std::string& path,
                                 const std::string& body, int patience_seconds) {
  ASSIGN_OR_RETURN(const std::unique_ptr<httplib::Client> client, Connect(admin, patience_seconds));
  ASSIGN_OR_RETURN(const httplib::Headers headers, HeadersFor(admin));
  return Judge(admin, client->Post(path.c_str(), headers, body, "application/json"));
}

}  // namespace postern::admin
