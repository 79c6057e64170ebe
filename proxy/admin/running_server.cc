#include "proxy/admin/running_server.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proxy/admin/client.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"
#include "proxy/router_loader.h"
#include "routing/holds.h"
#include "routing/stable_hash.h"
#include "routing/user_key.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;
using routing::BackendWeight;
using routing::Decision;
using routing::Service;

// More lines than this nobody reads.
constexpr size_t kNotesMax = 20;

std::string Text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

RunningServer::Word WordOf(const Json& json) {
  return {Text(json.at("by")), Text(json.at("reason"))};
}

std::string WordText(const RunningServer::Word& word) {
  return absl::StrCat("by ", EscapeForLog(word.by, 80), word.why.empty() ? "" : ": ",
                      EscapeForLog(word.why, 400));
}

Service ServiceOf(const std::string& word) {
  for (const Service service : {Service::kDraining, Service::kDisabled}) {
    if (word == routing::ServiceName(service)) return service;
  }
  return Service::kEnabled;
}

RunningServer::Backend BackendOf(const Json& json) {
  RunningServer::Backend backend;
  backend.name = Text(json.at("name"));
  backend.pool = Text(json.at("pool"));
  const Json& service = json.at("service");
  backend.service = ServiceOf(Text(service.at("state")));
  backend.service_word = WordOf(service);
  const Json& weight = json.at("weight");
  if (weight.at("set").is_number()) {
    backend.weight = weight.at("set").get<int>();
    backend.weight_word = WordOf(weight);
  }
  backend.weight_configured = weight.at("configured").get<uint32_t>();
  backend.backup = json.at("backup").get<bool>();
  if (const Json& added = json.at("added"); added.is_object()) {
    backend.added = true;
    backend.added_word = WordOf(added);
  }
  const Json& health = json.at("health");
  if (!health.at("up").get<bool>()) {
    backend.down = true;
    backend.out = absl::StrCat("down: ", Text(health.at("reason")));
  } else if (health.at("ejected_seconds_left").is_number()) {
    backend.out = absl::StrCat("ejected: ", Text(health.at("eject_reason")));
  }
  return backend;
}

const RunningServer::Backend* Find(const RunningServer& running, const std::string& name) {
  for (const RunningServer::Backend& backend : running.backends) {
    if (backend.name == name) return &backend;
  }
  return nullptr;
}

// With what the server has beside the file, and without what it does not have.
routing::RouterOptions OptionsOf(const routing::RouterOptions& file, const RunningServer& running) {
  routing::RouterOptions options = file;
  for (routing::PoolOptions& pool : options.pools) {
    std::vector<int> members;
    for (const int index : pool.backends) {
      if (Find(running, file.backends[static_cast<size_t>(index)].name) != nullptr) {
        members.push_back(index);
      }
    }
    for (const RunningServer::Backend& backend : running.backends) {
      const auto named = [&backend](const routing::BackendOptions& of_file) {
        return of_file.name == backend.name;
      };
      if (!backend.added || backend.pool != pool.name ||
          std::any_of(file.backends.begin(), file.backends.end(), named)) {
        continue;
      }
      members.push_back(static_cast<int>(options.backends.size()));
      options.backends.push_back({backend.name, backend.weight_configured, backend.backup, {}});
    }
    // A pool that the server does not know yet is the file's.
    if (!members.empty()) pool.backends = std::move(members);
  }
  return options;
}

}  // namespace

absl::StatusOr<RunningServer> ReadRunningServer(const std::string& status,
                                                const std::string& holds) try {
  RunningServer running;
  const Json json = Json::parse(status);
  for (const Json& backend : json.at("backends")) {
    // Those that a reload took away have no health.
    if (backend.contains("health")) running.backends.push_back(BackendOf(backend));
  }
  for (const Json& pool : json.at("pools")) {
    if (pool.at("panic").get<bool>()) running.panicking.push_back(Text(pool.at("name")));
  }
  for (const Json& removed : json.at("removed")) {
    running.removed.push_back({Text(removed.at("name")), WordOf(removed)});
  }
  if (holds.empty()) return running;
  const Json held = Json::parse(holds);
  for (const Json& hold : held.at("holds")) {
    running.holds.push_back({Text(hold.at("target")), WordOf(hold)});
  }
  return running;
} catch (const Json::exception&) {
  return absl::InternalError("the answer is not what this version of postern expects");
}

