#include "proxy/backend_probe.h"

#include <utility>

#include "proxy/master_login.h"

namespace postern {
namespace {

constexpr DurationNs kTurnMax = 100 * kMillisecond;

}  // namespace

ProbeAnswer BackendProbe::Ask(const ProbeQuestion& question) {
  ProbeAnswer answer;
  const TimeNs started = io_->Now();
  bool over = false;
  const auto done = [](void* flag) { *static_cast<bool*>(flag) = true; };
  coro::Detach(Run(&question, &answer), done, &over);
  while (!over) io_->RunOnce(kTurnMax);
  answer.took = io_->Now() - started;
  return answer;
}

coro::Task<void> BackendProbe::Run(const ProbeQuestion* question, ProbeAnswer* answer) {
  Channel channel(io_, &blocks_);
  metrics::BackendStats stats;  // of nobody: this is no login
  BackendMemory memory;
  UpstreamAttempt attempt(&channel, question->backend, timeouts_, question->tls, &stats, &memory);
  attempt.address = question->address;
  attempt.goal = question->goal;
  attempt.user = question->user;
  attempt.password = question->password;
  attempt.offers = question->offers;
  attempt.backend_index = question->backend_index;
  attempt.greeting = &answer->greeting;
  if (question->goal == UpstreamGoal::kLoggedIn &&
      question->backend->login == config::UpstreamLogin::kMaster &&
      !LogInAsMaster(question->user, question->password, &attempt)) {
    answer->verdict.detail = "the user's name cannot be written in the master_format";
    co_return;
  }
  UpstreamVerdict verdict = co_await LogInUpstream(&attempt);
  answer->verdict = std::move(verdict);
  if (channel.open()) answer->local = io_->LocalAddress(channel.fd());
  if (channel.tls() != nullptr) {
    answer->tls_error = channel.tls()->error_word();
    if (channel.tls()->handshake_done()) {
      answer->tls_version = std::string(channel.tls()->info().version);
      answer->certificate = channel.tls()->peer_certificate();
    }
  }
  if (answer->verdict.kind == UpstreamVerdict::Kind::kAccepted &&
      question->goal != UpstreamGoal::kConnected) {
    channel.SetDeadline(io_->Now() + kSecond);
    channel.Queue("QUIT\r\n");
    const Outcome sent = co_await channel.Flush();
    if (sent == Outcome::kOk) {
      co_await channel.ReadMore();
    }
  }
  channel.Stop(/*abortive=*/false);
  channel.Close(/*abortive=*/false);
}

}  // namespace postern
