#include "proxy/relay.h"

#include <sys/socket.h>

#include <utility>

#include "proxy/base/check.h"

namespace postern {
namespace {

// RFC 8446 section 5: what fits into one record, and about what it adds.
constexpr size_t kRecordBytes = 16384;
constexpr size_t kRecordOverhead = 64;
// From here on skipping the body pays.
constexpr size_t kSkippedBytesMin = 1024;

}  // namespace

Relay::Relay(Channel* client, Channel* upstream, BulkPool* bulk, char* scratch,
             size_t scratch_bytes, DurationNs linger)
    : bulk_(bulk),
      scratch_(scratch),
      scratch_bytes_(scratch_bytes),
      linger_ns_(linger),
      linger_(&Relay::OnLinger, this) {
  pipes_[kUp].source = pipes_[kDown].target = client;
  pipes_[kUp].target = pipes_[kDown].source = upstream;
}

Relay::~Relay() { GiveBack(); }

coro::Task<CloseReason> Relay::Run() {
  const CloseReason none = CloseReason::kNone;
  Start();
  if (!done_) {
    co_await wake_.Wait();
  }
  CHECK(done_ && reason_ != none);
  Channel* client = pipes_[kUp].source;
  client->io()->timers().Disarm(&linger_);
  client->SetRelay(nullptr, nullptr, nullptr);
  pipes_[kUp].target->SetRelay(nullptr, nullptr, nullptr);
  co_return reason_;
}

void Relay::Start() {
  last_activity_ = pipes_[kUp].source->io()->Now();
  for (Pipe& pipe : pipes_) pipe.source->SetRelay(&Relay::OnReceived, &Relay::OnSent, this);
  for (Pipe& pipe : pipes_) {
    pipe.source_ended = pipe.source->end_seen();
    if (!pipe.source->input().empty()) Deliver(pipe, pipe.source->input());
    // The block that is given back here may have held the password.
    pipe.source->ClearInput();
  }
  for (Pipe& pipe : pipes_) pipe.source->set_sensitive(false);
  // The answer to the login may still wait in the client's output: it goes first.
  for (Pipe& pipe : pipes_) {
    if (!ending_) Advance(pipe);
  }
}

void Relay::OnReceived(Channel& channel, int result, void* owner) {
  auto* relay = static_cast<Relay*>(owner);
  Pipe& pipe = relay->pipes_[relay->pipes_[kUp].source == &channel ? kUp : kDown];
  relay->Received(pipe, result);
}

void Relay::OnSent(Channel& channel, int result, void* owner) {
  auto* relay = static_cast<Relay*>(owner);
  Pipe& pipe = relay->pipes_[relay->pipes_[kUp].target == &channel ? kUp : kDown];
  relay->Sent(pipe, result);
}

void Relay::Received(Pipe& pipe, int result) {
  if (ending_) {
    pipe.source->ReturnReceived();
    return ContinueEnding();
  }
  if (result < 0) return SourceFailed(pipe, /*tls=*/false);
  if (result == 0) {
    pipe.source->ReturnReceived();
    pipe.source_ended = true;
    return Advance(pipe);
  }
  last_activity_ = pipe.source->io()->Now();
  NoteLength(pipe, static_cast<size_t>(result));
  const tls::Result end = Forward(pipe);
  if (end == tls::Result::kError) return SourceFailed(pipe, /*tls=*/true);
  if (end == tls::Result::kClosed) pipe.source_ended = true;
  if (&pipe == &pipes_[kDown]) SayGoodbye();
  Advance(pipe);
}

bool Relay::AtLastWord() const { return quit_answered() && !client_broken_; }

void Relay::SayGoodbye() {
  if (said_goodbye_ || !AtLastWord()) return;
  said_goodbye_ = true;
  const Channel* client = pipes_[kDown].target;
  if (client->tls() != nullptr) client->tls()->Shutdown();
}

void Relay::EndTowardsClient() {
  Channel* client = pipes_[kDown].target;
  if (said_goodbye_ && !ending_ && !client_broken_) client->io()->Shutdown(client->fd(), SHUT_WR);
}

tls::Result Relay::Forward(Pipe& pipe) {
  Channel* source = pipe.source;
  if (source->tls() == nullptr) {
    const absl::string_view bytes = source->Received();
    const bool down = &pipe == &pipes_[kDown];
    const bool direct = pipe.target->tls() == nullptr && pipe.target->output_empty() &&
                        !(down && (client_broken_ || said_goodbye_));
    if (!direct) {
      Deliver(pipe, bytes);
      source->ReturnReceived();
      return tls::Result::kWantInput;
    }
    // Plaintext on both sides: the kernel sends from the very buffer it received into, which goes
    // back once it is taken.
    Count(pipe, bytes);
    pipe.target->StartSendBorrowed(bytes, down && AtLastWord());
    return tls::Result::kWantInput;
  }
  source->tls()->SetInput(source->Received());
  tls::Result result = tls::Result::kOk;
  while (result == tls::Result::kOk) {
    size_t bytes = 0;
    result = source->tls()->Read(scratch_, scratch_bytes_, &bytes);
    if (result == tls::Result::kOk) Deliver(pipe, absl::string_view(scratch_, bytes));
  }
  source->ReturnReceived();
  // The engine may have answered by itself (a key update): that must leave although no pipe has
  // anything to say on this side.
  source->StartSend();
  return result;
}

void Relay::Deliver(Pipe& pipe, absl::string_view bytes) {
  // Several records at once: room for all of them before the first is made.
  if (pipe.target->tls() != nullptr && bytes.size() > kRecordBytes) {
    pipe.target->output()->Reserve(bytes.size() + bytes.size() / kRecordBytes * kRecordOverhead);
  }
  Count(pipe, bytes);
  if (&pipe == &pipes_[kDown] && (client_broken_ || said_goodbye_)) return;
  pipe.target->Queue(bytes);
}

void Relay::Count(Pipe& pipe, absl::string_view bytes) {
  pipe.bytes += bytes.size();
  if (&pipe == &pipes_[kUp]) return counter_.OnClientBytes(bytes);
  // Looking for every line end costs a tenth of a long transfer over TLS.
  if (bytes.size() >= kSkippedBytesMin && counter_.alone_in_body()) {
    counter_.SkipBody();
    bytes.remove_prefix(bytes.size() - pop3::RelayCounter::kTailBytes);
  }
  counter_.OnServerBytes(bytes);
}

void Relay::Advance(Pipe& pipe) {
  if (!pipe.target->output_empty()) {
    pipe.state = State::kWriting;
    pipe.target->StartSend(/*last=*/&pipe == &pipes_[kDown] && said_goodbye_);
    return;
  }
  if (pipe.source_ended) return PipeEnded(pipe);
  pipe.state = State::kReading;
  if (!pipe.source->receiving()) Receive(pipe);
  if (pipe.state != State::kReading || ending_) return;
  if (half_close_due_ && &pipe == &pipes_[kDown] && !counter_.response_pending()) {
    HalfCloseUpstream();
  }
}

void Relay::Sent(Pipe& pipe, int result) {
  if (&pipe == &pipes_[kDown] && std::exchange(polling_, false) && result > 0) {
    if (ending_) return ContinueEnding();
    if (DrainKernelPipe()) Advance(pipe);
    return;
  }
  if (result <= 0) {
    if (!ending_) return TargetFailed(pipe);
    if (&pipe == &pipes_[kDown]) client_broken_ = true;
    return ContinueEnding();
  }
  last_activity_ = pipe.target->io()->Now();
  pipe.target->AfterSend(static_cast<size_t>(result));
  if (!pipe.target->output_empty()) {
    const bool last_words = &pipe == &pipes_[kDown] && !pipe.target->stopped();
    if (!ending_ || last_words) return pipe.target->StartSend();
    return ContinueEnding();
  }
  if (ending_) return ContinueEnding();
  if (pipe.state == State::kWriting) {
    if (&pipe == &pipes_[kDown]) EndTowardsClient();
    pipe.source->ReturnReceived();  // a buffer that was sent directly
    return Advance(pipe);
  }
  // The engine's own words are out; the pipe was not writing.
  if (half_closed_ && &pipe == &pipes_[kUp]) {
    pipe.target->io()->Shutdown(pipe.target->fd(), SHUT_WR);
  }
}

void Relay::SourceFailed(Pipe& pipe, bool tls) {
  pipe.source->ReturnReceived();
  pipe.source_ended = true;
  if (&pipe == &pipes_[kDown]) {
    // What the upstream sent before is delivered: a pipe reads only when its target is drained,
    // but for the words of this very read in front of a broken record.
    if (!pipe.target->output_empty() && !client_broken_) {
      pipe.state = State::kWriting;
      return pipe.target->StartSend();
    }
    return UpstreamEnded();
  }
  client_broken_ = true;
  client_failed_tls_ = tls;
  if (!pipe.target->output_empty()) {
    pipe.state = State::kWriting;
    return pipe.target->StartSend();
  }
  ClientEnded();
}

void Relay::TargetFailed(Pipe& pipe) {
  pipe.source->ReturnReceived();
  if (&pipe == &pipes_[kDown]) {
    // The client cannot be written to. What it sent before (a QUIT) may still be readable, so its
    // own pipe decides; until then the upstream's words are dropped.
    client_broken_ = true;
    pipe.target->DropOutput();
    DropKernelPipe();
    if (pipes_[kUp].state == State::kEnded && !counter_.quit_sent()) return ClientEnded();
    if (pipes_[kUp].state == State::kEnded) ArmLinger();
    if (pipe.state == State::kWriting) Advance(pipe);
    return;
  }
  // The upstream takes no more, but what it said before may still be readable: its own pipe
  // decides. The client is not read any further.
  upstream_broken_ = true;
  pipe.target->DropOutput();
  pipe.source_ended = true;
  pipe.state = State::kEnded;
  ArmLinger();
}

void Relay::PipeEnded(Pipe& pipe) {
  pipe.state = State::kEnded;
  if (&pipe == &pipes_[kUp]) {
    ClientEnded();
  } else {
    UpstreamEnded();
  }
}

void Relay::ClientEnded() {
  pipes_[kUp].state = State::kEnded;
  if (counter_.quit_sent()) {
    // Deletions happen at QUIT: the upstream gets the time to carry them out and to end.
    if (client_broken_) ArmLinger();
    return;
  }
  if (client_broken_) {
    return End(client_failed_tls_ ? CloseReason::kClientTls : CloseReason::kClientReset,
               /*abort_client=*/true);
  }
  if (counter_.response_pending() &&
      counter_.boundary() != pop3::RelayCounter::Boundary::kUnknown) {
    half_close_due_ = true;
    return;
  }
  HalfCloseUpstream();
}

void Relay::HalfCloseUpstream() {
  half_close_due_ = false;
  half_closed_ = true;
  ArmLinger();
  Channel* upstream = pipes_[kUp].target;
  if (upstream->tls() != nullptr) upstream->tls()->Shutdown();
  if (upstream->output_empty()) {
    upstream->io()->Shutdown(upstream->fd(), SHUT_WR);
  } else {
    upstream->StartSend();  // Sent() ends our direction once close_notify is out
  }
}

bool Relay::InsideResponse() const {
  using Boundary = pop3::RelayCounter::Boundary;
  if (counter_.boundary() == Boundary::kUnknown) return !counter_.quit_sent();
  return counter_.boundary() == Boundary::kInside;
}

bool Relay::quit_answered() const {
  return counter_.quit_sent() && !counter_.response_pending() &&
         counter_.boundary() == pop3::RelayCounter::Boundary::kBetween;
}

bool Relay::between_responses() const {
  return !InsideResponse() && !counter_.response_pending() && kernel_pipe_.bytes == 0 &&
         pipes_[kDown].target->output_empty() && pipes_[kUp].target->output_empty();
}

void Relay::UpstreamEnded() {
  pipes_[kDown].state = State::kEnded;
  if (InsideResponse() && !client_broken_) {
    return End(CloseReason::kUpstreamTruncated, /*abort_client=*/true);
  }
  CloseReason reason = CloseReason::kUpstreamClosed;
  if (counter_.quit_sent()) {
    // Deletions happen at QUIT: a backend that is gone without having answered it is a broken one,
    // however orderly its end, and whether or not the client waited for the answer.
    if (!counter_.quit_pending()) reason = CloseReason::kQuit;
  } else if (client_broken_) {
    reason = client_failed_tls_ ? CloseReason::kClientTls : CloseReason::kClientReset;
  } else if (half_closed_ || half_close_due_) {
    reason = CloseReason::kClientClosed;
  }
  End(reason, /*abort_client=*/client_broken_);
}

void Relay::ArmLinger() {
  io::Io* io = pipes_[kUp].source->io();
  if (!linger_.armed()) io->timers().Arm(&linger_, io->Now() + linger_ns_);
}

void Relay::OnLinger(io::Timer&, void* owner) {
  auto* relay = static_cast<Relay*>(owner);
  if (relay->ending_) {
    // The client did not even take our last words.
    relay->client_broken_ = true;
    relay->abort_client_ = true;
    return relay->ContinueEnding();
  }
  // A client that has left behind its QUIT, and a backend that is still silent: whether it carries
  // the QUIT out cannot be known. One that takes nothing any more does not.
  const bool quit =
      relay->counter_.quit_sent() && (!relay->upstream_broken_ || !relay->counter_.quit_pending());
  relay->Cancel(quit                  ? CloseReason::kQuit
                : relay->half_closed_ ? CloseReason::kClientClosed
                                      : CloseReason::kUpstreamClosed);
}

void Relay::Cancel(CloseReason reason) {
  if (ending_) return;
  End(reason, InsideResponse() || client_broken_ || !pipes_[kDown].target->output_empty());
}

void Relay::End(CloseReason reason, bool abort_client) {
  CHECK(!ending_);
  ending_ = true;
  reason_ = reason;
  // What is in the kernel pipe is the middle of a response.
  abort_client_ = abort_client || kernel_pipe_.bytes > 0;
  Channel* client = pipes_[kUp].source;
  client->io()->timers().Disarm(&linger_);
  pipes_[kUp].target->Stop(/*abortive=*/false);
  if (!abort_client_) {
    if (client->tls() != nullptr) client->tls()->Shutdown();
    client->StartSend();
    ArmLinger();
  }
  ContinueEnding();
}

void Relay::ContinueEnding() {
  Channel* client = pipes_[kUp].source;
  if (abort_client_ || client_broken_) {
    client->DropOutput();
    client->Stop(/*abortive=*/true);
  } else if (client->output_empty() && client->receiving()) {
    // Nothing unread waits in the kernel, so closing cannot turn into a reset over our last words.
    client->Stop(/*abortive=*/false);
  }
  Join();
}

void Relay::Join() {
  if (done_) return;
  Channel* client = pipes_[kUp].source;
  Channel* upstream = pipes_[kUp].target;
  if (!client->quiet() || !upstream->quiet()) return;
  if (!client->output_empty() && !client->stopped()) return;
  done_ = true;
  for (Pipe& pipe : pipes_) pipe.source->ReturnReceived();
  GiveBack();
  // Last act: the session may be gone when this returns.
  wake_.Fire();
}

}  // namespace postern
