// sim::SimIo: a seeded, single-threaded world in virtual time behind the Io interface.
//
// The code under test sees sockets, completions and timers as it does with UringIo; peers of the
// test are Endpoints driven by scheduler actions. One seed decides every delay, split, window, the
// order of completions and every injected error, so a failure is one number long.
//
// A turn computes the results of a batch of operations first ("the kernel has done them"), then
// delivers them in random order. So a callback may shut down, cancel or reset something whose
// completion is already on its way, as with a real ring.
//
// What the code under test does wrong is collected in violations(): use of a descriptor after
// Close, a double close, a close with operations in flight, a second receive on one descriptor, a
// buffer returned twice or still held, bytes changed while a send was reading them. Receive buffers
// are poisoned when they are not lent (address sanitizer) and overwritten when returned.
#ifndef POSTERN_TESTS_SIM_SIM_IO_H_
#define POSTERN_TESTS_SIM_SIM_IO_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/io.h"
#include "tests/sim/connection.h"
#include "tests/sim/scheduler.h"

namespace postern::sim {

// What becomes of one connection attempt to a virtual backend.
struct ConnectAnswer {
  enum class Kind {
    kAccept,
    kRefuse,       // -ECONNREFUSED
    kBlackhole,    // silence, after 130 s -ETIMEDOUT
    kUnreachable,  // -EHOSTUNREACH
    kReset,        // -ECONNRESET: taken, and dropped before this side was told
  };
  Kind kind = Kind::kAccept;
  DurationNs delay = 0;
};

class SimIo final : public io::Io {
 public:
  SimIo(uint64_t seed, const FaultPlan& plan);
  ~SimIo() override;

  // --- Io ---------------------------------------------------------------------------------------
  TimeNs Now() const override { return turn_start_; }
  int OpenSocket(int family) override;
  void Shutdown(int fd, int how) override;
  void SetAbortiveClose(int fd) override;
  void EnableKeepalive(int fd) override { Find(fd, "EnableKeepalive"); }
  void Close(int fd) override;
  SocketAddress PeerAddress(int fd) override;
  SocketAddress LocalAddress(int fd) override;
  void Accept(int listen_fd, io::IoOp* op) override;
  void Connect(int fd, const SocketAddress& address, io::IoOp* op) override;
  void Recv(int fd, io::IoOp* op) override;
  void RecvInto(int fd, char* buffer, size_t capacity, io::IoOp* op) override;
  void Send(int fd, absl::string_view bytes, io::IoOp* op) override;
  void PollSend(int fd, io::IoOp* op) override;
  void Cancel(io::IoOp* op) override;
  void ReturnBuffer(io::IoOp* op) override;
  bool OpenPipe(io::KernelPipe* pipe) override;
  void ClosePipe(io::KernelPipe* pipe) override;
  size_t ReadableBytes(int fd) override;
  ssize_t MoveIn(int fd, io::KernelPipe* pipe, size_t bytes_max) override;
  ssize_t MoveOut(io::KernelPipe* pipe, int fd) override;
  void RunOnce(DurationNs wait_max) override;
  void Wake() override { woken_.store(true); }

  // --- the world, for tests ---------------------------------------------------------------------

  // A descriptor the code under test accepts from. It closes it like any other.
  int Listen(const SocketAddress& local);
  // A client of that listener. Never fails at once: a closed listener resets it.
  Endpoint* ConnectTo(const SocketAddress& listener, const SocketAddress& client);

  // A backend at `address`. `answer` is asked for each attempt (empty: accept at once); `accepted`
  // gets the backend's end of each connection. Unknown addresses refuse, unknown unix paths do not
  // exist.
  void AddBackend(const SocketAddress& address, std::function<ConnectAnswer()> answer,
                  std::function<void(Endpoint*)> accepted);
  void RemoveBackend(const SocketAddress& address);

  // Forgets an operation whose descriptor was closed under it, so that a test of that very mistake
  // can end.
  void Abandon(io::IoOp* op);

