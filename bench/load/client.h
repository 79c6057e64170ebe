// One place for a session: it is used for one after the other. Worker thread only.
#ifndef POSTERN_BENCH_LOAD_CLIENT_H_
#define POSTERN_BENCH_LOAD_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/load/options.h"
#include "bench/load/results.h"
#include "bench/load/script.h"
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
  virtual void OnSessionOver(Client* client, Ending ending) = 0;
  // Verb::kIdle: one more session is logged in and silent.
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

// What one session is to do.
struct SessionPlan {
  std::string user;
  absl::string_view password;
  bool wrong = false;  // the password is meant to be refused
  // Null for any address.
  const SocketAddress* source = nullptr;
  // When the session should begin: its latency counts from there.
  TimeNs intended = 0;
  // Null: `own_script`.
  const Script* script = nullptr;
  Script own_script;
  // 64 bits of this session's own.
  uint64_t random = 0;
};

class Client : public ListNode<Client> {
 public:
  explicit Client(ThreadContext* context);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  void Start(SessionPlan plan);
  // Ends the session soon.
  void Cancel();

 private:
  coro::Task<void> Run();
  // The steps of a session. Anything but kGood ends it.
  coro::Task<Ending> Converse();
  coro::Task<Ending> Perform(const Step* step);
  coro::Task<Ending> Open();
  coro::Task<Ending> ShakeHands();
  coro::Task<Ending> ReadGreeting();
  coro::Task<Ending> LogIn();
  coro::Task<Ending> Prove();
  coro::Task<Ending> Stat();
  coro::Task<Ending> List(bool unique_ids);
  coro::Task<Ending> Capabilities();
  coro::Task<Ending> Retrieve(uint64_t index);
  coro::Task<Ending> Top(uint64_t index, uint64_t lines);
  coro::Task<Ending> Delete(uint64_t index);
  coro::Task<Ending> Simple(absl::string_view verb, Span span);
  coro::Task<Ending> Idle(const Step* step);
  coro::Task<Ending> NoopAt(TimeNs intended);
  // Silent until then.
  coro::Task<Ending> WaitUntil(TimeNs until);
  coro::Task<Ending> Quit();
  // After an expected refusal a server may end the connection instead of answering.
  coro::Task<Ending> QuitRefused();
  // Sends command_ and reads a status line into line_; `refused` is the ending of an -ERR.
  coro::Task<Ending> Ask(Ending refused);
  coro::Task<Ending> ReadLine();
  // The body of RETR behind its status line.
  coro::Task<Ending> ReceiveMessage(uint64_t index);
  // Drops a multi-line answer; counts its octets.
  coro::Task<Ending> SkipMultiline();

  uint64_t LastOf(const Step& step) const;
  // One line of LIST or UIDL; false when it is none.
  bool TakeListingLine(bool unique_ids);
  Ending CompareSize(uint64_t index, uint64_t octets);
  Ending Judge(Outcome outcome);
  Ending Fail(Ending ending, absl::string_view example);
  void Record(Span span, TimeNs since);
  void CountHandshake();
  static void OnPause(io::Timer& timer, void* owner);
  static void OnDone(void* owner);

  ThreadContext* context_;
  io::Io* io_;
  Channel channel_;
  SessionPlan plan_;
  const Script* script_ = nullptr;
  TimeNs began_ = 0;
  TimeNs deadline_ = kNever;  // of the whole session
  const char* step_ = "";
  std::string command_;
  std::string line_;
  std::string challenge_;             // --auth apop: of the greeting
  uint64_t last_number_ = 0;          // of the latest message that was checked
  std::optional<uint64_t> messages_;  // as STAT, LIST or UIDL counted them
  std::vector<uint64_t> sizes_;       // as LIST told them; 0: unknown
  uint64_t listed_last_ = 0;          // the highest number in the latest listing
  uint64_t listed_ = 0;               // its lines
  bool deleted_ = false;              // some message, in this session
  bool refused_ = false;              // as expected
  Ending ending_ = Ending::kGood;
  io::Timer pause_;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_CLIENT_H_
