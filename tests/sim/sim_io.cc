#include "tests/sim/sim_io.h"

#include <sys/socket.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define POSTERN_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POSTERN_SIM_ASAN 1
#endif
#endif
#ifdef POSTERN_SIM_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace postern::sim {
namespace {

// What a returned buffer holds: recognisable in a hex dump, and never what a peer sent.
constexpr char kPoison = static_cast<char>(0xDD);
constexpr DurationNs kTurnCost = kMicrosecond;
constexpr DurationNs kConnectPatience = 130 * kSecond;  // Linux, tcp_syn_retries = 6

void Poison([[maybe_unused]] char* data, [[maybe_unused]] size_t size) {
#ifdef POSTERN_SIM_ASAN
  ASAN_POISON_MEMORY_REGION(data, size);
#endif
}

void Unpoison([[maybe_unused]] char* data, [[maybe_unused]] size_t size) {
#ifdef POSTERN_SIM_ASAN
  ASAN_UNPOISON_MEMORY_REGION(data, size);
#endif
}

int ConnectError(ConnectAnswer::Kind kind) {
  switch (kind) {
    case ConnectAnswer::Kind::kAccept:
      return 0;
    case ConnectAnswer::Kind::kRefuse:
      return -ECONNREFUSED;
    case ConnectAnswer::Kind::kBlackhole:
      return -ETIMEDOUT;
    case ConnectAnswer::Kind::kUnreachable:
      return -EHOSTUNREACH;
    case ConnectAnswer::Kind::kReset:
      return -ECONNRESET;
  }
  return -ECONNREFUSED;
}

}  // namespace

SimIo::SimIo(uint64_t seed, const FaultPlan& plan)
    : scheduler_(seed, plan), turn_start_(scheduler_.now()) {
  CHECK(plan.buffers > 0 && plan.buffers < 65536);
  for (size_t i = 0; i < plan.buffers; ++i) {
    buffers_.push_back(std::make_unique<char[]>(plan.buffer_bytes));
    Poison(buffers_.back().get(), plan.buffer_bytes);
    free_buffers_.push_back(static_cast<uint16_t>(i));
  }
  lent_.resize(plan.buffers, false);
  timers_.Advance(turn_start_);
}

SimIo::~SimIo() {
  for (const std::unique_ptr<char[]>& buffer : buffers_) {
    Unpoison(buffer.get(), scheduler_.plan().buffer_bytes);
  }
}

void SimIo::Violation(const std::string& text) {
  violations_.push_back(absl::StrCat(text, " (virtual time ",
                                     (scheduler_.now() - 1000 * kSecond) / kMicrosecond, " us)"));
}

SimIo::Descriptor* SimIo::Find(int fd, const char* what) {
  const auto found = descriptors_.find(fd);
  if (found != descriptors_.end()) return found->second.get();
  Violation(absl::StrCat(what, " on descriptor ", fd, ", which is not open"));
  return nullptr;
}

SimIo::Descriptor* SimIo::Still(int fd, uint64_t generation) {
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end() || found->second->generation != generation) return nullptr;
  return found->second.get();
}

int SimIo::NewDescriptor(Descriptor descriptor) {
  int fd = next_fd_;
  if (scheduler_.plan().reuse_descriptors) {
    for (fd = 100; descriptors_.count(fd) != 0;) ++fd;
  }
  next_fd_ = std::max(next_fd_, fd + 1);
  descriptor.generation = ++generation_;
  descriptors_[fd] = std::make_unique<Descriptor>(std::move(descriptor));
  return fd;
}

Connection* SimIo::NewConnection() {
  connections_.push_back(std::make_unique<Connection>(&scheduler_, connections_.size() + 1));
  return connections_.back().get();
}

Endpoint* SimIo::NewEndpoint(Connection* connection) {
  endpoints_.push_back(std::make_unique<Endpoint>(connection, 1));
  return endpoints_.back().get();
}

