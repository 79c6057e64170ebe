// One connection to the synthetic store, from accept to close.
//
// A message is made while it is sent, one piece at a time: a client that does not read costs one
// piece of memory, and an idle one none. Worker thread only.
#ifndef POSTERN_BENCH_MAILDROP_SESSION_H_
#define POSTERN_BENCH_MAILDROP_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/maildrop/deletions.h"
#include "bench/maildrop/dialogue.h"
#include "bench/maildrop/options.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/channel.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"
#include "proxy/io/io.h"
#include "tls/context.h"

namespace postern::maildrop {

class Session;

class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // The session is over and may be deleted once the current callback has returned.
  virtual void OnSessionOver(Session* session) = 0;
};

// What a thread lends its sessions.
struct ThreadContext {
  // Messages are made in pieces of this size: a few TLS records or some dozens of segments.
  static constexpr size_t kPieceBytes = 65536;

  const Options* options = nullptr;
  Deletions* deletions = nullptr;
  io::Io* io = nullptr;
  BlockPool* blocks = nullptr;
  const tls::ServerContext* tls = nullptr;  // null when no listener needs it
  SessionOwner* owner = nullptr;
  std::vector<char> scratch = std::vector<char>(kPieceBytes);
};

class Session : public ListNode<Session> {
 public:
  // Takes over the accepted socket `fd`.
  Session(ThreadContext* context, ListenTls tls, Fault fault, int fd);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  void Start();
  // Ends it soon.
  void Cancel();

 private:
  coro::Task<void> Run();
  // PROXY header, handshake, greeting. False, here and below: the session is over.
  [[gnu::noinline]] coro::Task<bool> Begin();
  // Answers all commands at hand.
  [[gnu::noinline]] coro::Task<bool> Work();
  // Reads the PROXY protocol header.
  coro::Task<bool> ReadHeader();
  // `early` is what the client sent already.
  coro::Task<bool> ShakeHands(absl::string_view early);
  coro::Task<bool> Carry(Answer answer);
  coro::Task<bool> SendMessage(size_t index, uint64_t body_lines);
  coro::Task<bool> SendListing(bool unique_ids);
  coro::Task<bool> Flush();
  coro::Task<void> Pause(DurationNs duration);
  [[gnu::noinline]] coro::Task<void> CloseUp();
  void LogLogin() const;
  static void OnPause(io::Timer& timer, void* owner);
  static void OnDone(void* owner);

  ThreadContext* context_;
  io::Io* io_;
  ListenTls tls_;
  bool reset_ = false;
  Channel channel_;
  Dialogue dialogue_;
  io::Timer pause_;
  coro::Wake pause_wake_;
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_SESSION_H_
