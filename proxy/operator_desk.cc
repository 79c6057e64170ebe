#include "proxy/operator_desk.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"
#include "routing/user_key.h"

namespace postern {
namespace {

// "by uid 0 (pid 1): new disks"
std::string By(const Signature& by) {
  return absl::StrCat("by ", by.who, by.why.empty() ? "" : ": ", by.why);
}

std::string TargetText(const routing::Hold& hold) {
  switch (hold.kind) {
    case routing::Hold::Kind::kUser:
      return hold.target;
    case routing::Hold::Kind::kDomain:
      return absl::StrCat("@", hold.target);
    case routing::Hold::Kind::kHashRange:
      return absl::StrCat("hash ", hold.target);
  }
  return "";
}

std::string Describe(const SessionQuery& query) {
  std::string text;
  const auto add = [&text](absl::string_view key, absl::string_view value) {
    if (value.empty()) return;
    absl::StrAppend(&text, text.empty() ? "" : ", ", key, " ", EscapeForLog(value, 400));
  };
  add("user", query.user);
  add("domain", query.domain);
  add("hash", query.hash_range);
  add("backend", query.backend);
  add("from", query.network);
  add("id", query.id);
  return text;
}

}  // namespace

OperatorDesk::OperatorDesk(std::vector<Worker*> workers, routing::BackendStates* states,
                           std::unique_ptr<StateFile> state_file,
                           std::function<std::shared_ptr<const Snapshot>()> snapshot)
    : workers_(std::move(workers)),
      states_(states),
      state_file_(std::move(state_file)),
      snapshot_(std::move(snapshot)),
      sessions_(workers_),
      mover_(Mover::Parts{&sessions_, states_, [this] { WakeHeld(); }, [this] { return Save(); },
                          [this](const std::string& name) { return BackendFor(name).status(); }}) {}

absl::Status OperatorDesk::Save() {
  absl::Status status = state_file_->Save();
  if (!status.ok()) log::Error(status.message());
  return status;
}

absl::Status OperatorDesk::SaveChange() {
  const absl::Status status = Save();
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrCat("in force, but not saved, and a restart forgets it: ", status.message()));
}

void OperatorDesk::WakeHeld() {
  for (Worker* worker : workers_) {
    worker->Post([worker] { worker->WakeHeld(); });
  }
}

absl::StatusOr<std::string> OperatorDesk::Normalise(absl::string_view user) const {
  absl::StatusOr<std::string> name = snapshot_()->router->NormaliseUser(user);
  if (name.ok()) return name;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", EscapeForLog(user, 80), "\" is no user: ", name.status().message()));
}

absl::StatusOr<std::shared_ptr<routing::BackendState>> OperatorDesk::BackendFor(
    const std::string& name) const {
  for (const std::shared_ptr<routing::BackendState>& state : snapshot_()->backend_states) {
    if (state->name() == name) return state;
  }
  return absl::NotFoundError(absl::StrCat("no backend ", EscapeForLog(name, 80)));
}

absl::Status OperatorDesk::SetService(const std::string& backend, routing::Service service,
                                      DurationNs over, const Signature& by) {
  ASSIGN_OR_RETURN(const std::shared_ptr<routing::BackendState> state, BackendFor(backend));
  state->SetService(service, by.who, by.why, MonotonicNow());
  EndSessionsOf(backend, over, CloseReason::kDrained);
  return SaveChange();
}

absl::Status OperatorDesk::SetWeight(const std::string& backend, int weight, const Signature& by) {
  ASSIGN_OR_RETURN(const std::shared_ptr<routing::BackendState> state, BackendFor(backend));
  state->SetWeight(weight, by.who, by.why, MonotonicNow());
  return SaveChange();
}

