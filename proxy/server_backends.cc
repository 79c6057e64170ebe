// The file with what operators have added and removed by hand over it, taken into use.
#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/places.h"
#include "proxy/server.h"
#include "proxy/snapshot_builder.h"

namespace postern {
namespace {

// Far more than anybody types; a farm that grows like this has somebody to write its file.
constexpr size_t kChangesMax = 1000;

std::string By(absl::string_view who, absl::string_view why) {
  return absl::StrCat("by ", who, why.empty() ? "" : ": ", why);
}

template <typename List>
auto Named(List& list, const std::string& name) {
  return std::find_if(list.begin(), list.end(),
                      [&name](const auto& entry) { return entry.name == name; });
}

// "like" a backend that was added by hand: what was said of that one holds here, too, unless
// something else is said.
void TakeOver(const config::AddedBackend& from, config::AddedBackend* wanted) {
  wanted->like = from.like;
  wanted->model = from.model;
  for (std::string config::AddedBackend::*key :
       {&config::AddedBackend::tls, &config::AddedBackend::ca,
        &config::AddedBackend::server_name}) {
    if ((wanted->*key).empty()) wanted->*key = from.*key;
  }
  if (!wanted->weight.has_value()) wanted->weight = from.weight;
}

// Where it cannot go, in other words than "this pool has no backends".
absl::Status CheckUnneeded(const config::Config& config, const std::string& name) {
  for (const routing::PoolOptions& pool : config.routing.pools) {
    if (pool.backends.size() != 1) continue;
    if (config.backends[static_cast<size_t>(pool.backends[0])].name != name) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("backend ", name, " is the last one of pool ", pool.name,
                     "; add another one first, or drain or disable it"));
  }
  for (const routing::RouteOptions& route : config.routing.routes) {
    if (route.backend != name) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("backend ", name, " is what the route in line ", route.line,
                     " leads to; change the file and reload, or drain or disable it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Server::Judge(config::Config config) {
  const absl::Cleanup forget = [this] { registry_.DropUnused(); };
  ASSIGN_OR_RETURN(const std::shared_ptr<Snapshot> snapshot,
                   BuildSnapshot(std::move(config), &registry_, generation_ + 1, &backend_states_));
  RETURN_IF_ERROR(BuildHealthSnapshot(snapshot, health_.library()).status());
  return BuildWorkerSnapshot(snapshot, &workers_[0]->library, tickets_).status();
}

absl::Status Server::UseFile(const std::string& file, Secret text, const config::Overlay& wanted) {
  ASSIGN_OR_RETURN(config::Fitted fitted, config::ParseFitting(text.view(), file, wanted));
  const std::shared_ptr<const Snapshot> before = snapshot_;
  // A file that only the next start would open.
  const std::string& session_log = fitted.config.log.sessions;
  if (before != nullptr && !session_log.empty() && session_log != since_start_.log().sessions) {
    RETURN_IF_ERROR(config::WithPlaces(LineLog::Check(session_log), text.view(), file));
  }
  absl::Status status = Apply(std::move(fitted.config));
  // Maps and certificates may not go together with it, either. Then the file wins, but only at a
  // start: a reload that fails, perhaps for another reason that passes, keeps what is running.
  if (!status.ok() && before == nullptr && !fitted.overlay.empty()) {
    registry_.DropUnused();
    const auto judge = [this](const config::Config& config) { return Judge(config); };
    ASSIGN_OR_RETURN(fitted, config::ParseFitting(text.view(), file, wanted, judge));
    status = Apply(std::move(fitted.config));
  }
  RETURN_IF_ERROR(config::WithPlaces(status, text.view(), file));
  if (before != nullptr) WarnAboutRestart();
  for (const std::string& sentence : fitted.settled) log::Info(sentence);
  for (const std::string& sentence : fitted.warnings) log::Warning(sentence);
  if (before != nullptr) TellOfSpokenFor(before->config);
  text_ = std::move(text);
  config::RememberModels(text_.view(), &fitted.overlay);
  SetOverlay(std::move(fitted.overlay));
  return absl::OkStatus();
}

void Server::TellOfSpokenFor(const config::Config& before) const {
  for (const config::Backend& backend : snapshot_->config.backends) {
    if (Named(before.backends, backend.name) != before.backends.end()) continue;
    for (const auto& state : snapshot_->backend_states) {
      if (state->name() != backend.name) continue;
      const routing::BackendReport report = state->Report(MonotonicNow());
      if (report.service != routing::Service::kEnabled) {
        log::Warning(absl::StrCat("backend ", backend.name, " is new in the file, and still ",
                                  routing::ServiceName(report.service), ", ",
                                  By(report.service_by, report.service_reason),
                                  "; `postern enable` ends that"));
      }
      if (report.weight != routing::BackendWeight::kAsConfigured) {
        log::Warning(absl::StrCat("backend ", backend.name, " is new in the file, and still has ",
                                  "weight ", report.weight, ", ",
                                  By(report.weight_by, report.weight_reason), "; `postern weight ",
                                  backend.name, " configured` ends that"));
      }
    }
  }
}

void Server::BeginAnew(const config::AddedBackend& added) {
  const std::shared_ptr<routing::BackendState> state = backend_states_.Get(added.name);
  const TimeNs now = MonotonicNow();
  const routing::BackendReport report = state->Report(now);
  if (report.service != routing::Service::kEnabled) {
    state->SetService(routing::Service::kEnabled, added.who, added.why, now);
    desk_->EndSessionsOf(added.name, 0, CloseReason::kDrained);
  }
  if (report.weight != routing::BackendWeight::kAsConfigured) {
    state->SetWeight(routing::BackendWeight::kAsConfigured, added.who, added.why, now);
  }
}

void Server::SetOverlay(config::Overlay overlay) {
  const std::lock_guard<std::mutex> lock(facts_mutex_);
  overlay_ = std::move(overlay);
}

config::Overlay Server::overlay() const {
  const std::lock_guard<std::mutex> lock(facts_mutex_);
  return overlay_;
}

absl::Status Server::UseOverlay(config::Overlay next) {
  if (next.added.size() + next.removed.size() > kChangesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kChangesMax,
                     " backends were added or removed by hand; write them into the file"));
  }
  ASSIGN_OR_RETURN(config::Config config,
                   config::ParseWithOverlay(text_.view(), snapshot_->config.file, next));
  const absl::Status status = Apply(std::move(config));
  if (!status.ok()) {
    registry_.DropUnused();
    return absl::FailedPreconditionError(status.message());
  }
  config::RememberModels(text_.view(), &next);
  SetOverlay(std::move(next));
  return absl::OkStatus();
}

absl::Status Server::AddBackend(config::AddedBackend wanted) {
  const config::Config& now = snapshot_->config;
  config::Overlay next = overlay();
  if (Named(now.backends, wanted.name) != now.backends.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is a backend ", wanted.name, " already"));
  }
  const auto removed = Named(next.removed, wanted.name);
  std::string what = "back, as the file has it";
  if (wanted.pool.empty() && wanted.address.empty() && removed != next.removed.end()) {
    next.removed.erase(removed);
  } else if (wanted.pool.empty() || wanted.address.empty()) {
    return absl::InvalidArgumentError(
        "a new backend needs a pool and an address; only one that the file has and that was "
        "removed by hand comes back without");
  } else if (Named(now.routing.pools, wanted.pool) == now.routing.pools.end()) {
    const auto name = [](std::string* out, const routing::PoolOptions& pool) { *out += pool.name; };
    return absl::NotFoundError(absl::StrCat("no pool ", EscapeForLog(wanted.pool, 80), "; there ",
                                            now.routing.pools.size() == 1 ? "is " : "are ",
                                            absl::StrJoin(now.routing.pools, ", ", name)));
  } else {
    what = absl::StrCat("added to pool ", wanted.pool, " at ", wanted.address);
    if (!wanted.like.empty()) absl::StrAppend(&what, ", like ", wanted.like);
    const auto model = Named(next.added, wanted.like);
    if (model != next.added.end() && model->pool == wanted.pool) TakeOver(*model, &wanted);
    next.added.push_back(wanted);
  }
  const absl::Status status = UseOverlay(std::move(next));
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat("backend ", wanted.name,
                                                    " cannot be added: ", status.message()));
  }
  BeginAnew(wanted);
  log::Info(absl::StrCat("backend ", wanted.name, ": ", EscapeForLog(what, 400), ", ",
                         By(wanted.who, wanted.why)));
  return desk_->SaveChange();
}

