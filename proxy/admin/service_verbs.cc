#include "proxy/admin/service_verbs.h"

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proxy/admin/client.h"
#include "proxy/admin/status_text.h"
#include "proxy/admin/verb_arguments.h"

namespace postern::admin {
namespace {

constexpr absl::Duration kPollEvery = absl::Milliseconds(500);

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int WaitForSessions(const config::Admin& admin, const std::string& backend) {
  int told = -1;
  for (;;) {
    const absl::StatusOr<std::string> status = Get(admin, "/api/v1/status");
    if (!status.ok()) return Complain(status.status());
    const absl::StatusOr<int> sessions = SessionsOf(*status, backend);
    if (!sessions.ok()) return Complain(sessions.status());
    if (*sessions != told) {
      std::printf("%s: %s\n", backend.c_str(),
                  CountText(static_cast<uint64_t>(*sessions), "session").c_str());
    }
    std::fflush(stdout);
    told = *sessions;
    if (*sessions == 0) return 0;
    absl::SleepFor(kPollEvery);
  }
}

int ChangeService(const std::string& config_file, const ServiceChange& change) {
  // The command line, before anything else.
  absl::Status good = CheckBackendName(change.backend);
  if (good.ok()) good = CheckOver(change.over);
  std::optional<int> weight;
  if (good.ok() && change.verb == "weight") {
    const absl::StatusOr<std::optional<int>> read = ReadWeight(change.weight);
    good = read.status();
    if (read.ok()) weight = *read;
  }
  if (!good.ok()) {
    Complain(good);
    return 2;
  }
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) return Complain(config.status());
  nlohmann::json wanted = nlohmann::json::object();
  if (!change.reason.empty()) wanted["reason"] = change.reason;
  if (!change.over.empty()) wanted["over"] = change.over;
  if (change.verb == "weight") {
    wanted["weight"] = weight.has_value() ? nlohmann::json(*weight) : nlohmann::json(nullptr);
  }
  const std::string body = wanted.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const absl::StatusOr<std::string> answer = Post(
      config->admin, absl::StrCat("/api/v1/backends/", change.backend, "/", change.verb), body);
  if (!answer.ok()) return Complain(answer.status());
  const auto json = nlohmann::json::parse(*answer, nullptr, /*allow_exceptions=*/false);
  if (change.verb == "weight") {
    std::printf("%s: weight %s\n", change.backend.c_str(),
                change.weight == "configured" ? "as configured" : change.weight.c_str());
    return 0;
  }
  std::printf("%s: %s\n", change.backend.c_str(),
              json.is_object() ? json.value("state", "").c_str() : "");
  if (!change.wait) return 0;
  return WaitForSessions(config->admin, change.backend);
}

int ShowStatus(const std::string& config_file) {
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) return Complain(config.status());
  const absl::StatusOr<std::string> status = Get(config->admin, "/api/v1/status");
  if (!status.ok()) return Complain(status.status());
  const absl::StatusOr<std::string> text = StatusText(*status);
  if (!text.ok()) return Complain(text.status());
  std::printf("%s", text->c_str());
  return 0;
}

}  // namespace postern::admin
