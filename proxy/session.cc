#include "proxy/session.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "proxy/base/check.h"

namespace postern {
namespace {

// A session that lasts longer than this asks for keepalive on the backend's connection; most are
// over before.
constexpr DurationNs kLongSession = 20 * kSecond;

// Whether the connection ended before it became a session: there is nobody to say goodbye to.
bool IsTurnedAway(CloseReason reason) {
  return reason == CloseReason::kAdmission || reason == CloseReason::kProxyUntrusted ||
         reason == CloseReason::kProxyHeader;
}

}  // namespace

Session::Session(WorkerContext* context, std::shared_ptr<const WorkerSnapshot> snapshot,
                 size_t listener, int fd, uint64_t id, bool refuse)
    : context_(context),
      io_(context->io),
      snapshot_(std::move(snapshot)),
      listener_(listener),
      id_(id),
      client_address_(context->io->PeerAddress(fd)),
      refuse_(refuse),
      accepted_at_(context->io->Now()),
      client_(context->io, context->blocks),
      upstream_(context->io, context->blocks),
      deadline_(&Session::OnDeadline, this),
      pause_(&Session::OnPause, this) {
  client_.Attach(fd);
  listener_stats().connections.Add();
  listener_stats().sessions_active.Add(1);
}

Session::~Session() {
  CHECK(phase_ == Phase::kClosing && reason_ != CloseReason::kNone);
  CHECK(!client_.open() && !upstream_.open() && !affine_ && !entered_ && seat_ < 0);
  io_->timers().Disarm(&deadline_);
  io_->timers().Disarm(&pause_);
  listener_stats().sessions_active.Add(-1);
  listener_stats().closed[static_cast<size_t>(reason_)].Add();
}

void Session::Start() {
  // Without captures, so that no closure lives in a coroutine's frame.
  const auto over = [](void* session) {
    auto* self = static_cast<Session*>(session);
    self->context_->owner->OnSessionOver(self);
  };
  coro::Detach(Run(), over, this);
}

coro::Task<void> Session::Run() {
  const bool greeted = co_await Greet();
  if (greeted) {
    joined_ = co_await LogIn();
    if (joined_) {
      co_await RelayBytes();
    }
  }
  co_await CloseUp();
}

coro::Task<void> Session::RelayBytes() {
  EnterPhase(Phase::kRelay);
  joined_at_ = io_->Now();
  refused_logins_ = dialogue_->refused_logins();
  bad_commands_ = dialogue_->bad_commands();
  dialogue_.reset();
  refusal_ = std::string();
  metrics::BackendStats& stats = backend_stats(static_cast<size_t>(backend_));
  stats.sessions.Add();
  stats.sessions_active.Add(1);
  listener_stats().login_seconds.Record(joined_at_ - accepted_at_);
  relay_.emplace(&client_, &upstream_, context_->bulk, context_->scratch, context_->scratch_bytes,
                 config().timeouts.close_linger);
  ArmDeadline(joined_at_ + std::min(config().timeouts.idle, kLongSession));
  const CloseReason reason = co_await relay_->Run();
  End(reason);
  stats.bytes_to_backend.Add(relay_->bytes_from_client());
  stats.bytes_from_backend.Add(relay_->bytes_from_upstream());
  stats.bytes_spliced.Add(relay_->bytes_moved());
  static_assert(metrics::kRelayVerbCount == pop3::kRelayCommandCount);
  const pop3::RelayCounts& counts = relay_->counter().counts();
  for (size_t i = 0; i < counts.commands.size(); ++i) stats.commands[i].Add(counts.commands[i]);
  stats.messages_retrieved.Add(counts.messages_retrieved);
  listener_stats().bytes_in.Add(relay_->bytes_from_client());
  listener_stats().bytes_out.Add(relay_->bytes_from_upstream());
  // The end is counted last: who reads that a session is over finds the rest of it counted.
  stats.sessions_active.Add(-1);
  stats.closed[static_cast<size_t>(reason_)].Add();
}

coro::Task<void> Session::CloseUp() {
  CHECK(reason_ != CloseReason::kNone);
  EnterPhase(Phase::kClosing);
  io_->timers().Disarm(&deadline_);
  WriteRecord();
  upstream_.Stop(/*abortive=*/false);
  upstream_.Close(/*abortive=*/false);
  RememberHome();
  LeaveAffinity();
  LeaveSeat(/*call_next=*/true);
  visit_.reset();
  if (claim_ != nullptr) claim_->place->Leave();
  bool abort = relay_.has_value() && relay_->abort_client();
  if (!abort && !client_.stopped()) {
    // Our last words must not be overtaken by a reset: end our direction, then read until the
    // client has ended its own.
    client_.SetDeadline(io_->Now() + config().timeouts.close_linger);
    if (client_.tls() != nullptr && client_.tls()->handshake_done()) client_.tls()->Shutdown();
    const Outcome sent = co_await client_.Flush();
    const bool wait = !IsTurnedAway(reason_);
    if (wait && sent == Outcome::kOk && !client_.stopped()) {
      io_->Shutdown(client_.fd(), SHUT_WR);
      co_await client_.DrainInput();
    }
  }
  client_.Close(abort);
}

void Session::EnterPhase(Phase phase) {
  // The one door. Only a refused login and STLS lead back.
  CHECK(phase > phase_ || (phase == Phase::kLogin && phase_ < Phase::kRelay) ||
        (phase == Phase::kHandshake && phase_ == Phase::kLogin));
  phase_ = phase;
  if (phase != Phase::kClosing) reached_ = std::max(reached_, phase);
}

void Session::End(CloseReason reason) {
  CHECK(reason != CloseReason::kNone);
  if (reason_ == CloseReason::kNone) reason_ = reason;
}

void Session::EndOnClient(Outcome outcome) {
  switch (outcome) {
    case Outcome::kEnd:
      return End(CloseReason::kClientClosed);
    case Outcome::kError:
      return End(CloseReason::kClientReset);
    case Outcome::kTls:
      tls_error_ = client_.tls()->error();
      return End(CloseReason::kClientTls);
    case Outcome::kStopped:
      // Whoever stopped the channel has said why; an expiry says it here.
      return End(expire_reason_ != CloseReason::kNone ? expire_reason_ : CloseReason::kInternal);
    case Outcome::kTimeout:
    case Outcome::kOk:
      break;
  }
  End(CloseReason::kInternal);
}

void Session::Cancel(CloseReason reason) {
  End(reason);
  if (phase_ == Phase::kClosing) {
    client_.Stop(/*abortive=*/false);
    return;
  }
  if (phase_ == Phase::kRelay) return relay_->Cancel(reason);
  if (pause_.armed()) io_->timers().Arm(&pause_, io_->Now());
  upstream_.Stop(/*abortive=*/false);
  client_.Stop(/*abortive=*/false);
}

void Session::BeginDrain() {
  if (phase_ >= Phase::kRelay) return;
  if (phase_ <= Phase::kHandshake) return Cancel(CloseReason::kShutdown);
  Expire(CloseReason::kShutdown);
}

void Session::Kick(CloseReason reason) {
  // Nothing is cut any more when only the backend's end is missing.
  if (phase_ == Phase::kRelay && relay_->quit_answered()) return Cancel(CloseReason::kQuit);
  if (phase_ <= Phase::kHandshake || phase_ >= Phase::kRelay) return Cancel(reason);
  Expire(reason);
}

void Session::Expire(CloseReason reason) {
  if (expire_reason_ != CloseReason::kNone) return;
  expire_reason_ = reason;
  // A client that does not even read our last words is cut when this passes.
  ArmDeadline(io_->Now() + config().timeouts.close_linger);
  if (pause_.armed()) io_->timers().Arm(&pause_, io_->Now());
  upstream_.Stop(/*abortive=*/false);
  client_.InterruptRead();
}

void Session::ArmDeadline(TimeNs deadline) { io_->timers().Arm(&deadline_, deadline); }

void Session::OnDeadline(io::Timer&, void* owner) {
  auto* session = static_cast<Session*>(owner);
  switch (session->phase_) {
    case Phase::kAccepted:
      return session->Cancel(CloseReason::kProxyTimeout);
    case Phase::kHandshake:
      return session->Cancel(CloseReason::kHandshakeTimeout);
    case Phase::kLogin:
    case Phase::kUpstreamLogin:
      if (session->expire_reason_ == CloseReason::kNone) {
        return session->Expire(CloseReason::kLoginTimeout);
      }
      return session->Cancel(session->expire_reason_);
    case Phase::kRelay: {
      if (!session->keepalive_) {
        session->keepalive_ = true;
        session->io_->EnableKeepalive(session->upstream_.fd());
      }
      // Traffic only notes the time; the timer looks it up when it fires.
      const TimeNs deadline = session->relay_->last_activity() + session->config().timeouts.idle;
      if (deadline > session->io_->Now()) return session->ArmDeadline(deadline);
      return session->Cancel(CloseReason::kIdleTimeout);
    }
    case Phase::kClosing:
      return;
  }
}

coro::Task<void> Session::Pause(DurationNs duration) {
  if (expire_reason_ != CloseReason::kNone || reason_ != CloseReason::kNone) co_return;
  io_->timers().Arm(&pause_, io_->Now() + duration);
  co_await pause_wake_.Wait();
}

// Whoever has asked several things at once gets the answers that are there before the wait for the
// next one. A client that is found to be gone ends the session.
coro::Task<void> Session::AnswerAndPause(DurationNs duration) {
  const TimeNs until = io_->Now() + duration;
  if (duration > 0) {
    const Outcome told = co_await client_.Flush();
    if (told != Outcome::kOk) {
      EndOnClient(told);
      co_return;
    }
  }
  co_await Pause(until - io_->Now());
}

void Session::OnPause(io::Timer&, void* owner) {
  auto* session = static_cast<Session*>(owner);
  if (session->pause_wake_.waiting()) return session->pause_wake_.Fire();
  // Who waits in line reads at the same time.
  session->client_.InterruptRead();
}

void Session::CountLogin(metrics::LoginResult result) {
  listener_stats().logins[static_cast<size_t>(result)].Add();
}

void Session::WriteRecord() {
  if (context_->sink == nullptr) return;
  SessionRecord record;
  record.id = id_;
  record.listener = listener().name;
  record.client = client_address_;
  if (neighbour_ != nullptr) {
    record.via = neighbour_->address;
    record.via_protocol = neighbour_->protocol;
    record.via_session = neighbour_->session;
    record.proxy_error = neighbour_->error;
    record.tls_version = neighbour_->told.tls_version;
    record.tls_cipher = neighbour_->told.tls_cipher;
    record.tls_server_name = neighbour_->told.server_name;
    record.certificate = neighbour_->told.certificate_name;
  }
  if (client_.tls() != nullptr && client_.tls()->handshake_done()) {
    const tls::HandshakeInfo info = client_.tls()->info();
    record.tls_version = info.version;
    record.tls_cipher = info.cipher;
    record.tls_server_name = info.server_name;
    record.tls_resumed = info.resumed;
    if (certificate_ != nullptr) record.certificate = certificate_->common_name;
  }
  record.tls_error = tls_error_;
  record.user = user_;
  record.method = method_;
  if (backend_ >= 0) {
    record.backend = config().backends[static_cast<size_t>(backend_)].name;
    record.pool = snapshot_->shared->backend_pools[static_cast<size_t>(backend_)];
  }
  if (lookup_ != nullptr) {
    record.lookup = lookup_->name;
    record.undecided = lookup_->waited;
    if (ReachesUnnamedServer()) record.server = (*lookup_->addresses)[0];
  }
  if (policy_ != nullptr) {
    record.policy = policy_->verdict;
    record.tarpit = policy_->tarpit;
  }
  record.upstream_error = upstream_error_;
  record.guard_refusal = guard_refusal_;
  record.logged_in = joined_;
  record.refused_logins = dialogue_ != nullptr ? dialogue_->refused_logins() : refused_logins_;
  record.bad_commands = dialogue_ != nullptr ? dialogue_->bad_commands() : bad_commands_;
  record.phase = reached_;
  record.reason = reason_;
  record.handshake = handshake_time_;
  record.upstream = upstream_time_;
  record.total = io_->Now() - accepted_at_;
  if (claim_ != nullptr) record.in_use = claim_->waited;
  if (joined_) {
    record.login = joined_at_ - accepted_at_;
    record.bytes_from_client = relay_->bytes_from_client();
    record.bytes_to_client = relay_->bytes_from_upstream();
    record.counter = &relay_->counter();
  }
  context_->sink->OnSessionEnd(record);
}

}  // namespace postern
