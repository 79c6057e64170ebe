#include "proxy/mover.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"

namespace postern {
namespace {

constexpr std::chrono::milliseconds kLookEvery{20};
constexpr DurationNs kKickEvery = kSecond;
// Sessions that were ended are over by then: the longest close_linger, and some.
constexpr DurationNs kEndedBy = 11 * 60 * kSecond;

}  // namespace

// Written by the thread under the lock of the mover, so that Progress() may read it.
struct Mover::Job {
  enum class State { kNew, kWaiting, kOver };
  Order order;
  MoveReport report;
  State state = State::kNew;
  TimeNs deadline = 0;  // of the patience
  TimeNs next_kick = 0;
  size_t open = 0;  // users that are neither moved nor given up
  // Of a group: users with sessions in the way; no others come, because the group is on hold.
  std::vector<std::string> living;
};

// Users of one order whose turn has come.
struct Mover::Batch {
  Job* job = nullptr;
  std::vector<size_t> users;                                   // indices of the order
  std::vector<std::shared_ptr<routing::BackendState>> before;  // where they were
  absl::Status status;
};

namespace {

// Who is nowhere but there already need not leave.
bool InTheWay(const routing::Affinity::Whereabouts& at,
              const std::shared_ptr<routing::BackendState>& to) {
  const bool there = at.entered == 0 && at.backend != nullptr && at.backend == to;
  return at.live > 0 && !there;
}

std::vector<std::string> LivingOf(const routing::BackendStates& states,
                                  const routing::UserGroup& group,
                                  const std::shared_ptr<routing::BackendState>& to) {
  std::vector<std::string> living;
  states.affinity()->ForEach([&](absl::string_view user, const routing::Affinity::Whereabouts& at) {
    if (InTheWay(at, to) && group.Has(user)) living.emplace_back(user);
  });
  // What was said of the user, or of the domain, goes before what is said of the group.
  const bool range = group.kind == routing::Hold::Kind::kHashRange;
  const auto has_own = [&states, range](const std::string& user) {
    return states.overrides()->Find(user) != nullptr ||
           (range && states.overrides()->groups().HasDomainOf(user));
  };
  living.erase(std::remove_if(living.begin(), living.end(), has_own), living.end());
  return living;
}

}  // namespace

int64_t Mover::SessionsInTheWay(const routing::UserGroup& group,
                                const std::shared_ptr<routing::BackendState>& to) const {
  int64_t sessions = 0;
  for (const std::string& user : LivingOf(*parts_.states, group, to)) {
    sessions += parts_.states->affinity()->Look(user).live;
  }
  return sessions;
}

Mover::Mover(Parts parts) : parts_(std::move(parts)), thread_([this] { Run(); }) {}

Mover::~Mover() { Stop(); }

std::string Mover::UnderWay(absl::string_view user,
                            const std::shared_ptr<routing::BackendState>& to) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return UnderWayLocked(user, to);
}

std::string Mover::UnderWayLocked(absl::string_view user,
                                  const std::shared_ptr<routing::BackendState>& to) const {
  const auto found = under_way_.find(user);
  if (found == under_way_.end() || found->second.to == to) return "";
  const Journey& journey = found->second;
  return absl::StrCat("move ", journey.id, " to ",
                      journey.to == nullptr ? "where the routes say" : journey.to->name(),
                      " is in progress, and this one says otherwise; try again when it is over");
}

void Mover::TurnAway(Order* order) const {
  size_t kept = 0;
  for (size_t i = 0; i < order->users.size(); ++i) {
    std::string why = UnderWayLocked(order->users[i], order->to);
    if (!why.empty()) {
      order->settled.push_back({order->users[i], order->from[i], "failed", 0, std::move(why)});
      continue;
    }
    if (kept != i) {
      order->users[kept] = std::move(order->users[i]);
      order->from[kept] = std::move(order->from[i]);
    }
    ++kept;
  }
  order->users.resize(kept);
  order->from.resize(kept);
}

void Mover::Leave(const std::string& user) {
  const auto found = under_way_.find(user);
  CHECK(found != under_way_.end());
  if (--found->second.orders == 0) under_way_.erase(found);
}