void SimIo::Watch(int fd) {
  const uint64_t generation = descriptors_[fd]->generation;
  descriptors_[fd]->connection->SetChanged(0, [this, fd, generation] {
    if (Still(fd, generation) != nullptr) PokeStream(fd);
  });
}

bool SimIo::Fails(double chance) {
  const bool fails = ++operations_ == scheduler_.plan().fail_operation || random().Chance(chance);
  if (fails) ++errors_injected_;
  return fails;
}

// --- sockets -------------------------------------------------------------------------------------

int SimIo::OpenSocket(int family) {
  if (Fails(scheduler_.plan().open_socket_error)) {
    return random().Pick<int>({-EMFILE, -ENFILE, -ENOMEM});
  }
  Descriptor descriptor;
  if (family != AF_UNIX) descriptor.local = SocketAddress::FromIp("192.0.2.1", 30000).value();
  return NewDescriptor(std::move(descriptor));
}

void SimIo::Shutdown(int fd, int how) {
  Descriptor* descriptor = Find(fd, "Shutdown");
  if (descriptor == nullptr) return;
  scheduler_.Trace(0x5000u + static_cast<uint64_t>(how));
  if (descriptor->connect != nullptr) {
    Finish(fd, std::exchange(descriptor->connect, nullptr), -ECONNRESET);
    return;
  }
  if (descriptor->kind == Descriptor::Kind::kListener) {
    if (descriptor->accept != nullptr) {
      Finish(fd, std::exchange(descriptor->accept, nullptr), -EINVAL);
    }
    return;
  }
  if (descriptor->kind != Descriptor::Kind::kStream) return;  // ENOTCONN
  if (how != SHUT_RD) {
    // A send that was just getting somewhere ends with a short count, not with an error.
    if (descriptor->send != nullptr && random().Chance(0.5)) TrySend(fd);
    descriptor->connection->ShutdownWrite(0);
  }
  if (how != SHUT_WR) descriptor->connection->ShutdownRead(0);
}

void SimIo::SetAbortiveClose(int fd) {
  Descriptor* descriptor = Find(fd, "SetAbortiveClose");
  if (descriptor != nullptr) descriptor->abortive = true;
}

void SimIo::Close(int fd) {
  Descriptor* descriptor = Find(fd, "Close");
  if (descriptor == nullptr) return;
  scheduler_.Trace(0x6000);
  if (descriptor->accept != nullptr || descriptor->connect != nullptr ||
      descriptor->recv != nullptr || descriptor->send != nullptr || descriptor->undelivered != 0) {
    Violation(absl::StrCat("Close of descriptor ", fd, " with an operation in flight"));
  }
  if (descriptor->kind == Descriptor::Kind::kStream) {
    if (descriptor->abortive) {
      descriptor->connection->Reset(0);
    } else {
      descriptor->connection->Close(0);
    }
  }
  for (const Descriptor::Waiting& waiting : descriptor->backlog) waiting.connection->Reset(0);
  descriptors_.erase(fd);
}

SocketAddress SimIo::PeerAddress(int fd) {
  Descriptor* descriptor = Find(fd, "PeerAddress");
  return descriptor == nullptr ? SocketAddress() : descriptor->peer;
}

SocketAddress SimIo::LocalAddress(int fd) {
  Descriptor* descriptor = Find(fd, "LocalAddress");
  return descriptor == nullptr ? SocketAddress() : descriptor->local;
}

// --- operations ----------------------------------------------------------------------------------

void SimIo::Finish(int fd, io::IoOp* op, int result, bool more) {
  scheduler_.Trace(static_cast<uint64_t>(scheduler_.now()));
  scheduler_.Trace(static_cast<uint64_t>(fd) << 32 ^ static_cast<uint32_t>(result) ^
                   static_cast<uint64_t>(Access::kind(*op)) << 56);
  uint64_t generation = 0;
  if (const auto found = descriptors_.find(fd); found != descriptors_.end()) {
    generation = found->second->generation;
    ++found->second->undelivered;
  }
  ready_.push_back(Ready{op, result, more, generation});
}