  Scheduler& scheduler() { return scheduler_; }
  Random& random() { return scheduler_.random(); }
  // Nothing is scheduled and no timer armed: without a new push nothing ever happens again.
  bool quiet() const { return scheduler_.pending() == 0 && ready_.empty() && timers_.armed() == 0; }

  size_t open_descriptors() const { return descriptors_.size(); }
  size_t open_pipes() const { return pipes_.size(); }
  // Bytes that went from socket to socket through a pipe.
  uint64_t bytes_moved() const { return bytes_moved_; }
  size_t buffers_lent() const { return buffers_lent_; }
  // Operations counted for FaultPlan::fail_operation.
  uint64_t operations() const { return operations_; }
  uint64_t errors_injected() const { return errors_injected_; }
  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t trace_hash() const { return scheduler_.trace_hash(); }

 private:
  struct Descriptor {
    enum class Kind { kSocket, kConnecting, kStream, kListener };
    Kind kind = Kind::kSocket;
    uint64_t generation = 0;
    Connection* connection = nullptr;  // kStream: this side is end 0
    SocketAddress local;
    SocketAddress peer;
    bool abortive = false;
    io::IoOp* accept = nullptr;
    io::IoOp* connect = nullptr;
    io::IoOp* recv = nullptr;
    io::IoOp* send = nullptr;
    // An attempt at the operation is scheduled, or its result waits for delivery.
    bool accept_busy = false;
    bool recv_busy = false;
    bool send_busy = false;
    uint64_t send_hash = 0;
    int undelivered = 0;  // results computed and not yet delivered
    struct Waiting {
      Connection* connection;
      SocketAddress client;
    };
    std::deque<Waiting> backlog;  // kListener
  };
  struct Backend {
    SocketAddress address;
    std::function<ConnectAnswer()> answer;
    std::function<void(Endpoint*)> accepted;
  };
  struct Ready {
    io::IoOp* op;
    int result;
    bool more;
    uint64_t generation;  // of the descriptor
  };
  enum OpKind : uint8_t { kAcceptOp = 1, kConnectOp, kRecvOp, kRecvIntoOp, kSendOp, kPollOp };
  using Access = io::IoOpAccess<SimIo>;

  void Violation(const std::string& text);
  // Null, and a violation, when `fd` is not open.
  Descriptor* Find(int fd, const char* what);
  // The descriptor an action was scheduled for, unless it is gone or its number reused.
  Descriptor* Still(int fd, uint64_t generation);
  int NewDescriptor(Descriptor descriptor);
  Connection* NewConnection();
  Endpoint* NewEndpoint(Connection* connection);
  void Watch(int fd);

  // Counts one operation; whether the plan wants it to fail.
  bool Fails(double chance);
  void Finish(int fd, io::IoOp* op, int result, bool more = false);
  static io::IoOp** SlotOf(Descriptor* descriptor, const io::IoOp* op);
  void Shuffle(std::vector<Ready>* batch);
  void PokeAccept(int fd);
  void PokeStream(int fd);
  void TryAccept(int fd);
  void BeginRecv(int fd, io::IoOp* op);
  void BeginSend(int fd, io::IoOp* op);
  void TryRecv(int fd);
  void TrySend(int fd);
  void FinishConnect(int fd, const SocketAddress& address, ConnectAnswer::Kind kind);
  Backend* FindBackend(const SocketAddress& address);
  char* LendBuffer(uint16_t* id, size_t bytes);

  Scheduler scheduler_;
  TimeNs turn_start_;
  std::atomic<bool> woken_{false};
  std::map<int, std::unique_ptr<Descriptor>> descriptors_;
  uint64_t generation_ = 0;
  int next_fd_ = 100;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<Backend> backends_;
  std::vector<Ready> ready_;

  std::vector<std::unique_ptr<char[]>> buffers_;
  std::vector<uint16_t> free_buffers_;
  std::vector<bool> lent_;
  size_t buffers_lent_ = 0;
  std::deque<std::pair<int, uint64_t>> waiting_for_buffer_;

  std::map<int, std::string> pipes_;  // by the number of the reading end
  uint64_t bytes_moved_ = 0;

  uint64_t operations_ = 0;
  uint64_t errors_injected_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_SIM_IO_H_
