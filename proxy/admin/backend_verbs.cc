#include "proxy/admin/backend_verbs.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/admin/client.h"
#include "proxy/admin/service_verbs.h"
#include "proxy/admin/url_text.h"
#include "proxy/config/config.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;

// The server reads its maps again, which may be large, and waits a moment for DNS.
constexpr int kPatienceSeconds = 120;

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
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
  remove_->add_option("--over", over_, "end the sessions there, one by one, over this time");
  remove_->add_flag("--wait", wait_, "return when the backend has no session any more");
}

std::optional<int> BackendVerbs::Run(const std::string& config_file) const {
  if (!add_->parsed() && !remove_->parsed()) return std::nullopt;
  const bool add = add_->parsed();
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) return Complain(config.status());
  Json body = Json::object();
  for (const auto& [key, text] :
       {std::make_pair("pool", wanted_.pool), std::make_pair("address", wanted_.address),
        std::make_pair("like", wanted_.like), std::make_pair("tls", wanted_.tls),
        std::make_pair("ca", wanted_.ca), std::make_pair("server_name", wanted_.server_name),
        std::make_pair("reason", wanted_.why), std::make_pair("over", over_)}) {
    if (!text.empty()) body[key] = text;
  }
  if (weight_option_->count() > 0) body["weight"] = weight_;
  const std::string path =
      absl::StrCat("/api/v1/backends/", UrlText(wanted_.name), add ? "/add" : "/remove");
  const absl::StatusOr<std::string> answer =
      Post(config->admin, path, body.dump(-1, ' ', false, Json::error_handler_t::replace),
           kPatienceSeconds);
  if (!answer.ok()) return Complain(answer.status());
  std::printf("%s: %s\n", wanted_.name.c_str(), add ? "added" : "removed");
  if (!wait_) return 0;
  return WaitForSessions(config->admin, wanted_.name);
}

}  // namespace postern::admin
