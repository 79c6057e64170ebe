// One client from accept to close.
//
//   Run():  Greet (TLS, greeting) -> LogIn (dialogue, route, upstream login) -> Relay -> CloseUp
//
// A session never changes worker. It ends with exactly one reason, the first one given. Nobody
// destroys its coroutine from outside: Cancel() makes its operations end, the code unwinds, the
// sockets are closed when nothing is in flight, and then the owner is told.
#ifndef POSTERN_PROXY_SESSION_H_
#define POSTERN_PROXY_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "metrics/worker_stats.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/guard_refusal.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/socket_address.h"
#include "proxy/bulk_pool.h"
#include "proxy/channel.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"
#include "proxy/digest_md5.h"
#include "proxy/greeting_relay.h"
#include "proxy/guard/guard.h"
#include "proxy/held_logins.h"
#include "proxy/io/io.h"
#include "proxy/login_wait.h"
#include "proxy/lookup_visit.h"
#include "proxy/mailbox.h"
#include "proxy/maildrop_claim.h"
#include "proxy/neighbour.h"
#include "proxy/policy_visit.h"
#include "proxy/pop3/client_identity.h"
#include "proxy/pop3/login_dialogue.h"
#include "proxy/relay.h"
#include "proxy/session_info.h"
#include "proxy/session_record.h"
#include "proxy/snapshot.h"
#include "proxy/upstream_login.h"

namespace postern {

class LookupWait;
namespace routing {
enum class PolicyOutcome;
}  // namespace routing
namespace pop3 {
struct Referral;
}  // namespace pop3

class Session;

class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // The session is over and may be deleted now.
  virtual void OnSessionOver(Session* session) = 0;
};

// What a worker lends its sessions. Worker thread only.
struct WorkerContext {
  io::Io* io = nullptr;
  BlockPool* blocks = nullptr;
  metrics::WorkerStats* stats = nullptr;
  SessionSink* sink = nullptr;
  SessionOwner* owner = nullptr;
  Mailbox* mailbox = nullptr;  // for answers from other threads
  BulkPool* bulk = nullptr;
  char* scratch = nullptr;
  size_t scratch_bytes = 0;
  std::deque<BackendMemory>* memories = nullptr;  // by metric id of the backend
  HeldLogins* held = nullptr;
};

class Session : public ListNode<Session> {
 public:
  // Takes over the accepted socket `fd`. `refuse` is set when a limit is reached: the client is
  // told so and closed.
  Session(WorkerContext* context, std::shared_ptr<const WorkerSnapshot> snapshot, size_t listener,
          int fd, uint64_t id, bool refuse);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  void Start();

  // Ends the session now, wherever it is.
  void Cancel(CloseReason reason);
  // The worker is to stop: before login the client gets -ERR [SYS/TEMP] and is closed; a joined
  // session goes on.
  void BeginDrain();

  // Ends it for a reason from outside, as gently as its phase allows: before the login the client
  // hears -ERR [SYS/TEMP]; between two responses it sees an orderly end; inside one, a reset.
  void Kick(CloseReason reason);
  // session_info.cc: what can be told of it now, and whether it is meant.
  SessionInfo Describe() const;
  bool Matches(const SessionFilter& filter) const;
  // Logged in at this backend, or on the way there; "" for nowhere.
  absl::string_view backend_name() const;
  bool OnHold() const { return snapshot_->shared->holds->Covers(user_); }
  // Lets whatever it waits for in silence end soon.
  void EndPause() {
    if (pause_.armed()) io_->timers().Arm(&pause_, io_->Now());
  }
  bool between_responses() const { return relay_.has_value() && relay_->between_responses(); }

  Phase phase() const { return phase_; }
  CloseReason reason() const { return reason_; }
  uint64_t id() const { return id_; }

 private:
  enum class Attempt {
    kJoined,
    kRefused,      // credentials judged wrong; the reply is in refusal_
    kInUse,        // they are good, the maildrop is locked, and it is to be waited for; likewise
    kUnavailable,  // nobody to judge them
    kCancelled,    // the client broke its SASL exchange off, and has been answered
    kGone,         // the session has ended meanwhile
  };

  static constexpr absl::string_view kRefusedByLimit =
      "-ERR [SYS/TEMP] Too many connections, please try again later\r\n";

