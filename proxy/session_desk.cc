#include "proxy/session_desk.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

namespace postern {
namespace {

// Where the workers' answers meet; owned by all who may still touch it.
struct Meeting {
  std::mutex mutex;
  std::condition_variable changed;
  size_t outstanding = 0;
};

// One worker's part of a list. Written on its thread, read when it has said that it is done.
struct Share {
  SessionPage page;
  uint64_t kicked = 0;
};

}  // namespace

SessionDesk::SessionDesk(std::vector<Worker*> workers, DurationNs patience)
    : workers_(std::move(workers)), patience_(patience) {}

bool SessionDesk::OnEach(const std::function<void(Worker*, size_t, Done)>& task) const {
  const auto meeting = std::make_shared<Meeting>();
  meeting->outstanding = workers_.size();
  for (size_t i = 0; i < workers_.size(); ++i) {
    Worker* worker = workers_[i];
    worker->Post([task, worker, i, meeting] {
      task(worker, i, [meeting] {
        const std::lock_guard<std::mutex> lock(meeting->mutex);
        --meeting->outstanding;
        meeting->changed.notify_all();
      });
    });
  }
  std::unique_lock<std::mutex> lock(meeting->mutex);
  return meeting->changed.wait_for(lock, std::chrono::nanoseconds(patience_),
                                   [&meeting] { return meeting->outstanding == 0; });
}

SessionPage SessionDesk::List(const SessionFilter& filter, size_t limit) const {
  const auto wanted = std::make_shared<const SessionFilter>(filter);
  std::vector<std::shared_ptr<Share>> shares;
  std::vector<std::shared_ptr<std::atomic<bool>>> ready;
  for (size_t i = 0; i < workers_.size(); ++i) {
    shares.push_back(std::make_shared<Share>());
    ready.push_back(std::make_shared<std::atomic<bool>>(false));
  }
  const bool all = OnEach([wanted, shares, ready, limit](Worker* worker, size_t i, Done done) {
    const auto visit = [wanted, share = shares[i], limit](Session* session) {
      if (!session->Matches(*wanted)) return;
      ++share->page.matching;
      // They come oldest first, so a worker needs no more than all of them together may show.
      if (share->page.sessions.size() < limit) share->page.sessions.push_back(session->Describe());
    };
    worker->Walk(visit, [done = std::move(done), mine = ready[i]] {
      mine->store(true, std::memory_order_release);
      done();
    });
  });
  SessionPage page;
  page.complete = all;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (!ready[i]->load(std::memory_order_acquire)) continue;
    SessionPage& part = shares[i]->page;
    page.matching += part.matching;
    std::move(part.sessions.begin(), part.sessions.end(), std::back_inserter(page.sessions));
  }
  std::sort(page.sessions.begin(), page.sessions.end(),
            [](const SessionInfo& a, const SessionInfo& b) {
              return std::make_pair(a.accepted_at, a.id) < std::make_pair(b.accepted_at, b.id);
            });
  if (page.sessions.size() > limit) page.sessions.resize(limit);
  return page;
}

KickResult SessionDesk::Kick(const SessionFilter& filter, CloseReason reason) const {
  const auto wanted = std::make_shared<const SessionFilter>(filter);
  const auto kicked = std::make_shared<std::atomic<uint64_t>>(0);
  const bool all = OnEach([wanted, kicked, reason](Worker* worker, size_t, Done done) {
    const auto visit = [wanted, kicked, reason](Session* session) {
      if (session->phase() == Phase::kClosing || !session->Matches(*wanted)) return;
      session->Kick(reason);
      kicked->fetch_add(1, std::memory_order_relaxed);
    };
    worker->Walk(visit, std::move(done));
  });
  KickResult result;
  result.kicked = kicked->load(std::memory_order_relaxed);
  result.complete = all;
  return result;
}

bool SessionDesk::Barrier() const {
  return OnEach([](Worker*, size_t, const Done& done) { done(); });
}

}  // namespace postern
