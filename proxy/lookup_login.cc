// The part of a login that asks somebody outside: which server, and often also whether the
// credentials are good.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/ip_network.h"
#include "proxy/base/log.h"
#include "proxy/pop3/mechanism.h"
#include "proxy/pop3/reply.h"
#include "proxy/session.h"

namespace postern {

// The meeting point of a session that waits and the answer on its way from another thread. The
// session may be gone when the answer comes.
class LookupWait {
 public:
  explicit LookupWait(Session* session) : session_(session) {}

  // The session waits no more.
  void Leave() { session_ = nullptr; }
  // On the worker's thread.
  void Deliver(routing::AnswerPtr answer) {
    if (session_ == nullptr) return;
    answer_ = std::move(answer);
    Session* session = std::exchange(session_, nullptr);
    // It waits in Pause() or in ListenUntil(), so that whatever ends these early ends this too.
    if (session->pause_wake_.waiting()) {
      session->io_->timers().Disarm(&session->pause_);
      session->pause_wake_.Fire();
    } else {
      session->client_.InterruptRead();
    }
  }
  bool answered() const { return answer_ != nullptr; }
  routing::AnswerPtr TakeAnswer() { return std::move(answer_); }

 private:
  Session* session_;
  routing::AnswerPtr answer_;
};

namespace {

using Kind = routing::LookupAnswer::Kind;

// A service that wants a refusal to wait longer than this would only hold connections open.
constexpr DurationNs kRefusedDelayMax = 60 * kSecond;
// Most answers come sooner. Then the client is read, so that its going is noticed.
constexpr DurationNs kListenAfter = 100 * kMillisecond;
// One that does not decide is asked so often, and for so long; nginx asks without end.
constexpr int kAsksMax = 20;
constexpr DurationNs kUndecidedMax = 60 * kSecond;
// Between two questions, also where the service names no time.
constexpr DurationNs kAskAgainMin = 50 * kMillisecond;

// As nginx names them; those that it does not know by their SASL name.
std::string MethodName(const pop3::Credentials& credentials) {
  if (credentials.method == pop3::LoginMethod::kApop) return "apop";
  if (credentials.method == pop3::LoginMethod::kUserPass) return "plain";
  if (credentials.mechanism == pop3::Mechanism::kLogin) return "plain";
  return std::string(pop3::InfoOf(credentials.mechanism).word);
}

std::string ErrorLine(absl::string_view words) {
  return pop3::CleanReply(absl::StrCat("-ERR ", words));
}

// Not a failure of the service: it has spoken about this user.
routing::AnswerPtr Undecided() {
  auto answer = std::make_shared<routing::LookupAnswer>();
  answer->kind = Kind::kTemporary;
  answer->refusal = "[SYS/TEMP] Please try again later";
  answer->detail = "the service says WAIT for too long";
  return answer;
}

// Tells the worker, which tells the session if it is still there.
routing::LookupService::Done Teller(Mailbox* mailbox, std::shared_ptr<LookupWait> wait) {
  return [mailbox, wait = std::move(wait)](routing::AnswerPtr answer) {
    mailbox->Post([wait, answer = std::move(answer)] { wait->Deliver(answer); });
  };
}

// Addresses that are no server's, whoever names them. Link-local ones hold the metadata services of
// clouds.
bool IsNobody(const SocketAddress& address) {
  static const auto* const nobody = [] {
    auto* list = new std::vector<IpNetwork>;
    for (const char* text :
         {"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/128", "fe80::/10", "ff00::/8"}) {
      list->push_back(*IpNetwork::Parse(text));
    }
    return list;
  }();
  return ContainsAddress(*nobody, address);
}

}  // namespace

routing::LookupQuestion Session::Question(const pop3::Credentials& credentials) const {
  routing::LookupQuestion question;
  question.user = user_;
  question.method = MethodName(credentials);
  question.password = credentials.password.Clone();
  question.digest = credentials.digest.Clone();
  question.challenge = credentials.challenge;
  question.client_ip = client_address_.IpText();
  question.listener = listener().name;
  pop3::ClientIdentity identity = Identity();
  question.sni = std::move(identity.server_name);
  question.tls = identity.tls;
  question.tls_version = std::move(identity.tls_version);
  question.tls_cipher = std::move(identity.tls_cipher);
  question.attempt = dialogue_->refused_logins() + 1;
  DescribeCertificate(&question);
  if (neighbour_ != nullptr && !neighbour_->told.client.empty()) {
    question.proxied_from = neighbour_->told.client;
    question.proxied_to = neighbour_->told.destination;
  }
  return question;
}

// Null when the answer is there at once.
std::shared_ptr<LookupWait> Session::BeginAsking(routing::LookupService* service,
                                                 routing::LookupQuestion* question,
                                                 routing::AnswerPtr* answer,
                                                 routing::LookupTicketPtr* ticket) {
  auto wait = std::make_shared<LookupWait>(this);
  *answer = service->Ask(std::move(*question), io_->Now(), Teller(context_->mailbox, wait), ticket);
  return *answer == nullptr ? wait : nullptr;
}

coro::Task<routing::AnswerPtr> Session::AskService(routing::LookupService* service,
                                                   routing::LookupQuestion* question) {
  routing::AnswerPtr answer;
  routing::LookupTicketPtr ticket;
  std::shared_ptr<LookupWait> wait = BeginAsking(service, question, &answer, &ticket);
  if (wait == nullptr) co_return answer;
  const TimeNs until = io_->Now() + service->options().timeout;
  co_await Pause(std::min(kListenAfter, service->options().timeout));
  if (!wait->answered()) co_await ListenForAnswer(wait.get(), until);
  wait->Leave();
  answer = wait->TakeAnswer();
  if (answer != nullptr) co_return answer;
  const bool ended = reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone;
  if (ended) {
    service->Forget(ticket);
  } else {
    answer = service->GiveUp(ticket, io_->Now());
  }
  co_return answer;
}

// Until the answer has come, it is too late for it, or the session is to end.
coro::Task<void> Session::ListenForAnswer(const LookupWait* wait, TimeNs until) {
  bool listens = true;
  Outcome outcome = co_await client_.Flush();
  while (outcome == Outcome::kOk && !wait->answered() && reason_ == CloseReason::kNone &&
         expire_reason_ == CloseReason::kNone && io_->Now() < until) {
    outcome = co_await ListenUntil(until, &listens);
  }
  if (outcome != Outcome::kOk) EndOnClient(outcome);
}

// It takes no thread of the service's, however long it lasts. `timeout` is each question's own.
coro::Task<routing::AnswerPtr> Session::AskUntilAnswered(routing::LookupService* service,
                                                         const pop3::Credentials* credentials,
                                                         LoginWait* wait) {
  const TimeNs until = std::min(io_->Now() + kUndecidedMax, accepted_at_ + config().timeouts.login);
  routing::AnswerPtr answer;
  for (int asks = 1;; ++asks) {
    const TimeNs asked_at = io_->Now();
    routing::LookupQuestion question = Question(*credentials);
    answer = co_await AskService(service, &question);
    upstream_time_ += io_->Now() - asked_at;
    if (answer == nullptr || answer->kind != Kind::kWait) break;
    const TimeNs answered_at = io_->Now();
    const TimeNs ask_at = answered_at + std::max(answer->wait.value_or(0), kAskAgainMin);
    if (asks >= kAsksMax || ask_at >= until) {
      answer = Undecided();
      break;
    }
    PassTurn(wait, 1);
    const bool goes_on = co_await WaitToAskAgain(ask_at);
    lookup_->waited += io_->Now() - answered_at;
    if (goes_on) continue;
    answer = nullptr;
    break;
  }
  co_return answer;
}

// False: the session has ended, or is about to. The client is read meanwhile: one that goes is
// asked for no more.
coro::Task<bool> Session::WaitToAskAgain(TimeNs ask_at) {
  bool listens = true;
  Outcome outcome = co_await client_.Flush();
  while (outcome == Outcome::kOk && reason_ == CloseReason::kNone &&
         expire_reason_ == CloseReason::kNone && io_->Now() < ask_at) {
    outcome = co_await ListenUntil(ask_at, &listens);
  }
  if (outcome != Outcome::kOk) EndOnClient(outcome);
  const bool over = reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone;
  co_return !over;
}

coro::Task<Session::Attempt> Session::AskLookups(const pop3::Credentials* credentials,
                                                 LoginWait* wait, routing::Decision* route) {
  // A login that has waited in line asks again.
  if (phase_ != Phase::kUpstreamLogin) EnterPhase(Phase::kUpstreamLogin);
  lookup_ = std::make_unique<LookupVisit>();
  while (route->lookup >= 0) {
    const auto lookup = static_cast<size_t>(route->lookup);
    lookup_->name = config().lookups[lookup].options.name;
    lookup_->number = lookup;
    routing::LookupService* service = snapshot_->shared->lookups[lookup].get();
    routing::AnswerPtr answer = co_await AskUntilAnswered(service, credentials, wait);
    lookup_->answer = std::move(answer);
    if (reason_ != CloseReason::kNone) co_return Attempt::kGone;
    // The deadline or a shutdown came in between: the dialogue says the last words.
    if (expire_reason_ != CloseReason::kNone) co_return Attempt::kUnavailable;
    const Attempt taken = TakeAnswer(*lookup_->answer, *credentials, route);
    if (taken != Attempt::kJoined) co_return taken;
  }
  EnterPhase(Phase::kLogin);
  co_return Attempt::kJoined;
}

// kJoined: go on by *route, which may be the next lookup.
Session::Attempt Session::TakeAnswer(const routing::LookupAnswer& answer,
                                     const pop3::Credentials& credentials,
                                     routing::Decision* route) {
  const Snapshot& shared = *snapshot_->shared;
  const routing::LookupTraits& traits = config().lookups[static_cast<size_t>(route->lookup)].traits;
  switch (answer.kind) {
    case Kind::kUnknown:
      *route = shared.router->RouteBehind(route->route, user_, shared.backend_states, io_->Now());
      if (route->lookup < 0 && !route->known) {
        upstream_error_ = absl::StrCat("lookup ", lookup_->name, ": ", answer.detail);
      }
      return Attempt::kJoined;
    case Kind::kWait:  // AskUntilAnswered() keeps it
    case Kind::kTemporary:
      upstream_error_ = absl::StrCat("lookup ", lookup_->name, ": ", answer.detail);
      if (answer.refusal.empty()) return Attempt::kUnavailable;
      // As nginx has it: a service that says how long the client is to wait lets it try again.
      if (answer.wait.value_or(0) > 0) {
        return RefuseAsServiceWants(answer, metrics::LoginResult::kUnavailable);
      }
      lookup_->words = ErrorLine(answer.refusal);
      return Attempt::kUnavailable;
    case Kind::kForbidden:
      upstream_error_ = absl::StrCat("lookup ", lookup_->name, ": ", answer.detail);
      return RefuseAsServiceWants(answer, metrics::LoginResult::kRefused);
    case Kind::kFound:
      break;
  }
  const bool carried = credentials.carried();
  lookup_->login_user = answer.login_user;
  if (carried && !answer.login_user.empty() && answer.login_user != user_) {
    // The name stands inside a message that is not ours to change.
    LookupUnusable("answers another name, and the client's SASL exchange is carried as it is");
    return Attempt::kUnavailable;
  }
  if (answer.login_secret.has_value() && !carried) {
    // Whoever holds the secret verifies the digest: services were seen to say OK to any. And a
    // source that only knows users has not seen what the client showed.
    if ((credentials.shows_digest() || !traits.judges_credentials) &&
        !Matches(credentials, answer.login_secret->view())) {
      upstream_error_ = absl::StrCat("lookup ", lookup_->name, ": the secret does not match");
      CountLogin(metrics::LoginResult::kRefused);
      return Attempt::kRefused;
    }
    lookup_->secret = &*answer.login_secret;
    lookup_->judged = true;
  } else if (credentials.by_digest_md5()) {
    // No service knows how to judge it, whatever it says: it is for whoever has the secret.
    if (shared.secrets == nullptr) {
      LookupUnusable("answers no password, and DIGEST-MD5 needs it");
      return Attempt::kUnavailable;
    }
    lookup_->judged = false;
  } else {
    // What a carried exchange proves, only the backend sees.
    lookup_->judged = traits.judges_credentials && !carried;
  }
  if (!Resolve(answer, route)) return Attempt::kUnavailable;
  if (credentials.shows_digest() && lookup_->judged && lookup_->secret == nullptr) {
    // Good for a master user's login only.
    for (int i = 0; i < route->candidate_count; ++i) {
      const auto backend = static_cast<size_t>(route->candidates[static_cast<size_t>(i)]);
      if (config().backends[backend].login == config::UpstreamLogin::kMaster) continue;
      LookupUnusable("answers no password, and the client showed only a digest");
      return Attempt::kUnavailable;
    }
  }
  return Attempt::kJoined;
}

Session::Attempt Session::RefuseAsServiceWants(const routing::LookupAnswer& answer,
                                               metrics::LoginResult counted) {
  if (!answer.refusal.empty()) refusal_ = ErrorLine(answer.refusal);
  lookup_->refuse_at = io_->Now() + std::min(answer.wait.value_or(0), kRefusedDelayMax);
  CountLogin(counted);
  return Attempt::kRefused;
}

// Always false. The session log has the reason of each; the process's own says now and then that an
// operator has to mend it.
bool Session::LookupUnusable(absl::string_view why) {
  upstream_error_ = absl::StrCat("lookup ", lookup_->name, ": ", why);
  routing::LookupService* service = snapshot_->shared->lookups[lookup_->number].get();
  if (const std::optional<uint64_t> left_out = service->MayWarn(io_->Now())) {
    log::Warning(absl::StrCat(
        upstream_error_, " (user ", EscapeForLog(user_), ")",
        *left_out == 0 ? ""
                       : absl::StrCat("; ", *left_out,
                                      " more logins had no usable answer since the last warning, "
                                      "see the session log")));
  }
  return false;
}

bool Session::Resolve(const routing::LookupAnswer& answer, routing::Decision* route) {
  const Snapshot& shared = *snapshot_->shared;
  const routing::Decision to =
      shared.router->RouteTo(route->route, answer.target, user_, shared.backend_states, io_->Now());
  if (to.known) {
    *route = to;
    return true;
  }
  if (answer.target.empty()) {
    return LookupUnusable(
        "says yes and names no server; write pool = \"NAME\" or backend = \"NAME\" in the route");
  }
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(answer.target);
  if (!address.ok()) {
    // An address alone has the port of the backend whose settings it uses.
    const int settings = shared.router->SettingsBackend(route->route);
    const uint16_t port =
        settings < 0
            ? uint16_t{110}
            : std::max<uint16_t>(config().backends[static_cast<size_t>(settings)].address.port, 1);
    address = SocketAddress::FromIp(answer.target, port);
  }
  if (!address.ok() || address->is_unix()) {
    return LookupUnusable(absl::StrCat("answers \"", EscapeForLog(answer.target, 80),
                                       "\", which is no backend, pool or address; correct it "
                                       "there, or define it here"));
  }
  return ResolveAddress(*address, route);
}

// A backend's address is that backend, with all that is known of it. Any other one is reached with
// the settings that the route names.
bool Session::ResolveAddress(const SocketAddress& address, routing::Decision* route) {
  const Snapshot& shared = *snapshot_->shared;
  const auto named = shared.backends_by_address.find(address.ToString());
  if (named != shared.backends_by_address.end()) {
    *route = shared.router->RouteTo(route->route, config().backends[named->second].name, user_,
                                    shared.backend_states, io_->Now());
    return true;
  }
  if (!MayLeadTo(address)) {
    return LookupUnusable(
        absl::StrCat("answers ", address.ToString(), ", where no login may go; see its networks"));
  }
  const int settings = shared.router->SettingsBackend(route->route);
  if (settings < 0) {
    return LookupUnusable(absl::StrCat("answers ", address.ToString(),
                                       ", which no backend has; write pool = \"NAME\" or backend = "
                                       "\"NAME\" in the route, for the settings to use there"));
  }
  const int number = route->route;
  *route = routing::Decision();
  route->route = number;
  route->known = true;
  route->candidates[0] = settings;
  route->candidate_count = 1;
  lookup_->addresses = std::make_shared<const std::vector<SocketAddress>>(1, address);
  return true;
}

bool Session::MayLeadTo(const SocketAddress& address) const {
  for (const config::Lookup& lookup : config().lookups) {
    if (lookup.options.name != lookup_->name) continue;
    if (lookup.networks.empty() ? IsNobody(address) : !ContainsAddress(lookup.networks, address)) {
      return false;
    }
  }
  // Ourselves: the user would go round and round.
  return !snapshot_->shared->addresses->own().Has(address);
}

}  // namespace postern
