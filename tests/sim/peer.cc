#include "tests/sim/peer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/base/check.h"

namespace postern::sim {

Peer::Peer(SimIo* world, Endpoint* endpoint)
    : world_(world), endpoint_(endpoint), alive_(std::make_shared<bool>(true)) {}

Peer::~Peer() {
  *alive_ = false;
  if (!endpoint_->closed()) endpoint_->SetChanged(nullptr);
}

void Peer::Begin() {
  if (begun_ || endpoint_->closed()) return;
  begun_ = true;
  endpoint_->SetChanged([this] { Changed(); });
  PumpSoon();
}

void Peer::After(DurationNs delay, void (Peer::*method)()) {
  world_->scheduler().After(delay, [this, method, alive = alive_] {
    if (*alive) (this->*method)();
  });
}

void Peer::Add(Step step) {
  steps_.push_back(std::move(step));
  PumpSoon();
}

void Peer::Say(absl::string_view text) {
  if (!text.empty()) Add({Step::Kind::kText, std::string(text), 0, nullptr, nullptr});
}
void Peer::SayRaw(absl::string_view wire) {
  if (!wire.empty()) Add({Step::Kind::kRaw, std::string(wire), 0, nullptr, nullptr});
}
void Peer::Pause(DurationNs duration) { Add({Step::Kind::kPause, "", duration, nullptr, nullptr}); }
void Peer::CloseNotify() { Add({Step::Kind::kCloseNotify, "", 0, nullptr, nullptr}); }
void Peer::HalfClose() { Add({Step::Kind::kHalfClose, "", 0, nullptr, nullptr}); }
void Peer::Close() { Add({Step::Kind::kClose, "", 0, nullptr, nullptr}); }
void Peer::Reset() { Add({Step::Kind::kReset, "", 0, nullptr, nullptr}); }
void Peer::Do(std::function<void()> action) {
  Add({Step::Kind::kDo, "", 0, std::move(action), nullptr});
}
void Peer::StartTls(EngineMaker maker) {
  tls_due_ = true;
  Add({Step::Kind::kTls, "", 0, nullptr, std::move(maker)});
}

void Peer::ResetNow() {
  if (!endpoint_->closed()) endpoint_->Reset();
}

void Peer::CloseNow() {
  if (!endpoint_->closed()) endpoint_->Close();
}

void Peer::SetReading(bool reading) {
  reading_ = reading;
  if (reading) Changed();
}

void Peer::Changed() {
  if (endpoint_->closed()) return;
  ReadSome();
  Pump();
}

// --- output --------------------------------------------------------------------------------------

void Peer::PumpSoon() {
  if (!begun_ || pump_scheduled_) return;
  pump_scheduled_ = true;
  const TimeNs now = world_->scheduler().now();
  After(std::max({paused_until_, write_not_before_, now}) - now, &Peer::PumpNow);
}

void Peer::PumpNow() {
  pump_scheduled_ = false;
  Pump();
}

void Peer::Pump() {
  while (!endpoint_->closed()) {
    if (std::max(paused_until_, write_not_before_) > world_->scheduler().now()) return PumpSoon();
    if (!wire_.empty()) {
      if (!PumpWire()) return;
    } else if (steps_.empty() || !TakeStep()) {
      return;
    }
  }
}

bool Peer::PumpWire() {
  const int written = endpoint_->Write(absl::string_view(wire_).substr(0, pace_.chunk_max));
  if (written == -EAGAIN) return false;
  if (written < 0) {
    deaf_ = true;
    wire_.clear();
    return true;
  }
  wire_.erase(0, static_cast<size_t>(written));
  if (pace_.chunk_delay > 0) {
    write_not_before_ = world_->scheduler().now() + world_->random().Between(0, pace_.chunk_delay);
  }
  return true;
}

bool Peer::TakeStep() {
  Step& step = steps_.front();
  if (step.kind == Step::Kind::kText && tls_ != nullptr && !tls_->handshake_done() && !deaf_) {
    return false;  // behind the handshake
  }
  const Step taken = std::move(step);
  steps_.pop_front();
  switch (taken.kind) {
    case Step::Kind::kText:
      if (deaf_) break;
      if (tls_ == nullptr) {
        wire_ += taken.text;
      } else if (tls_->handshake_done()) {
        tls_->Write(taken.text);
        CollectOutput();
      }
      break;
    case Step::Kind::kRaw:
      if (!deaf_) wire_ += taken.text;
      break;
    case Step::Kind::kPause:
      paused_until_ = world_->scheduler().now() + taken.duration;
      break;
    case Step::Kind::kCloseNotify:
      if (tls_ != nullptr) {
        tls_->Shutdown();
        CollectOutput();
      }
      break;
    case Step::Kind::kHalfClose:
      endpoint_->ShutdownWrite();
      break;
    case Step::Kind::kClose:
      endpoint_->Close();
      break;
    case Step::Kind::kReset:
      endpoint_->Reset();
      break;
    case Step::Kind::kDo:
      taken.action();
      break;
    case Step::Kind::kTls:
      tls_ = taken.maker(&tls_output_);
      tls_due_ = false;
      DriveTls();
      After(0, &Peer::ReadSome);
      break;
  }
  return true;
}

// --- input ---------------------------------------------------------------------------------------

void Peer::PacedRead() {
  read_scheduled_ = false;
  ReadSome();
}

void Peer::ReadSome() {
  while (reading_ && !tls_due_ && !read_scheduled_ && !endpoint_->closed() &&
         endpoint_->readable()) {
    char buffer[8192];
    const int result = endpoint_->Read(buffer, std::min(sizeof(buffer), pace_.read_max));
    if (result > 0) {
      Hear(absl::string_view(buffer, static_cast<size_t>(result)));
    } else if (result == 0) {
      return SetEnd(End::kFin);
    } else if (result != -EAGAIN) {
      return SetEnd(End::kReset);
    }
    if (pace_.read_delay > 0) {
      read_scheduled_ = true;
      After(world_->random().Between(0, pace_.read_delay), &Peer::PacedRead);
    }
  }
}

void Peer::Hear(absl::string_view bytes) {
  if (tls_ != nullptr) return HearCiphertext(bytes);
  heard_.append(bytes.data(), bytes.size());
  OnHeard();
}

void Peer::HearCiphertext(absl::string_view bytes) {
  tls_->SetInput(bytes);
  DriveTls();
}

void Peer::DriveTls() {
  if (!tls_->handshake_done()) {
    const tls::Result result = tls_->Handshake();
    CollectOutput();
    if (result == tls::Result::kError) return SetEnd(End::kTlsError);
    if (result == tls::Result::kClosed) return SetEnd(End::kCloseNotify);
    PumpSoon();
    if (result != tls::Result::kOk) return;
  }
  const size_t before = heard_.size();
  tls::Result result = tls::Result::kOk;
  while (result == tls::Result::kOk) {
    char plaintext[4096];
    size_t size = 0;
    result = tls_->Read(plaintext, sizeof(plaintext), &size);
    if (result == tls::Result::kOk) heard_.append(plaintext, size);
  }
  CollectOutput();
  if (heard_.size() != before) OnHeard();
  if (result == tls::Result::kClosed) SetEnd(End::kCloseNotify);
  if (result == tls::Result::kError) SetEnd(End::kTlsError);
}

void Peer::CollectOutput() {
  if (tls_output_.empty()) return;
  if (!deaf_) wire_.append(tls_output_.data(), tls_output_.size());
  tls_output_.Clear();
  PumpSoon();
}

void Peer::SetEnd(End end) {
  if (end_ != End::kNone) return;
  end_ = end;
  world_->scheduler().Trace(0xE000u + static_cast<uint64_t>(end) + (id() << 20));
  OnEnd();
}

}  // namespace postern::sim