absl::Status Mover::MayStart(const Order& order) const {
  if (stopping_) return absl::UnavailableError("the server is stopping");
  if (order.to != nullptr) {
    if (kept_out_.contains(order.to->name())) {
      return absl::FailedPreconditionError(
          absl::StrCat("backend ", order.to->name(), " is being removed"));
    }
    // It may have been removed since the order was written.
    RETURN_IF_ERROR(parts_.check(order.to->name()));
  }
  size_t busy = 0;
  for (const std::shared_ptr<Job>& known : jobs_) {
    if (known->state == Job::State::kOver) continue;
    ++busy;
    const bool crossed = order.group.has_value() && known->order.group.has_value() &&
                         known->order.group->Meets(*order.group) && known->order.to != order.to;
    if (!crossed) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "move ", known->report.id, " takes ", EscapeForLog(known->order.group->Text()), " to ",
        known->order.to == nullptr ? "where the routes say" : known->order.to->name(),
        " and is in progress; try again when it is over"));
  }
  if (busy < kOrdersMax) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "too many moves are in progress; try again when some are over");
}

absl::StatusOr<MoveReport> Mover::Start(Order order) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!order.group.has_value()) TurnAway(&order);
  auto job = std::make_shared<Job>();
  job->order = std::move(order);
  job->open = job->order.users.size();
  job->report.to = job->order.to == nullptr ? "" : job->order.to->name();
  for (size_t i = 0; i < job->order.users.size(); ++i) {
    const std::string& user = job->order.users[i];
    const int64_t live = parts_.states->affinity()->Look(user).live;
    job->report.users.push_back({user, job->order.from[i], "waiting", live, ""});
  }
  const std::optional<routing::UserGroup>& group = job->order.group;
  if (group.has_value()) {
    job->open = 1;
    job->report.users.push_back({group->Text(), job->order.from[0], "waiting",
                                 SessionsInTheWay(*group, job->order.to), ""});
  }
  // Behind those: the indices of the order are the report's.
  for (MoveReport::User& user : job->order.settled) job->report.users.push_back(std::move(user));
  if (job->open == 0) {
    job->report.over = true;
    return job->report;
  }
  RETURN_IF_ERROR(MayStart(job->order));
  // At once: who hears of the move may rely on it.
  for (const std::string& user : job->order.users) parts_.states->holds()->AddForMove(user);
  if (group.has_value()) parts_.states->holds()->AddForMove(group->kind, group->target);
  job->report.id = next_id_++;
  for (const std::string& user : job->order.users) {
    ++under_way_.try_emplace(user, Journey{job->report.id, job->order.to, 0}).first->second.orders;
  }
  jobs_.push_back(job);
  changed_.notify_all();
  return job->report;
}

absl::StatusOr<MoveReport> Mover::Progress(uint64_t id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::shared_ptr<Job>& job : jobs_) {
    if (job->report.id == id) return job->report;
  }
  return absl::NotFoundError("no such move, or it has long been over");
}

absl::Status Mover::KeepOut(const std::string& backend) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::shared_ptr<Job>& job : jobs_) {
    if (job->state == Job::State::kOver) continue;
    if (job->report.to == backend) {
      return absl::FailedPreconditionError(
          absl::StrCat("users are being moved to backend ", backend, "; wait until that is over"));
    }
    const std::vector<std::string>& from = job->order.from;
    if (std::find(from.begin(), from.end(), backend) == from.end()) continue;
    return absl::AbortedError(absl::StrCat("users are being moved away from backend ", backend,
                                           "; wait until that is over"));
  }
  kept_out_.insert(backend);
  return absl::OkStatus();
}

void Mover::Admit(const std::string& backend) {
  const std::lock_guard<std::mutex> lock(mutex_);
  kept_out_.erase(backend);
}

void Mover::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Mover::Run() {
  pthread_setname_np(pthread_self(), "mover");
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    std::vector<std::shared_ptr<Job>> busy;
    for (const std::shared_ptr<Job>& job : jobs_) {
      if (job->state != Job::State::kOver) busy.push_back(job);
    }
    const bool stopping = stopping_;
    lock.unlock();
    if (stopping) {
      for (const std::shared_ptr<Job>& job : busy) Fail(job.get(), "the server stopped");
    } else {
      Advance(busy);
    }
    lock.lock();
    if (stopping) return;
    Forget();
    if (busy.empty()) {
      changed_.wait(lock, [this] {
        return stopping_ || std::any_of(jobs_.begin(), jobs_.end(), [](const auto& job) {
                 return job->state != Job::State::kOver;
               });
      });
    } else {
      changed_.wait_for(lock, kLookEvery, [this] { return stopping_; });
    }
  }
}