void SimIo::Accept(int listen_fd, io::IoOp* op) {
  Start(op, listen_fd);
  Access::kind(*op) = kAcceptOp;
  Descriptor* descriptor = Find(listen_fd, "Accept");
  if (descriptor == nullptr || descriptor->kind != Descriptor::Kind::kListener) {
    Finish(listen_fd, op, -EBADF);
    return;
  }
  if (descriptor->accept != nullptr) Violation("a second Accept on one listener");
  descriptor->accept = op;
  PokeAccept(listen_fd);
}

void SimIo::PokeAccept(int fd) {
  Descriptor* descriptor = descriptors_[fd].get();
  if (descriptor->accept == nullptr || descriptor->accept_busy || descriptor->backlog.empty()) {
    return;
  }
  descriptor->accept_busy = true;
  scheduler_.After(scheduler_.Delay(), [this, fd, generation = descriptor->generation] {
    if (Still(fd, generation) != nullptr) TryAccept(fd);
  });
}

void SimIo::TryAccept(int fd) {
  Descriptor* descriptor = descriptors_[fd].get();
  descriptor->accept_busy = false;
  if (descriptor->accept == nullptr || descriptor->backlog.empty()) return;
  if (Fails(scheduler_.plan().accept_error)) {
    Finish(fd, std::exchange(descriptor->accept, nullptr),
           random().Pick<int>({-EMFILE, -ENFILE, -ECONNABORTED, -ENOMEM}));
    return;
  }
  const Descriptor::Waiting waiting = descriptor->backlog.front();
  descriptor->backlog.pop_front();
  Descriptor accepted;
  accepted.kind = Descriptor::Kind::kStream;
  accepted.connection = waiting.connection;
  accepted.local = descriptor->local;
  accepted.peer = waiting.client;
  const int accepted_fd = NewDescriptor(std::move(accepted));
  Watch(accepted_fd);
  // Stays busy until delivered: one result per turn.
  descriptor->accept_busy = true;
  Finish(fd, descriptor->accept, accepted_fd, true);
}

void SimIo::Connect(int fd, const SocketAddress& address, io::IoOp* op) {
  Start(op, fd);
  Access::kind(*op) = kConnectOp;
  Access::data(*op) = &address;
  Descriptor* descriptor = Find(fd, "Connect");
  if (descriptor == nullptr || descriptor->kind != Descriptor::Kind::kSocket) {
    Finish(fd, op, -EBADF);
    return;
  }
  if (Fails(scheduler_.plan().connect_error)) {
    Finish(fd, op, random().Pick<int>({-ENOMEM, -EADDRNOTAVAIL, -ENETUNREACH, -ETIMEDOUT}));
    return;
  }
  ConnectAnswer answer;
  Backend* backend = FindBackend(address);
  if (backend == nullptr) {
    answer.kind = ConnectAnswer::Kind::kRefuse;
  } else if (backend->answer) {
    answer = backend->answer();
  }
  DurationNs delay = answer.delay + scheduler_.Delay();
  if (answer.kind == ConnectAnswer::Kind::kBlackhole) delay = kConnectPatience;
  descriptor->kind = Descriptor::Kind::kConnecting;
  descriptor->connect = op;
  descriptor->peer = address;
  scheduler_.After(delay, [this, fd, generation = descriptor->generation, kind = answer.kind, op] {
    Descriptor* connecting = Still(fd, generation);
    if (connecting != nullptr && connecting->connect == op) {
      // The address is read as late as a kernel may read it: it must still be alive.
      FinishConnect(fd, *static_cast<const SocketAddress*>(Access::data(*op)), kind);
    }
  });
}