void OperatorDesk::EndSessionsOf(const std::string& backend, DurationNs over, CloseReason reason) {
  if (over > 0) {
    log::Info(absl::StrCat("backend ", backend, ": its sessions end over ", over / kMillisecond,
                           " ms, as ", CloseReasonName(reason)));
  }
  for (Worker* worker : workers_) {
    worker->Post([worker, backend, over, reason] {
      if (over > 0) {
        worker->spread().Begin(backend, over, reason);
      } else {
        worker->spread().Stop(backend, reason);
      }
    });
  }
}

absl::StatusOr<SessionFilter> OperatorDesk::FilterFor(const SessionQuery& query) const {
  SessionFilter filter;
  if (!query.user.empty() || !query.domain.empty() || !query.hash_range.empty()) {
    ASSIGN_OR_RETURN(routing::Hold who, HoldFor({query.user, query.domain, query.hash_range}));
    if (who.kind == routing::Hold::Kind::kUser) {
      filter.user = std::move(who.target);
    } else {
      filter.group = routing::UserGroup{who.kind, std::move(who.target)};
    }
  }
  if (!query.backend.empty()) {
    // One that a reload took away may still have sessions.
    filter.backend = query.backend;
    bool known = false;
    for (const auto& state : states_->All()) known = known || state->name() == query.backend;
    if (!known) {
      return absl::NotFoundError(absl::StrCat("no backend ", EscapeForLog(query.backend, 80)));
    }
  }
  if (!query.network.empty()) {
    ASSIGN_OR_RETURN(const IpNetwork network, IpNetwork::Parse(query.network));
    filter.network = network;
  }
  if (!query.id.empty()) {
    uint64_t id = 0;
    if (!absl::SimpleHexAtoi(query.id, &id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", EscapeForLog(query.id, 40),
                       "\" is no session id; write it as the session log does"));
    }
    filter.id = id;
  }
  return filter;
}

absl::StatusOr<SessionPage> OperatorDesk::Sessions(const SessionQuery& query, size_t limit) {
  ASSIGN_OR_RETURN(const SessionFilter filter, FilterFor(query));
  return sessions_.List(filter, limit);
}

absl::StatusOr<KickResult> OperatorDesk::Kick(const SessionQuery& query, const Signature& by) {
  if (query.empty()) {
    return absl::InvalidArgumentError(
        "name the sessions to end: user, domain, hash_range, id, ip or backend");
  }
  ASSIGN_OR_RETURN(const SessionFilter filter, FilterFor(query));
  const KickResult result = sessions_.Kick(filter, CloseReason::kKicked);
  log::Info(absl::StrCat("kick: ", result.kicked,
                         result.kicked == 1 ? " session of " : " sessions of ", Describe(query),
                         ", ", By(by)));
  return result;
}

absl::StatusOr<routing::Hold> OperatorDesk::HoldFor(const HoldQuery& query) const {
  const int set = (query.user.empty() ? 0 : 1) + (query.domain.empty() ? 0 : 1) +
                  (query.hash_range.empty() ? 0 : 1);
  if (set != 1) {
    return absl::InvalidArgumentError("name one of user, domain and hash_range");
  }
  routing::Hold hold;
  if (!query.user.empty()) {
    ASSIGN_OR_RETURN(hold.target, Normalise(query.user));
  } else if (!query.domain.empty()) {
    hold.kind = routing::Hold::Kind::kDomain;
    RETURN_IF_ERROR(routing::NormaliseDomainPattern(
        snapshot_()->config.routing.user, absl::StrCat("*@", query.domain), &hold.target));
  } else {
    hold.kind = routing::Hold::Kind::kHashRange;
    ASSIGN_OR_RETURN(const routing::HashRange range, routing::ParseHashRange(query.hash_range));
    hold.target = range.Text();
  }
  return hold;
}

absl::Status OperatorDesk::Hold(const HoldQuery& query, const Signature& by) {
  ASSIGN_OR_RETURN(routing::Hold hold, HoldFor(query));
  hold.who = by.who;
  hold.why = by.why;
  hold.since = MonotonicNow();
  RETURN_IF_ERROR(states_->holds()->Add(hold));
  log::Info(absl::StrCat("hold: ", EscapeForLog(TargetText(hold)), ", ", By(by)));
  return SaveChange();
}