  coro::Task<void> Run();
  // neighbour.cc: for whom the connection speaks.
  coro::Task<bool> HearNeighbour();
  void TakeXclient(const pop3::XclientFacts& facts);
  pop3::ClientIdentity Identity() const;
  // What the operator wants `backend` to be told besides, in front of what a neighbour has told.
  void AddForward(const config::Backend& backend, pop3::ClientIdentity* identity) const;
  // What the next hop is to call this session: the neighbour's name for it, or our own.
  std::string SessionName() const;
  // client_certificate.cc: after a handshake.
  void TakeCertificate();
  void DescribeCertificate(routing::LookupQuestion* question) const;
  // Whether the certificate alone lets the user in wherever the route leads.
  bool CertificateOpens(const routing::Decision& route, absl::string_view* password) const;
  // client_login.cc: the AUTHORIZATION state up to a set of credentials.
  coro::Task<bool> Greet();
  // `first_words` follow the handshake, or come even with our half of it.
  coro::Task<bool> ShakeHands(absl::string_view first_words);
  std::string NewChallenge() const;  // for APOP and CRAM-MD5
  coro::Task<pop3::Decision> NextDecision();
  // greeting_relay.cc: see there.
  int OwnBackend() const;
  routing::Decision RouteUser() const;
  bool MayGreet(routing::Decision* route, size_t backend);
  bool IsSeated(routing::Decision* route) const;
  coro::Task<bool> OpenGreeted(size_t backend);
  coro::Task<bool> RelayGreeting(size_t backend);
  void LeaveGreeted();
  bool CanShowDigest(const pop3::Credentials& credentials, const routing::Decision& route);
  std::unique_ptr<GreetedUpstream> UseGreeted(UpstreamAttempt* attempt);
  bool KeepGreeted(std::unique_ptr<GreetedUpstream> greeted, const UpstreamAttempt& attempt,
                   const UpstreamVerdict& verdict);
  // login.cc: from credentials to a joined upstream.
  coro::Task<bool> LogIn();
  coro::Task<Attempt> TryLogin(pop3::Credentials* credentials);
  coro::Task<Attempt> TryRoute(const pop3::Credentials* credentials, LoginWait* wait);
  coro::Task<Attempt> FindRoute(const pop3::Credentials* credentials, LoginWait* wait,
                                routing::Decision* route, absl::string_view* password);
  Attempt EnterRoute(routing::Decision* route, LoginWait* wait);
  coro::Task<Attempt> TryCandidates(const routing::Decision* route,
                                    const pop3::Credentials* credentials,
                                    absl::string_view password, LoginWait* wait);
  coro::Task<Attempt> TryBackend(const routing::Decision* route, size_t backend,
                                 const pop3::Credentials* credentials, absl::string_view password,
                                 LoginWait* wait);
  // As far as it does not depend on the user.
  UpstreamAttempt AttemptAt(size_t backend);
  void NoteOutcome(const routing::Decision& route, size_t backend, const UpstreamVerdict& verdict);
  void NoteBackendOut(size_t backend, metrics::UpstreamError error, absl::string_view why);
  // held_login.cc: what an operator has said of single users.
  void FollowOperator(const pop3::Credentials& credentials, routing::Decision* route);
  coro::Task<bool> WaitWhileHeld();
  bool JoinAffinity(routing::Decision* route, LoginWait* wait);
  void LeaveAffinity();
  // recent_home.cc
  void PreferRecentHome(routing::Decision* route) const;
  void RememberHome();
  // login_wait.cc: seats at backends, and waiting for one.
  // False where a login would only fail as those before it; then why is noted. `turn`: this one
  // has stood first in line, and is there to find out.
  bool MayTry(const routing::Decision& route, size_t backend, bool turn);
  bool TakeSeat(size_t backend);
  void LeaveSeat(bool call_next);
  void CallForRoom(size_t backend);
  bool IsWaitedFor(size_t backend) const;
  void SeatJoined();
  void ChooseLine(routing::Decision* route, LoginWait* wait) const;
  bool MayWait(LoginWait* wait);
  coro::Task<bool> WaitInLine(LoginWait* wait);
  coro::Task<bool> AwaitTurn(LoginWait* wait, bool first);
  void PassTurn(LoginWait* wait, size_t count);
  bool KeepsTo(const LoginWait& wait, routing::Decision* route) const;
  void FinishWait(LoginWait* wait);
  coro::Task<Outcome> ListenUntil(TimeNs wake_at, bool* listens);
  static void OnCalled(void* owner);
  // in_use.cc: logins that meet a locked maildrop.
  MaildropClaim* ClaimFor(const routing::Decision& route);
  bool MayAwaitMaildrop(const routing::Decision& route, absl::string_view reply, TimeNs asked_at);
  void NoteAsked(size_t backend);
  bool KeepToAsked(routing::Decision* route) const;
  Attempt RefuseAsTold();
  Attempt RefuseHere();
  coro::Task<Attempt> AwaitMaildrop();
  void FinishClaim(Attempt attempt);
  void HoldMaildrop(const routing::Decision& route);
  static void OnMaildropCall(void* owner, DurationNs idle);
  bool IsIdleFor(DurationNs idle) const;
  // session_guard.cc: what the snapshot's guard lets pass.
  bool PassDoor();
  coro::Task<bool> AskGuard();
  bool GuardAllows(const routing::Decision& route);
  bool GuardAccepts(const routing::Decision& route);
  void EndGuardedLogin(Attempt attempt);
  static bool JudgesCredentials(absl::string_view reply);
  static bool TellsOfTrouble(absl::string_view reply);
  // session_policy.cc: a service that is asked about logins, and told how they went.
  bool AsksPolicy() const;
  coro::Task<Attempt> AskPolicy(const pop3::Credentials* credentials);
  Attempt TakePolicyAnswer(const routing::LookupAnswer& answer);
  void ReportPolicy(Attempt attempt);
  std::string PolicyHash(const pop3::Credentials& credentials) const;
  routing::LookupQuestion PolicyQuestion(const routing::PolicyOutcome* report) const;
  // How much longer the answer to this login takes than to others.
  DurationNs PolicyDelay() const { return policy_ == nullptr ? 0 : policy_->took; }
  DurationNs GuardDelay() const { return visit_ == nullptr ? 0 : visit_->delay(); }
  void NoteGuardRefusal(GuardRefusal refusal);
  DurationNs LoginDelayOf(const routing::Decision& route) const;
  // carried_login.cc
  coro::Task<Attempt> CarryExchange(UpstreamAttempt* attempt, UpstreamVerdict* verdict);
  // digest_login.cc: DIGEST-MD5.
  std::string ChallengeByDigest();
  coro::Task<Attempt> ShowProof();
  // referral.cc
  coro::Task<Attempt> FollowReferrals(const routing::Decision* route, size_t backend,
                                      const pop3::Credentials* credentials,
                                      absl::string_view password, LoginWait* wait);
  int ReferredBackend(size_t from, const pop3::Referral& referral) const;
  bool LeadsToOwnLogin(const routing::Decision& route) const;
  bool LeadsToSecret(const routing::Decision& route) const;
  bool VerifyHere(const pop3::Credentials& credentials, absl::string_view* password) const;
  bool Matches(const pop3::Credentials& credentials, absl::string_view secret) const;
  // lookup_login.cc: asks until it is known where the user lives; kJoined: `route` says where, and
  // lookup_ how to log in there.
  friend class LookupWait;
  coro::Task<Attempt> AskLookups(const pop3::Credentials* credentials, LoginWait* wait,
                                 routing::Decision* route);
  // Takes the question away. Null: the session has ended, or is about to.
  coro::Task<routing::AnswerPtr> AskService(routing::LookupService* service,
                                            routing::LookupQuestion* question);
  coro::Task<void> ListenForAnswer(const LookupWait* wait, TimeNs until);
  // Likewise, until the service has more to say than kWait.
  coro::Task<routing::AnswerPtr> AskUntilAnswered(routing::LookupService* service,
                                                  const pop3::Credentials* credentials,
                                                  LoginWait* wait);
  coro::Task<bool> WaitToAskAgain(TimeNs ask_at);
  routing::LookupQuestion Question(const pop3::Credentials& credentials) const;
  std::shared_ptr<LookupWait> BeginAsking(routing::LookupService* service,
                                          routing::LookupQuestion* question,
                                          routing::AnswerPtr* answer,
                                          routing::LookupTicketPtr* ticket);
  Attempt TakeAnswer(const routing::LookupAnswer& answer, const pop3::Credentials& credentials,
                     routing::Decision* route);
  bool Resolve(const routing::LookupAnswer& answer, routing::Decision* route);
  bool ResolveAddress(const SocketAddress& address, routing::Decision* route);
  bool MayLeadTo(const SocketAddress& address) const;
  Attempt RefuseAsServiceWants(const routing::LookupAnswer& answer, metrics::LoginResult counted);
  bool LookupUnusable(absl::string_view why);
  // Whether the answer, or what it was made of, has shown that the credentials are good.
  bool JudgedByLookup() const { return lookup_ != nullptr && lookup_->judged; }
  absl::string_view LoginUser() const {
    return lookup_ == nullptr || lookup_->login_user.empty() ? user_ : lookup_->login_user;
  }
  bool ReachesUnnamedServer() const { return lookup_ != nullptr && lookup_->addresses != nullptr; }
  coro::Task<void> Pause(DurationNs duration);
  // The same for waits that are meant for the client.
  coro::Task<void> AnswerAndPause(DurationNs duration);
  // session.cc
  coro::Task<void> RelayBytes();
  coro::Task<void> CloseUp();