absl::StatusOr<RunningServer> AskRunningServer(const config::Admin& admin) {
  ASSIGN_OR_RETURN(const std::string status, Get(admin, "/api/v1/status"));
  const absl::StatusOr<std::string> holds = Get(admin, "/api/v1/holds");
  ASSIGN_OR_RETURN(RunningServer running, ReadRunningServer(status, holds.ok() ? *holds : ""));
  if (!holds.ok()) running.holds_unknown = std::string(holds.status().message());
  return running;
}

std::string HoldText(const RunningServer& running, absl::string_view user) {
  for (const RunningServer::Hold& hold : running.holds) {
    absl::string_view target = hold.target;
    bool covers = target == user;
    if (absl::ConsumePrefix(&target, "@")) {
      covers = target == routing::DomainOf(user);
    } else if (absl::ConsumePrefix(&target, "hash ")) {
      const absl::StatusOr<routing::HashRange> range = routing::ParseHashRange(target);
      covers = range.ok() && range->Has(routing::StableHash(user));
    }
    if (covers) return WordText(hold.word);
  }
  return "";
}

absl::StatusOr<RunningRoutes> RunningRoutes::Create(
    const RunningServer* running, const std::shared_ptr<const routing::Router>& file) {
  RunningRoutes routes;
  routes.running_ = running;
  routes.file_ = file;
  routes.router_ = file;
  const routing::RouterOptions options = OptionsOf(file->options(), *running);
  bool differs = options.backends.size() != file->options().backends.size();
  for (size_t i = 0; i < options.pools.size(); ++i) {
    differs = differs || options.pools[i].backends != file->options().pools[i].backends;
  }
  if (differs) {
    ASSIGN_OR_RETURN(routes.router_, LoadRouter(options));
  }
  routes.now_ = MonotonicNow();
  routes.states_ = std::make_shared<routing::BackendStates>();
  for (const routing::BackendOptions& backend : options.backends) {
    const std::shared_ptr<routing::BackendState> state = routes.states_->Get(backend.name);
    routes.list_.push_back(state);
    const RunningServer::Backend* found = Find(*running, backend.name);
    if (found == nullptr) continue;
    if (found->service != Service::kEnabled) {
      state->SetService(found->service, found->service_word.by, "", routes.now_);
    }
    if (found->weight != BackendWeight::kAsConfigured) {
      state->SetWeight(found->weight, found->weight_word.by, "", routes.now_);
    }
    if (found->out.empty()) continue;
    if (!found->down) {
      state->Eject(routing::EjectRules(), found->out, routes.now_);
      continue;
    }
    // A pool that is all down goes on with those that answer at all.
    routing::CheckResult bad;
    bad.reachable = std::find(running->panicking.begin(), running->panicking.end(), found->pool) !=
                    running->panicking.end();
    routing::CheckRules once;
    once.fall = 1;
    state->OnCheck(bad, once, routes.now_);
  }
  return routes;
}

Decision RunningRoutes::Decide(absl::string_view user,
                               const std::map<size_t, LookupVerdict>& verdicts) const {
  using Kind = routing::LookupAnswer::Kind;
  Decision decision = router_->Route(user, list_, now_);
  while (decision.lookup >= 0) {
    const auto said = verdicts.find(static_cast<size_t>(decision.lookup));
    if (said == verdicts.end()) return Decision();
    if (said->second.kind == Kind::kFound) {
      return router_->RouteTo(decision.route, said->second.target, user, list_, now_);
    }
    if (said->second.kind != Kind::kUnknown) return Decision();
    decision = router_->RouteBehind(decision.route, user, list_, now_);
  }
  return decision;
}

Decision RunningRoutes::DecideFor(const std::string& backend) const {
  Decision decision;
  for (size_t i = 0; i < list_.size(); ++i) {
    if (list_[i]->name() != backend) continue;
    decision.known = true;
    if (list_[i]->usable_alone(now_) && Find(*running_, backend) != nullptr) {
      decision.candidates[0] = static_cast<int>(i);
      decision.candidate_count = 1;
    } else {
      decision.out = static_cast<int>(i);
    }
  }
  return decision;
}

