#include "proxy/worker.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/door.h"

namespace postern {
namespace {

// Decrypted bytes pass through here on their way from one engine to the other side: one record.
constexpr size_t kScratchBytes = 16384;
// Of a walk over all sessions, in one turn: some ten microseconds.
constexpr int kVisitsPerTurn = 256;

}  // namespace

Worker::Worker(io::Io* io, metrics::WorkerStats* stats, SessionSink* sink,
               const WorkerOptions& options)
    : io_(io),
      stats_(stats),
      options_(options),
      bulk_(io, options.bulk),
      scratch_(kScratchBytes),
      spread_(io, [this](auto visit, auto done) { Walk(std::move(visit), std::move(done)); }),
      next_session_id_(options.first_session_id),
      drain_deadline_(&Worker::OnDrainDeadline, this),
      mailbox_(io) {
  context_.io = io_;
  context_.blocks = &blocks_;
  context_.bulk = &bulk_;
  context_.stats = stats_;
  context_.sink = sink;
  context_.owner = this;
  context_.mailbox = &mailbox_;
  context_.scratch = scratch_.data();
  context_.scratch_bytes = scratch_.size();
  context_.memories = &memories_;
  context_.held = &held_;
}

Worker::~Worker() {
  CHECK(sessions_.empty() && over_.empty() && listeners_.empty());
  io_->timers().Disarm(&drain_deadline_);
}

void Worker::Configure(std::shared_ptr<const WorkerSnapshot> snapshot,
                       std::vector<ListenerSocket> sockets) {
  snapshot_ = std::move(snapshot);
  const std::vector<config::Listener>& configured = snapshot_->shared->config.listeners;
  const auto index_of = [&configured](const std::string& address) {
    size_t i = 0;
    while (i < configured.size() && configured[i].address.ToString() != address) ++i;
    return i;
  };
  for (const size_t id : snapshot_->shared->backend_stats) {
    if (id >= memories_.size()) memories_.resize(id + 1);
  }
  for (Listener* listener = listeners_.front(); listener != nullptr;) {
    Listener* next = listeners_.Next(listener);
    const size_t index = index_of(listener->address());
    if (index < configured.size()) {
      listener->set_index(index);
    } else {
      listener->Stop();
    }
    listener = next;
  }
  for (ListenerSocket& socket : sockets) {
    const size_t index = index_of(socket.address);
    CHECK(index < configured.size());
    auto* listener = new Listener(io_, this, std::move(socket.address), index, socket.fd);
    listeners_.PushBack(listener);
    listener->Start();
  }
}

void Worker::Drain(DurationNs patience) {
  if (draining_) return;
  draining_ = true;
  io_->timers().Arm(&drain_deadline_, io_->Now() + patience);
  for (Listener* listener = listeners_.front(); listener != nullptr;) {
    Listener* next = listeners_.Next(listener);
    listener->Stop();
    listener = next;
  }
  for (Session* session = sessions_.front(); session != nullptr;) {
    Session* next = sessions_.Next(session);
    session->BeginDrain();
    session = next;
  }
}

void Worker::CancelAll(CloseReason reason) {
  // Cancel() may end a session at once; it then moves to over_ and is not walked again.
  for (Session* session = sessions_.front(); session != nullptr;) {
    Session* next = sessions_.Next(session);
    session->Cancel(reason);
    session = next;
  }
}

void Worker::Walk(std::function<void(Session*)> visit, std::function<void()> done) {
  walks_.push_back(std::make_unique<SessionWalk>(
      SessionWalk{std::move(visit), std::move(done), sessions_.front()}));
  ContinueWalk(walks_.back().get());
}

void Worker::ContinueWalk(SessionWalk* walk) {
  for (int i = 0; i < kVisitsPerTurn && walk->next != nullptr; ++i) {
    // The visit may end the session, which then leaves the list.
    Session* session = walk->next;
    walk->next = sessions_.Next(session);
    walk->visit(session);
  }
  if (walk->next != nullptr) {
    return Post([this, walk] { ContinueWalk(walk); });
  }
  const auto place = std::find_if(walks_.begin(), walks_.end(),
                                  [walk](const auto& known) { return known.get() == walk; });
  CHECK(place != walks_.end());
  const std::unique_ptr<SessionWalk> over = std::move(*place);
  walks_.erase(place);
  over->done();
}

void Worker::OnDrainDeadline(io::Timer&, void* owner) {
  static_cast<Worker*>(owner)->CancelAll(CloseReason::kShutdown);
}

void Worker::RunTurn(DurationNs wait_max) {
  io_->RunOnce(wait_max);
  mailbox_.Run();
  Bury();
  CountTurn();
}

void Worker::Bury() {
  while (Session* session = over_.PopFront()) delete session;
}

void Worker::CountTurn() {
  const io::Io::Counts& now = io_->counts();
  metrics::LoopStats& loop = stats_->loop();
  loop.turns.Add(now.turns - counted_.turns);
  loop.completions.Add(now.completions - counted_.completions);
  loop.buffers_exhausted.Add(now.buffers_exhausted - counted_.buffers_exhausted);
  loop.cq_overflows.Add(now.cq_overflows - counted_.cq_overflows);
  counted_ = now;
}

void Worker::OnAccepted(Listener* listener, int fd) {
  if (draining_ || session_count_ >= 2 * options_.sessions_max) {
    io_->Close(fd);
    return;
  }
  if (!LetIn(*snapshot_->shared, listener->index(), fd, io_, stats_)) {
    io_->Close(fd);
    return;
  }
  const bool refuse = session_count_ >= options_.sessions_max;
  auto* session =
      new Session(&context_, snapshot_, listener->index(), fd, next_session_id_++, refuse);
  sessions_.PushBack(session);
  ++session_count_;
  stats_->loop().connections_active.Add(1);
  session->Start();
}

void Worker::OnAcceptError(Listener*, int) { stats_->loop().accept_errors.Add(); }

void Worker::OnListenerStopped(Listener* listener) {
  listener->Unlink();
  delete listener;
}

void Worker::OnSessionOver(Session* session) {
  for (const std::unique_ptr<SessionWalk>& walk : walks_) {
    if (walk->next == session) walk->next = sessions_.Next(session);
  }
  session->Unlink();
  over_.PushBack(session);
  --session_count_;
  stats_->loop().connections_active.Add(-1);
}

}  // namespace postern