  void EnterPhase(Phase phase);
  void End(CloseReason reason);
  void EndOnClient(Outcome outcome);
  void ArmDeadline(TimeNs deadline);
  static void OnDeadline(io::Timer& timer, void* owner);
  static void OnPause(io::Timer& timer, void* owner);
  // Ends whatever the login waits for; the code then looks at expire_reason_.
  void Expire(CloseReason reason);
  void CountHandshake();
  void CountLogin(metrics::LoginResult result);
  void WriteRecord();

  const config::Config& config() const { return snapshot_->shared->config; }
  const config::Listener& listener() const { return config().listeners[listener_]; }
  metrics::ListenerStats& listener_stats() const {
    return context_->stats->listener(snapshot_->shared->listener_stats[listener_]);
  }
  metrics::BackendStats& backend_stats(size_t backend) const {
    return context_->stats->backend(snapshot_->shared->backend_stats[backend]);
  }

  WorkerContext* context_;
  io::Io* io_;
  std::shared_ptr<const WorkerSnapshot> snapshot_;
  size_t listener_;
  uint64_t id_;
  SocketAddress client_address_;                       // of the client, whoever carries its bytes
  std::unique_ptr<Neighbour> neighbour_;               // null without one
  std::unique_ptr<guard::Visit> visit_;                // null without a guard
  std::unique_ptr<tls::PeerCertificate> certificate_;  // the client's, verified; null without one
  Phase phase_ = Phase::kAccepted;
  Phase reached_ = Phase::kAccepted;
  CloseReason reason_ = CloseReason::kNone;
  CloseReason expire_reason_ = CloseReason::kNone;
  bool refuse_;
  bool joined_ = false;
  bool keepalive_ = false;                            // asked for on the backend's connection
  bool affine_ = false;                               // user_ has joined the table of the snapshot
  bool entered_ = false;                              // ... or is only counted there
  DurationNs stays_for_ = 0;                          // how long its backend is remembered after it
  GuardRefusal guard_refusal_ = GuardRefusal::kNone;  // the last one
  bool password_sent_ = false;  // in this attempt, to a backend that gave no verdict
  bool troubled_ = false;       // refusal_ is a backend's word on itself, not on the credentials
  int backend_ = -1;            // of the last attempt
  int own_backend_ = -1;        // of all who come in this way; -1: the routes say
  int seat_ = -1;               // the backend where this session has one
  bool seat_joined_ = false;    // no longer that of a login in progress
  bool tests_ejected_ = false;  // the attempt began while its backend was ejected
  bool may_pass_ = false;       // the last failure is one that waiting may mend
  int asked_ = -1;              // the backend that vanished when it had got the password
  int blocked_ = -1;            // the backend that was not even asked ...
  metrics::UpstreamError blocked_by_ = metrics::UpstreamError::kOut;  // ... and why not
  TimeNs accepted_at_;
  TimeNs joined_at_ = 0;
  DurationNs handshake_time_ = 0;
  DurationNs upstream_time_ = 0;
  std::string user_;
  absl::string_view method_;
  std::unique_ptr<GreetedUpstream> greeted_;  // upstream_ is open and waits; null: it is not
  std::unique_ptr<PolicyVisit> policy_;       // of the last attempt; null where it was not asked
  std::unique_ptr<LookupVisit> lookup_;       // of the last attempt; null where no lookup was asked
  std::unique_ptr<MaildropClaim> claim_;      // null where nobody conciliates
  std::string refusal_;                       // the reply to a refused login
  std::string upstream_error_;
  std::string tls_error_;
  Channel client_;
  Channel upstream_;
  std::unique_ptr<pop3::LoginDialogue> dialogue_;  // until the login
  std::unique_ptr<DigestMd5Exchange> digest_md5_;  // the last one begun; null without
  int refused_logins_ = 0;                         // what the dialogue had counted by then
  int bad_commands_ = 0;
  std::optional<Relay> relay_;
  io::Timer deadline_;
  io::Timer pause_;
  coro::Wake pause_wake_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_SESSION_H_