void SimIo::FinishConnect(int fd, const SocketAddress& address, ConnectAnswer::Kind kind) {
  Descriptor* descriptor = descriptors_[fd].get();
  io::IoOp* op = std::exchange(descriptor->connect, nullptr);
  descriptor->kind = Descriptor::Kind::kSocket;
  Backend* backend = FindBackend(address);
  if (backend == nullptr) {
    Finish(fd, op, address.is_unix() ? -ENOENT : -ECONNREFUSED);
    return;
  }
  if (const int error = ConnectError(kind); error != 0) {
    Finish(fd, op, error);
    return;
  }
  descriptor->kind = Descriptor::Kind::kStream;
  descriptor->connection = NewConnection();
  Watch(fd);
  Endpoint* endpoint = NewEndpoint(descriptor->connection);
  Finish(fd, op, 0);
  if (backend->accepted) {
    scheduler_.After(scheduler_.Delay(),
                     [accepted = backend->accepted, endpoint] { accepted(endpoint); });
  }
}

void SimIo::Recv(int fd, io::IoOp* op) {
  if (Access::buffer(*op) != nullptr) Violation("Recv while the last buffer was not returned");
  Start(op, fd);
  Access::kind(*op) = kRecvOp;
  BeginRecv(fd, op);
}

void SimIo::RecvInto(int fd, char* buffer, size_t capacity, io::IoOp* op) {
  if (Access::buffer(*op) != nullptr) Violation("RecvInto while the last buffer was not returned");
  Start(op, fd);
  Access::kind(*op) = kRecvIntoOp;
  Access::buffer(*op) = buffer;
  Access::buffer_id(*op) = kOwnBuffer;
  Access::size(*op) = capacity;
  BeginRecv(fd, op);
}

void SimIo::BeginRecv(int fd, io::IoOp* op) {
  Descriptor* descriptor = Find(fd, "Recv");
  if (descriptor == nullptr || descriptor->kind != Descriptor::Kind::kStream) {
    Finish(fd, op, -ENOTCONN);
    return;
  }
  if (descriptor->recv != nullptr) Violation("a second Recv on one descriptor");
  descriptor->recv = op;
  if (Fails(scheduler_.plan().recv_error)) {
    descriptor->recv = nullptr;
    descriptor->connection->Break(0);
    Finish(fd, op, random().Pick<int>({-ECONNRESET, -ETIMEDOUT}));
    return;
  }
  PokeStream(fd);
}

void SimIo::Send(int fd, absl::string_view bytes, io::IoOp* op) {
  Start(op, fd);
  Access::kind(*op) = kSendOp;
  Access::data(*op) = bytes.data();
  Access::size(*op) = bytes.size();
  if (bytes.empty()) Violation("Send of no bytes");
  BeginSend(fd, op);
}

void SimIo::PollSend(int fd, io::IoOp* op) {
  Start(op, fd);
  Access::kind(*op) = kPollOp;
  Access::data(*op) = nullptr;
  Access::size(*op) = 0;
  BeginSend(fd, op);
}

void SimIo::BeginSend(int fd, io::IoOp* op) {
  Descriptor* descriptor = Find(fd, "Send");
  if (descriptor == nullptr || descriptor->kind != Descriptor::Kind::kStream) {
    Finish(fd, op, -ENOTCONN);
    return;
  }
  if (descriptor->send != nullptr) Violation("a second Send on one descriptor");
  descriptor->send = op;
  descriptor->send_hash = XXH64(Access::data(*op), Access::size(*op), 0);
  if (Fails(scheduler_.plan().send_error)) {
    descriptor->send = nullptr;
    descriptor->connection->Break(0);
    Finish(fd, op, random().Pick<int>({-EPIPE, -ECONNRESET, -ETIMEDOUT}));
    return;
  }
  PokeStream(fd);
}