// The oldest that are over make room.
void Mover::Forget() {
  while (jobs_.size() > 2 * kOrdersMax) {
    const auto over = std::find_if(jobs_.begin(), jobs_.end(),
                                   [](const auto& job) { return job->state == Job::State::kOver; });
    if (over == jobs_.end()) return;
    jobs_.erase(over);
  }
}

void Mover::Begin(Job* job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  job->state = Job::State::kWaiting;
  job->deadline = MonotonicNow() + job->order.patience;
}

void Mover::Advance(const std::vector<std::shared_ptr<Job>>& jobs) {
  routing::Overrides* const overrides = parts_.states->overrides().get();
  std::vector<Batch> batches;
  bool changed = false;
  for (const std::shared_ptr<Job>& job : jobs) {
    if (job->state == Job::State::kNew) {
      Begin(job.get());
      // A login that has passed the question before the hold has joined when its worker is seen.
      if (!parts_.sessions->Barrier()) {
        Fail(job.get(), "a worker did not answer in time");
        continue;
      }
      if (job->order.group.has_value()) {
        job->living = LivingOf(*parts_.states, *job->order.group, job->order.to);
      }
    }
    if (job->order.group.has_value()) {
      AdvanceGroup(job.get());
      continue;
    }
    Batch batch = ReadyOf(job.get());
    if (batch.users.empty()) continue;
    Place(overrides, &batch);
    changed = changed || batch.status.ok();
    batches.push_back(std::move(batch));
  }
  // Once for all: the file is written whole, and with it the disk is waited for.
  const absl::Status saved = changed ? parts_.save() : absl::OkStatus();
  // The last first: a user may be in several.
  for (auto batch = batches.rbegin(); batch != batches.rend(); ++batch) {
    if (!batch->status.ok() || saved.ok()) continue;
    Undo(overrides, *batch);
    batch->status = saved;
  }
  for (const Batch& batch : batches) Finish(batch);
  if (!batches.empty()) parts_.wake();
  for (const std::shared_ptr<Job>& job : jobs) {
    if (job->state != Job::State::kOver) Press(job.get());
  }
}

Mover::Batch Mover::ReadyOf(Job* job) {
  Batch batch;
  batch.job = job;
  for (size_t i = 0; i < job->order.users.size(); ++i) {
    if (job->report.users[i].state != "waiting") continue;
    const routing::Affinity::Whereabouts at = parts_.states->affinity()->Look(job->order.users[i]);
    if (!InTheWay(at, job->order.to)) batch.users.push_back(i);
    const std::lock_guard<std::mutex> lock(mutex_);
    job->report.users[i].sessions = at.live;
  }
  return batch;
}

void Mover::AdvanceGroup(Job* job) {
  int64_t sessions = 0;
  std::vector<std::string> living;
  for (std::string& user : job->living) {
    const routing::Affinity::Whereabouts at = parts_.states->affinity()->Look(user);
    if (!InTheWay(at, job->order.to)) continue;
    sessions += at.live;
    living.push_back(std::move(user));
  }
  job->living = std::move(living);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job->report.users[0].sessions = sessions;
  }
  if (job->living.empty()) FinishGroup(job);
}

void Mover::Press(Job* job) {
  const TimeNs now = MonotonicNow();
  if (now >= job->deadline + kEndedBy) return Fail(job, "its sessions did not end");
  if (now >= job->deadline && now >= job->next_kick) KickRest(job);
}

void Mover::KickRest(Job* job) {
  auto users =
      std::make_shared<absl::flat_hash_set<std::string>>(job->living.begin(), job->living.end());
  for (const MoveReport::User& user : job->report.users) {
    if (user.state == "waiting" && !job->order.group.has_value()) users->insert(user.user);
  }
  SessionFilter filter;
  filter.users = std::move(users);
  // Those that wait are the ones this is for.
  filter.joined = true;
  const KickResult result = parts_.sessions->Kick(filter, CloseReason::kKicked);
  const std::lock_guard<std::mutex> lock(mutex_);
  job->report.kicked += result.kicked;
  job->next_kick = MonotonicNow() + kKickEvery;
}

