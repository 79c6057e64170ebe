#include "proxy/mover.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"

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
  const auto has_own = [&states](const std::string& user) {
    return states.overrides()->Find(user) != nullptr;
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

absl::StatusOr<MoveReport> Mover::Start(Order order) {
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
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return absl::UnavailableError("the server is stopping");
  const auto busy = std::count_if(jobs_.begin(), jobs_.end(), [](const auto& known) {
    return known->state != Job::State::kOver;
  });
  if (static_cast<size_t>(busy) >= kOrdersMax) {
    return absl::ResourceExhaustedError(
        "too many moves are in progress; try again when some are "
        "over");
  }
  // At once: who hears of the move may rely on it.
  for (const std::string& user : job->order.users) parts_.states->holds()->AddForMove(user);
  if (group.has_value()) parts_.states->holds()->AddForMove(group->kind, group->target);
  job->report.id = next_id_++;
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

bool Mover::LeadsTo(absl::string_view backend) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::any_of(jobs_.begin(), jobs_.end(), [backend](const auto& job) {
    return job->state != Job::State::kOver && job->report.to == backend;
  });
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
    for (const std::shared_ptr<Job>& job : busy) {
      if (stopping) {
        Fail(job.get(), "the server stopped");
      } else {
        Advance(job.get());
      }
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

void Mover::Advance(Job* job) {
  if (job->state == Job::State::kNew) {
    Begin(job);
    // A login that has passed the question before the hold has joined when its worker is seen.
    if (!parts_.sessions->Barrier()) return Fail(job, "a worker did not answer in time");
    if (job->order.group.has_value()) {
      job->living = LivingOf(*parts_.states, *job->order.group, job->order.to);
    }
  }
  if (job->order.group.has_value()) return AdvanceGroup(job);
  std::vector<size_t> ready;
  for (size_t i = 0; i < job->order.users.size(); ++i) {
    if (job->report.users[i].state != "waiting") continue;
    const routing::Affinity::Whereabouts at = parts_.states->affinity()->Look(job->order.users[i]);
    if (!InTheWay(at, job->order.to)) ready.push_back(i);
    const std::lock_guard<std::mutex> lock(mutex_);
    job->report.users[i].sessions = at.live;
  }
  if (!ready.empty()) Finish(job, ready);
  if (job->state != Job::State::kOver) EndWhoStays(job);
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
  if (job->living.empty()) return FinishGroup(job);
  EndWhoStays(job);
}

void Mover::EndWhoStays(Job* job) {
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

void Mover::Finish(Job* job, const std::vector<size_t>& ready) {
  routing::Overrides& overrides = *parts_.states->overrides();
  absl::Status status;
  std::vector<std::shared_ptr<routing::BackendState>> before;
  for (const size_t i : ready) {
    const std::string& user = job->order.users[i];
    before.push_back(overrides.Find(user));
    if (job->order.to != nullptr) {
      status.Update(overrides.Set(user, job->order.to));
    } else {
      overrides.Remove(user);
    }
  }
  if (status.ok()) status = parts_.save();
  if (!status.ok()) {
    for (size_t k = 0; k < ready.size(); ++k) {
      const std::string& user = job->order.users[ready[k]];
      if (before[k] == nullptr) {
        overrides.Remove(user);
      } else {
        overrides.Set(user, before[k]).IgnoreError();
      }
    }
  }
  for (const size_t i : ready) parts_.states->holds()->RemoveForMove(job->order.users[i]);
  parts_.wake();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const size_t i : ready) {
    MoveReport::User& user = job->report.users[i];
    user.state = status.ok() ? "moved" : "failed";
    user.why = std::string(status.message());
    user.sessions = 0;
  }
  job->open -= ready.size();
  if (job->open > 0) return;
  Conclude(job, job->order.users.size() == 1
                    ? absl::StrCat("user ", EscapeForLog(job->order.users[0]))
                    : absl::StrCat(job->order.users.size(), " users"));
}

void Mover::FinishGroup(Job* job) {
  routing::GroupOverrides& groups = parts_.states->overrides()->groups();
  const routing::UserGroup& group = *job->order.group;
  const std::shared_ptr<routing::BackendState> before = groups.Get(group);
  absl::Status status;
  if (job->order.to != nullptr) {
    status = groups.Set(group, job->order.to);
  } else {
    groups.Remove(group);
  }
  if (status.ok()) status = parts_.save();
  if (!status.ok() && before != nullptr) groups.Set(group, before).IgnoreError();
  if (!status.ok() && before == nullptr) groups.Remove(group);
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
    user.state = "failed";
    user.why = why;
  }
  job->state = Job::State::kOver;
  job->report.over = true;
  log::Warning(absl::StrCat("move ", job->report.id, ": ", job->open, " users not moved: ", why));
}

}  // namespace postern