void SimIo::PokeStream(int fd) {
  Descriptor* descriptor = descriptors_[fd].get();
  const uint64_t generation = descriptor->generation;
  if (descriptor->recv != nullptr && !descriptor->recv_busy &&
      descriptor->connection->readable(0)) {
    descriptor->recv_busy = true;
    DurationNs delay = scheduler_.Delay();
    if (random().Chance(scheduler_.plan().stall_receive)) {
      ++counts_.buffers_exhausted;
      delay += random().Between(0, 500 * kMillisecond);
    }
    scheduler_.After(delay, [this, fd, generation] {
      if (Still(fd, generation) != nullptr) TryRecv(fd);
    });
  }
  if (descriptor->send != nullptr && !descriptor->send_busy &&
      descriptor->connection->writable(0)) {
    descriptor->send_busy = true;
    scheduler_.After(scheduler_.Delay(), [this, fd, generation] {
      if (Still(fd, generation) != nullptr) TrySend(fd);
    });
  }
}

char* SimIo::LendBuffer(uint16_t* id, size_t bytes) {
  // The oldest free one, so that a stale pointer stays poisoned as long as possible.
  *id = free_buffers_.front();
  free_buffers_.erase(free_buffers_.begin());
  lent_[*id] = true;
  ++buffers_lent_;
  Unpoison(buffers_[*id].get(), bytes);
  return buffers_[*id].get();
}

void SimIo::TryRecv(int fd) {
  Descriptor* descriptor = descriptors_[fd].get();
  descriptor->recv_busy = false;
  io::IoOp* op = descriptor->recv;
  if (op == nullptr || !descriptor->connection->readable(0)) return;
  const bool into = Access::kind(*op) == kRecvIntoOp;
  if (!into && free_buffers_.empty()) {
    ++counts_.buffers_exhausted;
    waiting_for_buffer_.emplace_back(fd, descriptor->generation);
    return;
  }
  const size_t unread = descriptor->connection->Unread(0).size();
  if (unread == 0) {
    char none = 0;
    descriptor->recv = nullptr;
    Finish(fd, op, descriptor->connection->Read(0, &none, 1));
    return;
  }
  size_t bytes = std::min(unread, into ? Access::size(*op) : scheduler_.plan().buffer_bytes);
  if (random().Chance(scheduler_.plan().short_receive)) bytes = 1 + random().Below(bytes);
  if (!into) {
    uint16_t id = 0;
    Access::buffer(*op) = LendBuffer(&id, bytes);
    Access::buffer_id(*op) = id;
  }
  const int received = descriptor->connection->Read(0, Access::buffer(*op), bytes);
  CHECK(received == static_cast<int>(bytes));
  descriptor->recv = nullptr;
  Finish(fd, op, received);
}

void SimIo::TrySend(int fd) {
  Descriptor* descriptor = descriptors_[fd].get();
  descriptor->send_busy = false;
  io::IoOp* op = descriptor->send;
  if (op == nullptr || !descriptor->connection->writable(0)) return;
  if (Access::kind(*op) == kPollOp) {
    descriptor->send = nullptr;
    Finish(fd, op, 1);
    return;
  }
  absl::string_view bytes(static_cast<const char*>(Access::data(*op)), Access::size(*op));
  if (XXH64(bytes.data(), bytes.size(), 0) != descriptor->send_hash) {
    Violation(
        absl::StrCat("the bytes of a Send on descriptor ", fd, " changed before it completed"));
  }
  if (random().Chance(scheduler_.plan().short_send)) {
    bytes = bytes.substr(0, 1 + random().Below(bytes.size()));
  }
  const int sent = descriptor->connection->Write(0, bytes);
  if (sent == -EAGAIN) return;  // the window filled meanwhile; the connection tells us
  descriptor->send = nullptr;
  Finish(fd, op, sent);
}

io::IoOp** SimIo::SlotOf(Descriptor* descriptor, const io::IoOp* op) {
  for (io::IoOp** slot :
       {&descriptor->accept, &descriptor->connect, &descriptor->recv, &descriptor->send}) {
    if (*slot == op) return slot;
  }
  return nullptr;
}

