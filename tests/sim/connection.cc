#include "tests/sim/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/base/check.h"

namespace postern::sim {

Connection::Connection(Scheduler* scheduler, uint64_t id) : scheduler_(scheduler), id_(id) {
  const FaultPlan& plan = scheduler->plan();
  for (End& end : ends_) {
    end.window = static_cast<size_t>(scheduler->random().Between(
        static_cast<int64_t>(plan.window_min), static_cast<int64_t>(plan.window_max)));
  }
}

void Connection::SetChanged(int end, std::function<void()> changed) {
  ends_[end].changed = std::move(changed);
  Notify(end);
}

void Connection::Notify(int end) {
  End& self = ends_[end];
  if (self.notifying || !self.changed) return;
  self.notifying = true;
  scheduler_->After(scheduler_->Delay(), [this, end] {
    End& notified = ends_[end];
    notified.notifying = false;
    if (!notified.changed) return;
    // A copy: the callee may replace or drop its own callback.
    const std::function<void()> changed = notified.changed;
    changed();
  });
}

absl::string_view Connection::Unread(int end) const {
  const End& self = ends_[end];
  return absl::string_view(self.unread).substr(self.consumed);
}

bool Connection::readable(int end) const {
  const End& self = ends_[end];
  return UnreadBytes(self) > 0 || self.fin_arrived || self.reset || self.shut_read;
}

int Connection::Read(int end, char* buffer, size_t capacity) {
  End& self = ends_[end];
  CHECK(!self.closed);
  if (const size_t unread = UnreadBytes(self); unread > 0) {
    const size_t bytes = std::min(unread, capacity);
    std::memcpy(buffer, self.unread.data() + self.consumed, bytes);
    self.consumed += bytes;
    if (self.consumed == self.unread.size()) {
      self.unread.clear();
      self.consumed = 0;
    }
    Notify(1 - end);  // the window opens
    return static_cast<int>(bytes);
  }
  if (self.fin_arrived) return 0;  // Linux looks at the FIN before the error
  if (self.pending_error != 0) return -std::exchange(self.pending_error, 0);
  if (self.reset || self.shut_read) return 0;
  return -EAGAIN;
}

bool Connection::writable(int end) const {
  const End& self = ends_[end];
  if (self.reset || self.shut_write) return true;
  return self.in_flight + UnreadBytes(ends_[1 - end]) < self.window;
}

int Connection::Write(int end, absl::string_view bytes) {
  End& self = ends_[end];
  CHECK(!self.closed);
  const bool broken = self.pending_error != 0 || self.reset;
  if (broken && self.keeps_written) self.written.append(bytes.data(), bytes.size());
  if (self.pending_error != 0) return -std::exchange(self.pending_error, 0);
  if (self.reset || self.shut_write) return -EPIPE;
  const size_t used = self.in_flight + UnreadBytes(ends_[1 - end]);
  if (used >= self.window) return -EAGAIN;
  Random& random = scheduler_->random();
  const size_t taken = std::min(bytes.size(), self.window - used);
  if (self.keeps_written) self.written.append(bytes.data(), taken);
  for (size_t at = 0; at < taken;) {
    size_t piece = taken - at;
    if (piece > 1 && random.Chance(scheduler_->plan().split_segment)) {
      piece = 1 + random.Below(piece);
    }
    const uint64_t offset = self.sent;
    self.sent += piece;
    self.in_flight += piece;
    scheduler_->At(NextArrival(&self),
                   [this, to = 1 - end, offset, text = std::string(bytes.substr(at, piece))] {
                     Arrive(to, offset, text);
                   });
    at += piece;
  }
  return static_cast<int>(taken);
}

TimeNs Connection::NextArrival(End* from) {
  from->last_arrival = std::max(from->last_arrival, scheduler_->now() + scheduler_->Delay());
  return from->last_arrival;
}

void Connection::Arrive(int to, uint64_t offset, const std::string& bytes) {
  End& self = ends_[to];
  End& from = ends_[1 - to];
  from.in_flight -= bytes.size();
  scheduler_->Trace(id_ << 48 ^ static_cast<uint64_t>(to) << 40 ^ (offset << 16) ^ bytes.size());
  if (self.reset || offset >= from.cut) return;
  if (self.closed || (self.shut_read && self.shut_write)) {
    // Nobody can read this any more (Linux: TCPAbortOnData, RFC 1122 4.2.2.13).
    SendReset(to, /*overtakes=*/false);
    if (!self.closed) {
      self.reset = true;
      self.pending_error = ECONNRESET;
      Notify(to);
    }
    return;
  }
  const size_t kept = std::min<uint64_t>(bytes.size(), from.cut - offset);
  self.unread.append(bytes, 0, kept);
  Notify(to);
}

void Connection::ShutdownRead(int end) {
  ends_[end].shut_read = true;
  Notify(end);
}

void Connection::ShutdownWrite(int end) {
  End& self = ends_[end];
  if (self.shut_write || self.reset) return;
  self.shut_write = true;
  scheduler_->At(NextArrival(&self), [this, to = 1 - end] { ArriveFin(to); });
  Notify(end);
}

void Connection::ArriveFin(int to) {
  End& self = ends_[to];
  const End& from = ends_[1 - to];
  if (self.reset || self.closed || from.cut < from.sent) return;  // lost with the bytes before it
  self.fin_arrived = true;
  Notify(to);
}

void Connection::Close(int end) {
  End& self = ends_[end];
  CHECK(!self.closed);
  if (UnreadBytes(self) > 0) {
    Reset(end);
    return;
  }
  ShutdownWrite(end);
  self.closed = true;
  self.changed = nullptr;
}

void Connection::Reset(int end) {
  End& self = ends_[end];
  CHECK(!self.closed);
  self.closed = true;
  self.changed = nullptr;
  self.closed_by_reset = true;
  self.unread.clear();
  self.consumed = 0;
  SendReset(end, /*overtakes=*/true);
}

void Connection::SendReset(int from, bool overtakes) {
  End& self = ends_[from];
  if (self.reset_sent || self.reset) return;
  self.reset_sent = true;
  // Whoever resets throws away what has not left the machine yet; some of it has.
  if (overtakes) self.cut = self.sent - scheduler_->random().Below(self.in_flight + 1);
  scheduler_->At(NextArrival(&self), [this, to = 1 - from] { ArriveReset(to); });
}

void Connection::ArriveReset(int to) {
  End& self = ends_[to];
  if (self.reset || self.closed) return;
  self.reset = true;
  // A FIN seen before turns the error into EPIPE; a reader then finds the plain end.
  self.pending_error = self.fin_arrived ? EPIPE : ECONNRESET;
  Notify(to);
}

void Connection::Break(int end) {
  broken_ = true;
  End& self = ends_[end];
  if (self.reset) return;
  if (!self.closed) SendReset(end, /*overtakes=*/true);
  self.reset = true;
  self.unread.clear();
  self.consumed = 0;
  Notify(end);
}

}  // namespace postern::sim