absl::Status OperatorDesk::Release(const HoldQuery& query, const Signature& by) {
  ASSIGN_OR_RETURN(const routing::Hold hold, HoldFor(query));
  if (!states_->holds()->Remove(hold.kind, hold.target)) {
    return absl::NotFoundError(absl::StrCat(EscapeForLog(TargetText(hold)),
                                            " is not on hold; `postern hold` lists who "
                                            "is"));
  }
  log::Info(absl::StrCat("release: ", EscapeForLog(TargetText(hold)), ", ", By(by)));
  WakeHeld();
  return SaveChange();
}

std::vector<HoldReport> OperatorDesk::Holds() {
  std::vector<HoldReport> reports;
  const TimeNs now = MonotonicNow();
  for (const routing::Hold& hold : states_->holds()->List()) {
    if (reports.size() == kListedMax) break;
    reports.push_back(
        {TargetText(hold), hold.who, hold.why, static_cast<double>(now - hold.since) / kSecond});
  }
  return reports;
}

absl::StatusOr<std::shared_ptr<routing::BackendState>> OperatorDesk::NewHome(
    const MoveOrder& order) const {
  if (order.to.empty()) return nullptr;
  ASSIGN_OR_RETURN(std::shared_ptr<routing::BackendState> to, BackendFor(order.to));
  const TimeNs now = MonotonicNow();
  if (order.force || to->usable(now)) return to;
  const routing::BackendReport report = to->Report(now);
  std::string how = "out by its agent";
  if (report.service != routing::Service::kEnabled) {
    how = absl::StrCat(routing::ServiceName(report.service), ", ",
                       By({report.service_by, report.service_reason}));
  } else if (report.health == routing::Health::kDown) {
    how = absl::StrCat("down: ", report.reason);
  } else if (report.ejected_until > now) {
    how = absl::StrCat("ejected: ", report.eject_reason);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("backend ", order.to, " is ", how,
                   "; whoever is moved there could not log in. Mend that first, or say --force"));
}

absl::StatusOr<MoveReport> OperatorDesk::Move(const MoveOrder& order, const Signature& by) {
  if (!order.domain.empty() || !order.hash_range.empty()) return MoveGroup(order, by);
  if (order.users.empty() || order.users.size() > kUsersPerMoveMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("users must be 1 to ", kUsersPerMoveMax, " names"));
  }
  Mover::Order accepted;
  accepted.by = by;
  accepted.patience = order.patience;
  ASSIGN_OR_RETURN(accepted.to, NewHome(order));
  const std::shared_ptr<const Snapshot> snapshot = snapshot_();
  absl::flat_hash_set<std::string> seen;
  MoveReport told;
  told.to = order.to;
  for (const std::string& login : order.users) {
    absl::StatusOr<std::string> user = Normalise(login);
    if (!user.ok()) {
      told.users.push_back({login, "", "failed", 0, std::string(user.status().message())});
      continue;
    }
    if (!seen.insert(*user).second) continue;
    // Asked before the table: what ends meanwhile is in it then.
    if (const std::string why = mover_.UnderWay(*user, accepted.to); !why.empty()) {
      told.users.push_back({*user, "", "failed", 0, why});
      continue;
    }
    const std::shared_ptr<routing::BackendState> moved_to = states_->overrides()->Find(*user);
    // Where a login would go now: to the user's sessions, where an operator said, by the routes.
    std::shared_ptr<routing::BackendState> home = states_->affinity()->Look(*user).backend;
    if (home == nullptr) home = states_->overrides()->Where(*user);
    if (home == nullptr) {
      const routing::Decision route =
          snapshot->router->Route(*user, snapshot->backend_states, MonotonicNow());
      const int first = route.candidate_count > 0 ? route.candidates[0] : route.out;
      if (first >= 0) home = snapshot->backend_states[static_cast<size_t>(first)];
    }
    std::string from = home == nullptr ? "" : home->name();
    // Whoever has no override is where the routes say; with one to there, the move is done.
    if (moved_to == accepted.to) {
      told.users.push_back({*user, from, "already", 0, ""});
      continue;
    }
    if (order.dry_run) {
      const int64_t live = states_->affinity()->Look(*user).live;
      told.users.push_back({*user, from, "waiting", live, ""});
      continue;
    }
    accepted.users.push_back(*std::move(user));
    accepted.from.push_back(std::move(from));
  }
  told.over = true;
  if (accepted.users.empty()) return told;
  log::Info(absl::StrCat("move: ", accepted.users.size(), " users to ",
                         order.to.empty() ? "where the routes say" : order.to, ", ", By(by)));
  accepted.settled = std::move(told.users);
  return mover_.Start(std::move(accepted));
}

