#include "bench/maildrop/store.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/maildrop/session.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/io/make_io.h"
#include "proxy/listener.h"
#include "tls/context.h"

namespace postern::maildrop {
namespace {

constexpr DurationNs kWaitMax = kSecond;

// Accepted sockets inherit it, and the peer is told with our first segment.
bool BoundSegments(int fd, int mss) {
  return setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) == 0;
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

// One thread's share. Everything but Stop() happens on the thread itself.
class Store::Thread : public ListenerOwner, public SessionOwner {
 public:
  Thread(Store* store, std::vector<int> sockets) : store_(store), sockets_(std::move(sockets)) {}

  // Returns when the thread serves, or why it does not.
  absl::Status Start() {
    std::promise<absl::Status> started;
    std::future<absl::Status> answer = started.get_future();
    thread_ = std::thread(&Thread::Run, this, &started);
    absl::Status status = answer.get();
    if (!status.ok()) thread_.join();
    return status;
  }

  void Stop() {
    if (!thread_.joinable()) return;
    stopping_.store(true);
    io_->Wake();
    thread_.join();
  }

  void OnAccepted(Listener* listener, int fd) override {
    if (session_count_ >= store_->options_.sessions_max) {
      store_->counts_.refused.fetch_add(1, std::memory_order_relaxed);
      io_->Close(fd);
      return;
    }
    const uint64_t serial = store_->counts_.sessions.fetch_add(1, std::memory_order_relaxed);
    // 61 has no factor in common with 100: the faulty ones are spread evenly.
    const bool faulty = serial * 61 % 100 < store_->options_.fault_percent;
    auto* session = new Session(&context_, store_->options_.listen[listener->index()].tls,
                                faulty ? store_->options_.fault : Fault::kNone, fd);
    sessions_.PushBack(session);
    ++session_count_;
    session->Start();
  }

  // The listener tries again by itself.
  void OnAcceptError(Listener*, int) override {}

  void OnListenerStopped(Listener* listener) override {
    listener->Unlink();
    delete listener;
  }

  void OnSessionOver(Session* session) override {
    session->Unlink();
    over_.PushBack(session);
    --session_count_;
  }

 private:
  void Run(std::promise<absl::Status>* started) {
    absl::Status status = SetUp();
    if (!status.ok()) {
      // The ring goes where it was made.
      tls_.reset();
      io_.reset();
      started->set_value(std::move(status));
      return;
    }
    started->set_value(absl::OkStatus());
    bool cancelled = false;
    while (!listeners_.empty() || !sessions_.empty()) {
      io_->RunOnce(kWaitMax);
      while (Session* session = over_.PopFront()) delete session;
      if (stopping_.load() && !cancelled) {
        cancelled = true;
        CancelAll();
      }
    }
    while (Session* session = over_.PopFront()) delete session;
    CHECK(coro::FramePool::ThisThread().live() == 0);
    // The ring belongs to this thread, and so does everything made with the library context.
    context_.tls = nullptr;
    tls_.reset();
    io_.reset();
  }

  absl::Status SetUp() {
    ASSIGN_OR_RETURN(io::MadeIo made, io::MakeIo(store_->options_.io, io::UringOptions()));
    io_ = std::move(made.io);
    if (!made.warning.empty()) log::Warning(made.warning);
    bool tls = false;
    for (const Listen& listen : store_->options_.listen) tls |= listen.tls != ListenTls::kOff;
    if (tls) {
      tls::ServerOptions options;
      options.certificates.push_back(store_->options_.certificate);
      ASSIGN_OR_RETURN(tls_, tls::ServerContext::Create(options, &library_));
    }
    context_.options = &store_->options_;
    context_.deletions = &store_->deletions_;
    context_.io = io_.get();
    context_.blocks = &blocks_;
    context_.tls = tls_.get();
    context_.owner = this;
    for (size_t i = 0; i < sockets_.size(); ++i) {
      auto* listener = new Listener(io_.get(), this, "", i, sockets_[i]);
      listeners_.PushBack(listener);
      listener->Start();
    }
    return absl::OkStatus();
  }

  void CancelAll() {
    for (Listener* listener = listeners_.front(); listener != nullptr;) {
      Listener* next = listeners_.Next(listener);
      listener->Stop();
      listener = next;
    }
    for (Session* session = sessions_.front(); session != nullptr;) {
      Session* next = sessions_.Next(session);
      session->Cancel();
      session = next;
    }
  }

  Store* store_;
  std::vector<int> sockets_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  tls::Library library_;
  std::unique_ptr<tls::ServerContext> tls_;
  BlockPool blocks_;
  std::unique_ptr<io::Io> io_;
  ThreadContext context_;
  IntrusiveList<Listener> listeners_;
  IntrusiveList<Session> sessions_;
  IntrusiveList<Session> over_;
  size_t session_count_ = 0;
};

Store::Store(Options options) : options_(std::move(options)), deletions_(options_.deletions_max) {}

Store::~Store() { CHECK(threads_.empty()); }

absl::Status Store::OpenSockets(std::vector<int>* sockets) {
  for (Listen& listen : options_.listen) {
    const absl::StatusOr<int> fd =
        OpenListeningSocket(listen.address, /*v6only=*/true, options_.backlog);
    if (!fd.ok()) {
      for (const int opened : *sockets) close(opened);
      return fd.status();
    }
    sockets->push_back(*fd);
    if (options_.mss > 0 && !BoundSegments(*fd, options_.mss)) {
      log::Warning(absl::StrCat("--mss ", options_.mss, ": ", std::strerror(errno),
                                "; segments stay as long as the path allows"));
    }
    // Port 0 became a real one, which the other threads must use too.
    sockaddr_storage name{};
    socklen_t length = sizeof(name);
    if (getsockname(*fd, reinterpret_cast<sockaddr*>(&name), &length) == 0 &&
        !listen.address.is_unix()) {
      listen.address = SocketAddress(reinterpret_cast<const sockaddr*>(&name), length);
    }
  }
  return absl::OkStatus();
}

absl::Status Store::Start() {
  RaiseDescriptorLimit();
  for (int i = 0; i < options_.threads; ++i) {
    std::vector<int> sockets;
    absl::Status status = OpenSockets(&sockets);
    if (status.ok()) {
      auto thread = std::make_unique<Thread>(this, sockets);
      status = thread->Start();
      if (status.ok()) {
        threads_.push_back(std::move(thread));
        continue;
      }
      for (const int fd : sockets) close(fd);
    }
    Stop();
    return status;
  }
  return absl::OkStatus();
}

void Store::Stop() {
  for (const std::unique_ptr<Thread>& thread : threads_) thread->Stop();
  threads_.clear();
}

std::string Store::Where() const {
  std::string where;
  for (const Listen& listen : options_.listen) {
    absl::StrAppend(&where, where.empty() ? "" : ", ", listen.address.ToString(), " (",
                    Name(listen.tls), ")");
  }
  return where;
}

}  // namespace postern::maildrop