absl::Status Server::RemoveBackend(const std::string& name, const Signature& by) {
  const config::Config& now = snapshot_->config;
  if (Named(now.backends, name) == now.backends.end()) {
    return absl::NotFoundError(absl::StrCat("no backend ", EscapeForLog(name, 80)));
  }
  RETURN_IF_ERROR(CheckUnneeded(now, name));
  // Before the tables are asked: what ends meanwhile is in them then.
  RETURN_IF_ERROR(desk_->mover().KeepOut(name));
  const absl::Cleanup admit = [this, &name] { desk_->mover().Admit(name); };
  uint64_t moved = 0;
  backend_states_.overrides()->ForEach(
      [&](absl::string_view, const routing::Overrides::Backend& backend) {
        moved += backend->name() == name ? 1 : 0;
        return true;
      });
  if (moved > 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "backend ", name, " is where ", moved, moved == 1 ? " user was moved" : " users were moved",
        "; `postern moves` lists them, move them elsewhere or back first"));
  }
  for (const auto& [group, backend] : backend_states_.overrides()->groups().List()) {
    if (backend->name() != name) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("backend ", name, " is where ", EscapeForLog(group.Text()),
                     " was moved; `postern moves` lists all, move them elsewhere or back first"));
  }
  const int64_t seats = backend_states_.Get(name)->load().seats();
  if (seats > 0) {
    return absl::AbortedError(absl::StrCat(
        "backend ", name, " has ", seats, seats == 1 ? " session or login" : " sessions or logins",
        "; `postern remove` waits for their end with --wait, and brings it about with --over"));
  }
  config::Overlay next = overlay();
  const auto added = Named(next.added, name);
  if (added != next.added.end()) {
    next.added.erase(added);
  } else {
    next.removed.push_back(config::RemovedBackend{name, by.who, by.why});
  }
  const absl::Status status = UseOverlay(std::move(next));
  if (!status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat("backend ", name, " cannot be removed: ", status.message()));
  }
  log::Info(absl::StrCat("backend ", name, ": removed, ", By(by.who, by.why)));
  return desk_->SaveChange();
}

void Server::TellOfHands(metrics::ServerFacts* facts) const {
  for (metrics::BackendHealth& backend : facts->backends) {
    const auto added = Named(overlay_.added, backend.name);
    if (added == overlay_.added.end()) continue;
    backend.added = true;
    backend.added_by = added->who;
    backend.added_reason = added->why;
  }
  facts->removed.clear();
  for (const config::RemovedBackend& removed : overlay_.removed) {
    facts->removed.push_back({removed.name, removed.who, removed.why});
  }
}

}  // namespace postern
