#include "proxy/session_spread.h"

#include <algorithm>
#include <utility>

#include "proxy/session.h"

namespace postern {
namespace {

// A look at all sessions is not free, and nobody sees steps of a hundredth.
constexpr DurationNs kStepMin = 20 * kMillisecond;
constexpr DurationNs kStepMax = 6 * kSecond;
constexpr int kSteps = 100;

}  // namespace

struct SessionSpread::Task {
  Task(SessionSpread* spread_of, std::string name)
      : spread(spread_of), backend(std::move(name)), timer(&SessionSpread::OnTimer, this) {}

  SessionSpread* spread;
  std::string backend;
  CloseReason reason = CloseReason::kDrained;
  TimeNs end = 0;
  DurationNs step = 0;
  bool stopped = false;
  bool last = false;  // the time is over: whoever is left
  size_t seen = 0;    // in this look
  size_t ended = 0;   // likewise
  size_t left = 0;    // after the last look
  double due = 0;     // how many should have ended by now and have not
  io::Timer timer;
};

SessionSpread::SessionSpread(io::Io* io, Walk walk) : io_(io), walk_(std::move(walk)) {}

SessionSpread::~SessionSpread() {
  for (const auto& [key, task] : tasks_) io_->timers().Disarm(&task->timer);
}

void SessionSpread::Begin(const std::string& backend, DurationNs over, CloseReason reason) {
  Stop(backend, reason);
  auto task = std::make_shared<Task>(this, backend);
  task->reason = reason;
  task->end = io_->Now() + over;
  task->step = std::clamp(over / kSteps, kStepMin, kStepMax);
  tasks_[{backend, reason}] = task;
  // The first look only counts: nothing is due yet.
  Look(task);
}

void SessionSpread::Stop(const std::string& backend, CloseReason reason) {
  const auto found = tasks_.find({backend, reason});
  if (found == tasks_.end()) return;
  found->second->stopped = true;
  io_->timers().Disarm(&found->second->timer);
  tasks_.erase(found);
}

void SessionSpread::OnTimer(io::Timer&, void* owner) {
  const auto* task = static_cast<Task*>(owner);
  SessionSpread* spread = task->spread;
  spread->Look(spread->tasks_.at({task->backend, task->reason}));
}

void SessionSpread::Look(const std::shared_ptr<Task>& task) {
  const DurationNs time_left = task->end - io_->Now();
  task->last = time_left <= 0;
  if (!task->last) {
    task->due += static_cast<double>(task->left) * static_cast<double>(task->step) /
                 static_cast<double>(std::max(time_left, task->step));
  }
  task->seen = task->ended = 0;
  const auto visit = [task](Session* session) {
    if (task->stopped || session->phase() != Phase::kRelay ||
        session->backend_name() != task->backend) {
      return;
    }
    ++task->seen;
    if (!task->last && (task->due < 1 || !session->between_responses())) return;
    task->due -= 1;
    ++task->ended;
    session->Kick(task->reason);
  };
  walk_(visit, [this, task] {
    if (!task->stopped) Looked(task);
  });
}

void SessionSpread::Looked(const std::shared_ptr<Task>& task) {
  task->left = task->seen - task->ended;
  if (task->last) {
    tasks_.erase({task->backend, task->reason});
    return;
  }
  io_->timers().Arm(&task->timer, std::min(io_->Now() + task->step, task->end));
}

}  // namespace postern