void SimIo::Cancel(io::IoOp* op) {
  if (!op->in_flight()) return;
  const int fd = FdOf(*op);
  const auto found = descriptors_.find(fd);
  // Not in its slot: the result is already on its way, and the cancel comes too late.
  if (found == descriptors_.end() || SlotOf(found->second.get(), op) == nullptr) return;
  // Acts at the beginning of the next turn, where the operation may still be faster. No callback
  // runs in between, so the slot cannot hold a later use of the same IoOp.
  scheduler_.After(0, [this, op, fd, generation = found->second->generation] {
    Descriptor* descriptor = Still(fd, generation);
    io::IoOp** slot = descriptor == nullptr ? nullptr : SlotOf(descriptor, op);
    if (slot == nullptr) return;
    if (slot == &descriptor->connect) descriptor->kind = Descriptor::Kind::kSocket;
    *slot = nullptr;
    Finish(fd, op, -ECANCELED);
  });
}

void SimIo::ReturnBuffer(io::IoOp* op) {
  char*& buffer = Access::buffer(*op);
  if (buffer == nullptr) return;
  const uint16_t id = Access::buffer_id(*op);
  if (id == kOwnBuffer) {
    buffer = nullptr;
    return;
  }
  if (id >= buffers_.size() || buffers_[id].get() != buffer || !lent_[id]) {
    Violation("ReturnBuffer of a buffer that was not lent");
    buffer = nullptr;
    return;
  }
  const size_t size = scheduler_.plan().buffer_bytes;
  Unpoison(buffer, size);
  std::memset(buffer, kPoison, size);
  Poison(buffer, size);
  buffer = nullptr;
  lent_[id] = false;
  --buffers_lent_;
  free_buffers_.push_back(id);
  // All of them: the first in line may be cancelled before it gets here.
  std::deque<std::pair<int, uint64_t>> waiting;
  waiting.swap(waiting_for_buffer_);
  for (const auto& [fd, generation] : waiting) {
    if (Still(fd, generation) != nullptr) PokeStream(fd);
  }
}

// --- the loop ------------------------------------------------------------------------------------

void SimIo::RunOnce(DurationNs wait_max) {
  ++counts_.turns;
  const bool woken = woken_.exchange(false);
  TimeNs start = scheduler_.now() + kTurnCost;
  if (!woken && ready_.empty()) {
    TimeNs next = std::min(scheduler_.NextTime(), timers_.NextDeadline());
    if (wait_max >= 0 && wait_max < kNever - start) next = std::min(next, start + wait_max);
    // With nothing to wait for, the clock stands still; quiet() says so.
    if (next != kNever) start = std::max(start, next);
  }
  if (random().Chance(scheduler_.plan().late_turn)) start += random().Between(0, 40 * kMillisecond);
  scheduler_.AdvanceTo(start);
  turn_start_ = start;
  scheduler_.RunDue();

  std::vector<Ready> batch;
  batch.swap(ready_);
  Shuffle(&batch);
  for (const Ready& ready : batch) {
    const int fd = FdOf(*ready.op);
    if (Descriptor* descriptor = Still(fd, ready.generation); descriptor != nullptr) {
      --descriptor->undelivered;
      if (ready.more) {
        descriptor->accept_busy = false;
        PokeAccept(fd);
      }
    }
    Complete(ready.op, ready.result, ready.more);
  }
  timers_.Advance(turn_start_);
}

void SimIo::Shuffle(std::vector<Ready>* batch) {
  for (size_t i = batch->size(); i > 1; --i) {
    std::swap((*batch)[i - 1], (*batch)[random().Below(i)]);
  }
  // The results of one operation stay in order: accepted connections, then how accepting ended.
  for (Ready& last : *batch) {
    if (last.more || Access::kind(*last.op) != kAcceptOp) continue;
    for (Ready* later = &last + 1; later != batch->data() + batch->size(); ++later) {
      if (later->op != last.op) continue;
      std::swap(last, *later);
      break;
    }
  }
}

}  // namespace postern::sim
