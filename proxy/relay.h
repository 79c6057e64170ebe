// The joined part of a session: two pipes, client to upstream and upstream to client.
//
// Each pipe holds at most one chunk: it receives again only when the chunk before has been taken
// by the other side's kernel. Output that nobody reads therefore stops our reading; nothing is
// queued without bound. In the middle of a long transfer the chunk is larger (BulkPool), and in the
// clear on both sides it passes through a pipe inside the kernel, but for the last bytes that have
// arrived: those are read, so that the end of the response is seen (relay_bulk.cc).
//
//   state      receive  send to   leaves by
//              source   target
//   kReading      1        0      data -> kWriting; end -> kEnded; error -> see below
//   kWriting      0        1      all taken -> kReading (kEnded when the source has ended)
//   kEnded        0        0      the source has said its last byte and it is delivered
//
//   Endings, client's side:
//     end, QUIT delivered        wait for the upstream's answer and end      -> kQuit
//     end, answers outstanding   hold the end back until they are delivered, then as below
//     end                        half-close the upstream, wait for its end   -> kClientClosed
//     error, QUIT delivered      drop what is meant for the client, wait for the upstream's end,
//                                at most the linger                         -> kQuit
//     error                      close the upstream without QUIT             -> kClientReset
//   Endings, upstream's side:
//     end or error inside a response   deliver what came, then reset the client, also on TLS
//                                                                            -> kUpstreamTruncated
//     end or error instead of the answer to QUIT
//                                      close_notify, FIN; nobody knows whether the QUIT was carried
//                                      out                                   -> kUpstreamClosed
//     end or error between responses   deliver, close_notify, FIN
//                                             -> kQuit, kClientClosed or kUpstreamClosed
//   Impossible: kReading or kWriting without its operation in flight; any operation in flight when
//   the relay is done.
//
// The bytes are counted, never changed. Embedded in a Session; worker thread
// only.
#ifndef POSTERN_PROXY_RELAY_H_
#define POSTERN_PROXY_RELAY_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/time.h"
#include "proxy/bulk_pool.h"
#include "proxy/channel.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"
#include "proxy/pop3/relay_counter.h"

namespace postern {

class Relay {
 public:
  // `bulk` and `scratch` are the worker's; the latter is used only inside a call. `linger` bounds
  // the wait for the other side's end.
  Relay(Channel* client, Channel* upstream, BulkPool* bulk, char* scratch, size_t scratch_bytes,
        DurationNs linger);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  // Joins the two channels until one reason to stop is found and nothing is in flight. Bytes
  // already read from either side are delivered first. Afterwards the upstream is stopped; the
  // client is stopped, or (when it may still be sending) open for a last orderly close.
  coro::Task<CloseReason> Run();

  // Ends the relay for a reason of our own. A client in the middle of a response will be reset.
  void Cancel(CloseReason reason);

  // Whether it could be ended now without cutting anything short: no command is being answered.
  bool between_responses() const;

  // Whether the client has had its answer to QUIT, so that all that is left is the upstream's end.
  bool quit_answered() const;

  // Whether the client must see a reset and not an orderly end.
  bool abort_client() const { return abort_client_; }
  TimeNs last_activity() const { return last_activity_; }
  uint64_t bytes_from_client() const { return pipes_[kUp].bytes; }
  uint64_t bytes_from_upstream() const { return pipes_[kDown].bytes; }
  // Of those: passed on inside the kernel.
  uint64_t bytes_moved() const { return bytes_moved_; }
  const pop3::RelayCounter& counter() const { return counter_; }

 private:
  enum class State : uint8_t { kReading, kWriting, kEnded };
  struct Pipe {
    Channel* source = nullptr;
    Channel* target = nullptr;
    uint64_t bytes = 0;
    State state = State::kReading;
    bool source_ended = false;  // nothing more will come; what came may still be on its way
    bool long_transfer = false;
    char* block = nullptr;  // a large buffer, while the transfer is long
  };
  static constexpr int kUp = 0;    // client to upstream
  static constexpr int kDown = 1;  // upstream to client

  static void OnReceived(Channel& channel, int result, void* owner);
  static void OnSent(Channel& channel, int result, void* owner);
  static void OnLinger(io::Timer& timer, void* owner);

  void Start();
  void Received(Pipe& pipe, int result);
  void Sent(Pipe& pipe, int result);
  // Hands received bytes to the other side; returns what the source's engine said about its end.
  tls::Result Forward(Pipe& pipe);
  void Deliver(Pipe& pipe, absl::string_view bytes);
  void Count(Pipe& pipe, absl::string_view bytes);
  // Whether the answer to QUIT is through and nothing else is outstanding: what the client gets now
  // is the last it gets. Its end, close_notify and FIN, leaves together with it.
  bool AtLastWord() const;
  void SayGoodbye();
  void EndTowardsClient();
  // Sends what Deliver() queued, or reads on, or meets the end.
  void Advance(Pipe& pipe);
  // relay_bulk.cc: long transfers.
  void Receive(Pipe& pipe);
  void NoteLength(Pipe& pipe, size_t received);
  size_t MovableBytes();
  bool MoveInKernel();
  bool DrainKernelPipe();
  void PollClient();
  void DropKernelPipe();
  void GiveBack();
  void SourceFailed(Pipe& pipe, bool tls);
  void TargetFailed(Pipe& pipe);
  void PipeEnded(Pipe& pipe);
  void ClientEnded();
  void UpstreamEnded();
  void HalfCloseUpstream();
  bool InsideResponse() const;
  void ArmLinger();
  void End(CloseReason reason, bool abort_client);
  void ContinueEnding();
  void Join();

  Pipe pipes_[2];
  BulkPool* bulk_;
  io::KernelPipe kernel_pipe_;  // downwards
  uint64_t bytes_moved_ = 0;
  bool polling_ = false;  // the client's next completion is that of a poll
  char* scratch_;
  size_t scratch_bytes_;
  DurationNs linger_ns_;
  TimeNs last_activity_ = 0;
  CloseReason reason_ = CloseReason::kNone;
  bool abort_client_ = false;
  bool upstream_broken_ = false;  // writing to the upstream failed
  bool client_broken_ = false;    // writing to the client failed: its output is dropped
  bool client_failed_tls_ = false;
  bool half_close_due_ = false;  // the client ended while answers are outstanding
  bool half_closed_ = false;
  bool said_goodbye_ = false;  // what the upstream may still say is dropped
  bool ending_ = false;
  bool done_ = false;
  pop3::RelayCounter counter_;
  io::Timer linger_;
  coro::Wake wake_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_RELAY_H_