absl::StatusOr<MoveReport> OperatorDesk::MoveGroup(const MoveOrder& order, const Signature& by) {
  if (!order.users.empty()) {
    return absl::InvalidArgumentError("name one of users, domain and hash_range");
  }
  ASSIGN_OR_RETURN(const routing::Hold hold, HoldFor({"", order.domain, order.hash_range}));
  Mover::Order accepted;
  accepted.by = by;
  accepted.patience = order.patience;
  accepted.group = routing::UserGroup{hold.kind, hold.target};
  ASSIGN_OR_RETURN(accepted.to, NewHome(order));
  const routing::GroupOverrides& groups = states_->overrides()->groups();
  const std::shared_ptr<routing::BackendState> before = groups.Get(*accepted.group);
  accepted.from = {before == nullptr ? "where the routes say" : before->name()};
  // A range behind which another one was moved may have to take users back from that one.
  const std::vector<routing::GroupOverrides::Entry> moved = groups.List();
  const bool counts = before == nullptr || accepted.group->kind == routing::Hold::Kind::kDomain ||
                      (!moved.empty() && moved.back().group == *accepted.group);
  const bool already = before == accepted.to && counts;
  if (already || order.dry_run) {
    MoveReport told;
    told.to = order.to;
    told.over = true;
    told.users.push_back({accepted.group->Text(), accepted.from[0], already ? "already" : "waiting",
                          already ? 0 : mover_.SessionsInTheWay(*accepted.group, accepted.to), ""});
    return told;
  }
  log::Info(absl::StrCat("move: ", EscapeForLog(accepted.group->Text()), " to ",
                         order.to.empty() ? "where the routes say" : order.to, ", ", By(by)));
  return mover_.Start(std::move(accepted));
}

absl::StatusOr<MoveReport> OperatorDesk::MoveProgress(uint64_t id) { return mover_.Progress(id); }

absl::StatusOr<MovedUsers> OperatorDesk::Moved(const std::string& user, size_t limit) {
  MovedUsers moved;
  if (!user.empty()) {
    ASSIGN_OR_RETURN(const std::string name, Normalise(user));
    const std::shared_ptr<routing::BackendState> backend = states_->overrides()->Where(name);
    if (backend != nullptr) moved.users.push_back({name, backend->name()});
    moved.total = moved.users.size();
    return moved;
  }
  for (const auto& [group, backend] : states_->overrides()->groups().List()) {
    if (moved.users.size() == limit) break;
    moved.users.push_back({group.Text(), backend->name()});
  }
  moved.total = states_->overrides()->size() + states_->overrides()->groups().size();
  states_->overrides()->ForEach(
      [&](absl::string_view name, const routing::Overrides::Backend& backend) {
        if (moved.users.size() == limit) return false;
        moved.users.push_back({std::string(name), backend->name()});
        return true;
      });
  // More may have come meanwhile.
  moved.total = std::max<uint64_t>(moved.total, moved.users.size());
  return moved;
}

}  // namespace postern