void Mover::Place(routing::Overrides* overrides, Batch* batch) {
  const Order& order = batch->job->order;
  for (const size_t i : batch->users) {
    batch->before.push_back(overrides->Find(order.users[i]));
    if (order.to != nullptr) {
      batch->status.Update(overrides->Set(order.users[i], order.to));
    } else {
      overrides->Remove(order.users[i]);
    }
    parts_.states->recent_homes()->Forget(order.users[i]);
  }
  if (!batch->status.ok()) Undo(overrides, *batch);
}

void Mover::Undo(routing::Overrides* overrides, const Batch& batch) {
  for (size_t k = 0; k < batch.users.size(); ++k) {
    const std::string& user = batch.job->order.users[batch.users[k]];
    if (batch.before[k] == nullptr) {
      overrides->Remove(user);
    } else {
      overrides->Set(user, batch.before[k]).IgnoreError();
    }
  }
}

void Mover::Finish(const Batch& batch) {
  Job* const job = batch.job;
  for (const size_t i : batch.users) parts_.states->holds()->RemoveForMove(job->order.users[i]);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const size_t i : batch.users) {
    MoveReport::User& user = job->report.users[i];
    Leave(user.user);
    user.state = batch.status.ok() ? "moved" : "failed";
    user.why = std::string(batch.status.message());
    user.sessions = 0;
  }
  job->open -= batch.users.size();
  if (job->open > 0) return;
  Conclude(job, job->order.users.size() == 1
                    ? absl::StrCat("user ", EscapeForLog(job->order.users[0]))
                    : absl::StrCat(job->order.users.size(), " users"));
}

void Mover::FinishGroup(Job* job) {
  routing::GroupOverrides& groups = parts_.states->overrides()->groups();
  const routing::UserGroup& group = *job->order.group;
  // All of them: of ranges, the order counts.
  const std::vector<routing::GroupOverrides::Entry> before = groups.List();
  absl::Status status;
  if (job->order.to != nullptr) {
    status = groups.Set(group, job->order.to);
  } else {
    groups.Remove(group);
  }
  if (status.ok()) status = parts_.save();
  if (!status.ok()) groups.Restore(before);
  parts_.states->recent_homes()->ForgetIf(
      [&group](absl::string_view user) { return group.Has(user); });
  parts_.states->holds()->RemoveForMove(group.kind, group.target);
  parts_.wake();
  const std::lock_guard<std::mutex> lock(mutex_);
  MoveReport::User& told = job->report.users[0];
  told.state = status.ok() ? "moved" : "failed";
  told.why = std::string(status.message());
  told.sessions = 0;
  job->open = 0;
  Conclude(job, absl::StrCat("all of ", EscapeForLog(group.Text())));
}

void Mover::Conclude(Job* job, const std::string& who) {
  job->state = Job::State::kOver;
  job->report.over = true;
  const std::string to = job->order.to == nullptr ? "where the routes say" : job->order.to->name();
  const auto failed =
      std::count_if(job->report.users.begin(), job->report.users.end(),
                    [](const MoveReport::User& user) { return user.state == "failed"; });
  log::Info(absl::StrCat("move ", job->report.id, ": ", who, " moved to ", to, ", ", failed,
                         " failed, ", job->report.kicked, " sessions ended, by ", job->order.by.who,
                         job->order.by.why.empty() ? "" : ": ", job->order.by.why));
}

void Mover::Fail(Job* job, const std::string& why) {
  if (job->order.group.has_value()) {
    parts_.states->holds()->RemoveForMove(job->order.group->kind, job->order.group->target);
  } else {
    for (const MoveReport::User& user : job->report.users) {
      if (user.state == "waiting") parts_.states->holds()->RemoveForMove(user.user);
    }
  }
  parts_.wake();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (MoveReport::User& user : job->report.users) {
    if (user.state != "waiting") continue;
    if (!job->order.group.has_value()) Leave(user.user);
    user.state = "failed";
    user.why = why;
  }
  job->state = Job::State::kOver;
  job->report.over = true;
  log::Warning(absl::StrCat("move ", job->report.id, ": ", job->open, " users not moved: ", why));
}

}  // namespace postern