std::string RunningRoutes::NameOf(int backend) const {
  return router_->options().backends[static_cast<size_t>(backend)].name;
}

std::string RunningRoutes::First(const Decision& decision) const {
  if (decision.candidate_count == 0) return "";
  if (decision.pool >= 0 &&
      !IsByUser(router_->options().pools[static_cast<size_t>(decision.pool)].balance)) {
    return "";
  }
  return NameOf(decision.candidates[0]);
}

std::string RunningRoutes::Text(const Decision& decision) const {
  if (decision.candidate_count == 0) {
    return decision.out < 0
               ? "has nobody for the user now; the client is told [SYS/TEMP]"
               : absl::StrCat("does not send the user to ", EscapeForLog(NameOf(decision.out)),
                              ", and to nobody else; the client is told [SYS/TEMP]");
  }
  const std::string first = First(decision);
  const char* panic = decision.panic ? ", although nobody is usable" : "";
  if (!first.empty()) return absl::StrCat("sends the user to ", EscapeForLog(first), panic);
  std::vector<std::string> names;
  const routing::RouterOptions& options = router_->options();
  for (const bool backups : {false, true}) {
    if (!names.empty()) break;
    for (const int index : options.pools[static_cast<size_t>(decision.pool)].backends) {
      const auto number = static_cast<size_t>(index);
      const routing::BackendOptions& backend = options.backends[number];
      const routing::BackendState& state = *list_[number];
      if (backend.backup == backups && state.weight().Settled(backend.weight) > 0 &&
          (decision.panic ? state.usable_in_panic() : state.usable(now_))) {
        names.push_back(EscapeForLog(backend.name));
      }
    }
  }
  return absl::StrCat("sends the user to ", names.size() == 1 ? "" : "one of ",
                      absl::StrJoin(names, ", "), panic);
}

std::string RunningRoutes::NoteOf(const std::string& backend) const {
  for (const RunningServer::Removed& removed : running_->removed) {
    if (removed.name == backend) return absl::StrCat("removed ", WordText(removed.word));
  }
  const RunningServer::Backend* found = Find(*running_, backend);
  if (found == nullptr) return "not in the running server; has it read this file?";
  std::vector<std::string> notes;
  if (found->added) notes.push_back(absl::StrCat("added ", WordText(found->added_word)));
  if (found->service != Service::kEnabled) {
    notes.push_back(
        absl::StrCat(routing::ServiceName(found->service), " ", WordText(found->service_word)));
  }
  if (found->weight != BackendWeight::kAsConfigured) {
    notes.push_back(absl::StrCat("weight ", found->weight, " ", WordText(found->weight_word)));
  }
  if (!found->out.empty()) notes.push_back(EscapeForLog(found->out, 400));
  return absl::StrJoin(notes, "; ");
}

std::vector<std::string> RunningRoutes::Notes(const Decision& decision) const {
  std::vector<std::string> names;
  absl::flat_hash_set<std::string> seen;
  const auto add = [&](const routing::RouterOptions& options, int index) {
    const std::string& name = options.backends[static_cast<size_t>(index)].name;
    if (seen.insert(name).second) names.push_back(name);
  };
  if (decision.pool >= 0) {
    const auto pool = static_cast<size_t>(decision.pool);
    for (const auto& router : {file_, router_}) {
      for (const int index : router->options().pools[pool].backends) add(router->options(), index);
    }
  } else if (decision.candidate_count > 0 || decision.out >= 0) {
    add(router_->options(), decision.candidate_count > 0 ? decision.candidates[0] : decision.out);
  }
  std::vector<std::string> notes;
  size_t more = 0;
  for (const std::string& name : names) {
    const std::string note = NoteOf(name);
    if (note.empty()) continue;
    if (notes.size() < kNotesMax) {
      notes.push_back(absl::StrCat(EscapeForLog(name), ": ", note));
    } else {
      ++more;
    }
  }
  if (more > 0) notes.push_back(absl::StrCat("... and ", more, " more, see postern status"));
  return notes;
}

}  // namespace postern::admin
