// One place for a session: it is used for one after the other. Worker thread only.
#ifndef POSTERN_BENCH_LOAD_CLIENT_H_
#define POSTERN_BENCH_LOAD_CLIENT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "bench/load/options.h"
#include "bench/load/results.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/channel.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"
#include "proxy/io/io.h"
#include "tls/context.h"

namespace postern::load {

class Client;

class ClientOwner {
 public:
  virtual ~ClientOwner() = default;
  // The session is over and its socket closed; another may be started, but not from within this
  // call.
  virtual void OnSessionOver(Client* client) = 0;
  // Script::kIdle: one more session is logged in and silent.
  virtual void OnIdle() = 0;
};

// What a thread lends its clients.
struct ThreadContext {
  const Options* options = nullptr;
  io::Io* io = nullptr;
  BlockPool* blocks = nullptr;
  const tls::ClientContext* tls = nullptr;  // null without TLS
  Results* results = nullptr;
  ClientOwner* owner = nullptr;
};

class Client : public ListNode<Client> {
 public:
  explicit Client(ThreadContext* context);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // `intended` is when the session should have begun: its latency counts from there. `source` is
  // null for any address.
  void Start(std::string user, const SocketAddress* source, TimeNs intended);
  // Ends the session soon.
  void Cancel();

 private:
  coro::Task<void> Run();
  // The steps of a session. Anything but kGood ends it.
  coro::Task<Ending> Converse();
  coro::Task<Ending> Open();
  coro::Task<Ending> ShakeHands();
  coro::Task<Ending> ReadGreeting();
  coro::Task<Ending> LogIn();
  coro::Task<Ending> Fetch();
  coro::Task<Ending> Retrieve(uint64_t index);
  coro::Task<Ending> Hold();
  coro::Task<Ending> Quit();
  // Sends command_ and reads a status line into line_; `wanted` is the ending of an -ERR.
  coro::Task<Ending> Ask(Ending refused);
  coro::Task<Ending> ReadLine();

  Ending Judge(Outcome outcome);
  Ending Fail(Ending ending, absl::string_view example);
  void CountHandshake();
  static void OnPause(io::Timer& timer, void* owner);
  static void OnDone(void* owner);

  ThreadContext* context_;
  io::Io* io_;
  Channel channel_;
  std::string user_;
  const SocketAddress* source_ = nullptr;
  TimeNs intended_ = 0;
  TimeNs began_ = 0;
  const char* step_ = "";
  std::string command_;
  std::string line_;
  uint64_t last_number_ = 0;  // of the latest message that was checked
  io::Timer pause_;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_CLIENT_H_
