#include "proxy/admin/backend_verbs.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proxy/admin/client.h"
#include "proxy/admin/service_verbs.h"
#include "proxy/admin/url_text.h"
#include "proxy/admin/verb_arguments.h"
#include "proxy/config/config.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;

// The server reads its maps again, which may be large, and waits a moment for DNS.
constexpr int kPatienceSeconds = 120;

constexpr absl::Duration kPollEvery = absl::Milliseconds(500);

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

absl::Status Ask(const config::Admin& admin, const std::string& backend, const std::string& what,
                 const Json& body) {
  return Post(admin, absl::StrCat("/api/v1/backends/", UrlText(backend), "/", what),
              body.dump(-1, ' ', false, Json::error_handler_t::replace), kPatienceSeconds)
      .status();
}

}  // namespace

BackendVerbs::BackendVerbs(CLI::App* app, const std::function<CLI::App*(CLI::App*)>& with_config) {
  add_ = with_config(app->add_subcommand("add", "add a backend to a pool of the running server"));
  remove_ = with_config(app->add_subcommand("remove", "take a backend out of the running server"));
  for (CLI::App* verb : {add_, remove_}) {
    verb->add_option("backend", wanted_.name, "name of the backend")->required();
    verb->add_option("--reason", wanted_.why, "why, for the log and the status");
  }
  add_->add_option("--pool", wanted_.pool, "the pool it joins");
  add_->add_option("--address", wanted_.address, "where it is, as in the configuration");
  add_->add_option("--like", wanted_.like, "a backend of the pool whose settings it takes over");
  add_->add_option("--tls", wanted_.tls, "off, implicit or stls");
  add_->add_option("--ca", wanted_.ca, "file of CAs for its certificate");
  add_->add_option("--server-name", wanted_.server_name, "the name in its certificate");
  weight_option_ =
      add_->add_option("--weight", weight_, "its share of new users")->check(CLI::Range(0, 10000));
  remove_->add_option("--over", over_,
                      "send nobody new there, and end its sessions, one by one, over this time");
  remove_->add_flag("--wait", wait_, "send nobody new there, and wait until it has no session");
}

std::optional<int> BackendVerbs::Run(const std::string& config_file) const {
  if (!add_->parsed() && !remove_->parsed()) return std::nullopt;
  absl::Status good = CheckBackendName(wanted_.name);
  if (good.ok() && !wanted_.like.empty()) good = CheckBackendName(wanted_.like);
  if (good.ok()) good = CheckOver(over_);
  if (!good.ok()) {
    Complain(good);
    return 2;
  }
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) return Complain(config.status());
  return add_->parsed() ? Add(config->admin) : Remove(config->admin);
}

int BackendVerbs::Add(const config::Admin& admin) const {
  Json body = Json::object();
  for (const auto& [key, text] :
       {std::make_pair("pool", wanted_.pool), std::make_pair("address", wanted_.address),
        std::make_pair("like", wanted_.like), std::make_pair("tls", wanted_.tls),
        std::make_pair("ca", wanted_.ca), std::make_pair("server_name", wanted_.server_name),
        std::make_pair("reason", wanted_.why)}) {
    if (!text.empty()) body[key] = text;
  }
  if (weight_option_->count() > 0) body["weight"] = weight_;
  if (const absl::Status status = Ask(admin, wanted_.name, "add", body); !status.ok()) {
    return Complain(status);
  }
  std::printf("%s: added\n", wanted_.name.c_str());
  return 0;
}

int BackendVerbs::Remove(const config::Admin& admin) const {
  Json body = Json::object();
  if (!wanted_.why.empty()) body["reason"] = wanted_.why;
  absl::Status status = Ask(admin, wanted_.name, "remove", body);
  const bool in_the_way = absl::IsAborted(status) && (wait_ || !over_.empty());
  if (in_the_way) {
    // Without a weight its users have the homes that they will have without it, and only those who
    // live there still come. A drain by itself would send users away in a pool without failover.
    Json emptying = body;
    emptying["weight"] = 0;
    status = Ask(admin, wanted_.name, "weight", emptying);
    if (!status.ok()) return Complain(status);
    std::printf("%s: no new users\n", wanted_.name.c_str());
    if (!over_.empty()) {
      Json draining = body;
      draining["over"] = over_;
      status = Ask(admin, wanted_.name, "drain", draining);
      if (!status.ok()) return Complain(status);
    }
    do {
      if (const int code = WaitForSessions(admin, wanted_.name); code != 0) return code;
      status = Ask(admin, wanted_.name, "remove", body);
      // A user with a session there may have come once more, or a login has not failed yet.
      if (absl::IsAborted(status)) absl::SleepFor(kPollEvery);
    } while (absl::IsAborted(status));
  }
  if (status.ok()) {
    std::printf("%s: removed\n", wanted_.name.c_str());
    return 0;
  }
  Complain(status);
  if (in_the_way) {
    std::fprintf(stderr, "it stays without new users; `postern weight %s configured`%s ends that\n",
                 wanted_.name.c_str(), over_.empty() ? "" : " and `postern undrain`");
  }
  return 1;
}

}  // namespace postern::admin
