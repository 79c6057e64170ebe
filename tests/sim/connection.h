// One virtual TCP connection: two ends, a bounded byte queue each way, FIN and RST, with the rules
// of Linux where they matter to a proxy.
//
//  * Bytes written are in flight for a while, arrive in order and in any pieces, and count against
//    the window of their direction until they are read.
//  * A reset overtakes what is still in flight: some of it may be lost. What had arrived stays
//    readable, then comes -ECONNRESET once, then the end. A write gets the pending error first,
//    afterwards -EPIPE; whoever asks first takes the error, the other sees a plain end.
//  * Close() with unread bytes sends a reset, and so does an end at which bytes arrive after
//  Close()
//    or after both directions were shut down.
//
// Both sides of a test use it: SimIo for the descriptors of the code under test, Endpoint for
// peers.
#ifndef POSTERN_TESTS_SIM_CONNECTION_H_
#define POSTERN_TESTS_SIM_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/sim/scheduler.h"

namespace postern::sim {

class Connection {
 public:
  // `id` names the connection in traces. Lives as long as the scheduler has events for it: the
  // world keeps connections until it ends.
  Connection(Scheduler* scheduler, uint64_t id);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // `changed` is called from the scheduler, never from inside a call here, whenever something may
  // have become readable or writable at this end, or has ended. Empty: nobody listens.
  void SetChanged(int end, std::function<void()> changed);

  // More than zero: so many bytes. 0: the other side's end. -EAGAIN, -ECONNRESET.
  int Read(int end, char* buffer, size_t capacity);
  bool readable(int end) const;
  absl::string_view Unread(int end) const;
  // How many bytes were taken, -EAGAIN, -EPIPE or -ECONNRESET.
  int Write(int end, absl::string_view bytes);
  bool writable(int end) const;
  // Keeps what is written at this end from now on, whether it will arrive or not: also what a write
  // offers that is told of a reset.
  void KeepWritten(int end) { ends_[end].keeps_written = true; }
  const std::string& written(int end) const { return ends_[end].written; }

  void ShutdownRead(int end);
  void ShutdownWrite(int end);
  void Close(int end);
  // Close() with SO_LINGER 0.
  void Reset(int end);
  // The network kills the connection: this end finds out now, by the error its caller returns, the
  // other one later by a reset.
  void Break(int end);

  bool closed(int end) const { return ends_[end].closed; }
  // The other side's reset has arrived here.
  bool reset_seen(int end) const { return ends_[end].reset; }
  bool fin_seen(int end) const { return ends_[end].fin_arrived; }
  // This end was closed by a reset: on purpose, or because bytes were unread.
  bool closed_by_reset(int end) const { return ends_[end].closed_by_reset; }
  // Break() was used: an error nobody asked for.
  bool broken() const { return broken_; }
  uint64_t id() const { return id_; }

 private:
  struct End {
    std::function<void()> changed;
    bool notifying = false;  // a call of `changed` is already scheduled
    std::string unread;      // arrived here; the first `consumed` bytes have been read
    size_t consumed = 0;
    int pending_error = 0;
    bool fin_arrived = false;
    bool reset = false;  // dead: a reset arrived, or the network broke
    bool shut_read = false;
    bool shut_write = false;
    bool closed = false;
    bool closed_by_reset = false;
    bool reset_sent = false;
    // The direction that leads away from this end.
    size_t window = 0;
    size_t in_flight = 0;
    uint64_t sent = 0;  // bytes ever written
    bool keeps_written = false;
    std::string written;
    uint64_t cut = UINT64_MAX;  // bytes behind this offset are lost
    TimeNs last_arrival = 0;    // keeps the direction in order
  };

  size_t UnreadBytes(const End& end) const { return end.unread.size() - end.consumed; }
  TimeNs NextArrival(End* from);
  void Notify(int end);
  void Arrive(int to, uint64_t offset, const std::string& bytes);
  void ArriveFin(int to);
  // `overtakes`: what is still in flight may be lost.
  void SendReset(int from, bool overtakes);
  void ArriveReset(int to);

  Scheduler* scheduler_;
  uint64_t id_;
  bool broken_ = false;
  End ends_[2];
};

// A test peer's handle on its end of a connection.
class Endpoint {
 public:
  Endpoint(Connection* connection, int end) : connection_(connection), end_(end) {}

  void SetChanged(std::function<void()> changed) {
    connection_->SetChanged(end_, std::move(changed));
  }
  int Read(char* buffer, size_t capacity) { return connection_->Read(end_, buffer, capacity); }
  bool readable() const { return connection_->readable(end_); }
  int Write(absl::string_view bytes) { return connection_->Write(end_, bytes); }
  bool writable() const { return connection_->writable(end_); }
  // What the other side writes, from now on: more than ever arrives where the connection breaks.
  void KeepPeersWords() { connection_->KeepWritten(1 - end_); }
  const std::string& peers_words() const { return connection_->written(1 - end_); }
  void ShutdownWrite() { connection_->ShutdownWrite(end_); }
  void Close() { connection_->Close(end_); }
  void Reset() { connection_->Reset(end_); }
  bool closed() const { return connection_->closed(end_); }
  bool reset_seen() const { return connection_->reset_seen(end_); }
  bool closed_by_reset() const { return connection_->closed_by_reset(end_); }
  bool broken() const { return connection_->broken(); }
  uint64_t id() const { return connection_->id(); }

 private:
  Connection* connection_;
  int end_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_CONNECTION_H_
