// The client's half of the AUTHORIZATION state (RFC 1939, 2449, 2595, 5034, 3206) without I/O:
// bytes in, decisions out. No socket, no clock; fuzzed.
//
// The session feeds it what the client sent, carries out each decision, and tells it the outcome.
//
// A line ends in CRLF or LF. Control bytes anywhere in a line, and in a decoded SASL message, make
// it a bad command: what is routed, limited, logged and forwarded is one and the same string. Bytes
// above 0x7F pass as they are. No reply ever holds a byte of the input.
//
// Credentials where they are not allowed (no TLS, no plaintext_logins) get a plain -ERR without a
// response code. [AUTH] would be wrong: RFC 3206 keeps it for credentials that were judged, clients
// answer it by asking the user for another password, and on USER it is not allowed at all.
#ifndef POSTERN_PROXY_POP3_LOGIN_DIALOGUE_H_
#define POSTERN_PROXY_POP3_LOGIN_DIALOGUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/secret.h"
#include "proxy/pop3/capability.h"
#include "proxy/pop3/mechanism.h"
#include "proxy/pop3/relayed_greeting.h"
#include "proxy/pop3/xclient.h"

namespace postern::pop3 {

struct DialogueOptions {
  std::string hostname = "localhost";  // in the greeting and in APOP challenges
  bool stls = false;                   // this listener offers STLS
  bool plaintext_logins = false;       // credentials allowed without TLS
  bool user_pass = true;               // USER and PASS offered at all
  std::vector<Mechanism> mechanisms = {Mechanism::kPlain, Mechanism::kLogin};
  bool apop = false;  // APOP usable: a challenge stands in the greeting
  // CAPA lines that every backend behind this listener holds, for example "TOP", "UIDL",
  // "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE".
  std::vector<std::string> capabilities = {"TOP", "UIDL", "RESP-CODES", "PIPELINING",
                                           "AUTH-RESP-CODE"};
  size_t line_bytes_max = 512;         // a command, with its line end
  size_t sasl_bytes_max = 20480;       // a SASL line or an AUTH command, with its line end
  size_t credential_bytes_max = 1000;  // a user or a password out of SASL: what fits upstream
  int bad_commands_max = 10;           // the one that reaches it ends the session
  int logins_max = 3;                  // the refused login that reaches it ends the session
};

enum class LoginMethod { kUserPass, kApop, kAuth };

// What the client gave us; user and one of the secrets are never empty. Control bytes never get
// this far (one identity, one string).
struct Credentials {
  LoginMethod method = LoginMethod::kUserPass;
  Mechanism mechanism = Mechanism::kPlain;  // kAuth only
  std::string user;                         // as sent; not normalised
  Secret password;                          // empty for APOP and where the exchange is carried
  // APOP and CRAM-MD5: 32 hexadecimal digits, lower case, and what they were made with. DIGEST-MD5:
  // the client's whole message; the challenge is with whoever made it.
  Secret digest;
  std::string challenge;
  // The digest answers a backend's challenge (LoginDialogue::RelayGreeting): only it can judge.
  bool for_backend = false;
  Secret sasl_message;  // the first message of a carried exchange, in base64 as it was sent

  bool carried() const { return !sasl_message.empty(); }
  // We judge it, and need the secret for that.
  bool shows_digest() const { return !digest.empty() && !for_backend; }
  bool by_digest_md5() const {
    return method == LoginMethod::kAuth && mechanism == Mechanism::kDigestMd5;
  }
  // Nothing is left to judge: TLS has proven who it is.
  bool by_certificate() const {
    return method == LoginMethod::kAuth && mechanism == Mechanism::kExternal;
  }
  // "user_pass", "apop", "auth_plain", ...: for logs.
  absl::string_view method_name() const;
};

enum class Action {
  kNeedInput,        // nothing to do until more bytes come
  kReply,            // send `reply`, go on
  kStartTls,         // send `reply` in the clear, then shake hands, then call OnTlsStarted()
  kXclient,          // `xclient` is true of the client from now on; send `reply`, go on
  kLogin,            // try `credentials`, then call OnLoginRefused(), or leave the dialogue
  kCramChallenge,    // make a challenge and give it to OnCramChallenge(), whose reply is sent
  kDigestChallenge,  // the same with OnDigestChallenge()
  kSaslResponse,     // after ExpectSaslResponse(): `sasl_response` is for the backend
  kSaslAbort,        // after ExpectSaslResponse(): end the exchange, send `reply`, go on
  kClose,            // send `reply` (may be empty), then end the session with `reason`
};

struct Decision {
  Action action = Action::kNeedInput;
  std::string reply;                        // whole lines with CRLF
  Credentials credentials;                  // kLogin only
  std::unique_ptr<XclientFacts> xclient;    // kXclient only
  Secret sasl_response;                     // kSaslResponse only: base64, or "*" to cancel
  CloseReason reason = CloseReason::kNone;  // kClose only
};

class LoginDialogue {
 public:
  // `options` must outlive the dialogue. `apop_challenge` is the whole "<digits.digits@host>" or
  // empty when APOP is not usable.
  LoginDialogue(const DialogueOptions* options, bool tls_active, std::string apop_challenge);

  // The client is a neighbour we trust: XCLIENT is announced and taken. Before Greeting().
  void TrustXclient() { xclient_trusted_ = true; }

  // What is promised from now on, instead of the lines and all the mechanisms of the options; null
  // changes nothing.
  void SetOffer(std::shared_ptr<const Offer> offer) { offer_ = std::move(offer); }

  // Whom the client's verified certificate names, without control bytes; AUTH EXTERNAL is offered
  // to nobody else. After the handshake; empty: nobody.
  void SetCertificateUser(std::string user) { certificate_user_ = std::move(user); }

  // The client is greeted in a backend's words, and APOP answers that backend's challenge: see
  // Credentials::for_backend. Before Greeting(). Without a challenge APOP is not offered.
  void RelayGreeting(RelayedGreeting greeting);

  // "+OK <hostname> ... [<challenge>]\r\n". The challenge is in it only if APOP can be used now or
  // after STLS: the greeting comes once, and clients try APOP when they see a '<'.
  std::string Greeting() const;

  // Takes whole lines from the front of `input` until one calls for a decision, and says in
  // *consumed how many bytes it used. kNeedInput: everything whole was used; keep the rest and
  // call again with more behind it. Splitting the input anywhere gives the same decisions, with
  // one exception on purpose: bytes behind STLS in the same input end the session (kStlsInjection).
  // A session that reads such bytes before its "+OK" has left must do the same.
  //
  // kReply and kLogin use one line; the rest, pipelined, stays with the caller, who calls again
  // (after a login: once it was refused). kStartTls and kClose use everything.
  Decision OnInput(absl::string_view input, size_t* consumed);

  // The handshake after kStartTls is done: everything the client said before is forgotten
  // (RFC 2595 section 4).
  void OnTlsStarted();

  // `challenge` is "<digits.digits@host>" of fresh randomness; the next line of the client answers
  // it, and nothing else ever does. Returns the line for the client.
  std::string OnCramChallenge(std::string challenge);
  // Likewise with a digest-challenge (RFC 2831 section 2.1.1) that has the host name as its realm.
  std::string OnDigestChallenge(absl::string_view challenge);

  // The backend's challenge is on its way to the client, whose next line answers it.
  void ExpectSaslResponse() { awaiting_ = Awaiting::kSaslResponse; }

  // The login just tried was refused. The session sends the reply itself (it may be the
  // backend's); this returns whether the client may try again.
  bool OnLoginRefused();
  // Likewise when there was no verdict on the credentials: the backend told of trouble of its own.
  // That is no refused login, but there is an end to such answers too, after as many.
  bool OnLoginTroubled();

  int bad_commands() const { return bad_commands_; }
  int refused_logins() const { return refused_logins_; }
  const std::string& apop_challenge() const { return apop_challenge_; }

 private:
  // What the next line answers.
  enum class Awaiting : uint8_t {
    kCommand,
    kPlainMessage,
    kLoginUser,
    kLoginPassword,
    kFirstMessage,  // of mechanism_, a carried one
    kCramResponse,
    kDigestResponse,
    kAuthorizationId,  // of EXTERNAL
    kSaslResponse,     // for the backend
  };

  bool CredentialsAllowed() const {
    return tls_active_ || neighbour_has_tls_ || options_->plaintext_logins;
  }
  bool CanStartTls() const { return options_->stls && !tls_active_; }
  bool ApopUsable() const { return CredentialsAllowed() && !apop_challenge_.empty(); }
  bool IsOffered(Mechanism mechanism) const;
  // The mechanism of that name, if it is offered.
  std::optional<Mechanism> FindOffered(absl::string_view name) const;
  size_t LineLimit(absl::string_view pending) const;
  Decision OnLine(absl::string_view line, bool more_behind);
  Decision OnCommand(absl::string_view line, bool more_behind);
  Decision OnUser(absl::string_view user);
  Decision OnPass(absl::string_view password);
  Decision OnApop(absl::string_view argument);
  Decision OnAuth(absl::string_view argument);
  Decision OnXclient(absl::string_view argument);
  Decision OnStls(absl::string_view argument, bool more_behind);
  Decision OnSaslLine(absl::string_view line);
  Decision OnSaslResponse(Awaiting answered, absl::string_view base64);
  Decision OnFirstMessage(absl::string_view base64, absl::string_view message);
  Decision OnCarriedLine(absl::string_view line);
  Decision OnCramResponse(absl::string_view message);
  Decision OnDigestResponse(absl::string_view message);
  Decision OnAuthorizationId(absl::string_view id);
  Decision Capabilities() const;
  Decision MechanismList() const;
  Decision Bad(absl::string_view reply);
  Decision RefuseCredentials();
  Decision BadSaslResponse(absl::string_view reply);
  Decision Login(LoginMethod method, std::string user, Secret password);

  const DialogueOptions* options_;
  std::string apop_challenge_;
  bool relays_greeting_ = false;  // apop_challenge_ is a backend's
  std::string relayed_greeting_;  // its words; empty: ours
  std::string user_;              // from USER, or from the first half of AUTH LOGIN
  int bad_commands_ = 0;
  int refused_logins_ = 0;
  int troubled_logins_ = 0;
  bool tls_active_;
  bool xclient_trusted_ = false;
  bool neighbour_has_tls_ = false;  // XCLIENT said that the client speaks TLS with the neighbour
  Awaiting awaiting_ = Awaiting::kCommand;
  Mechanism mechanism_ = Mechanism::kPlain;  // of the AUTH under way
  std::string cram_challenge_;               // while awaiting its response
  std::shared_ptr<const Offer> offer_;       // null: what the options say
  std::string certificate_user_;             // empty: no certificate, or one without a name
};

// "<digits.digits@hostname>" from 128 bits that the caller took from a CSPRNG. The form is what
// RFC 1939 shows and what every client accepts (some check it, since CVE-2007-1558).
// `random_16_bytes` must be exactly that long.
std::string MakeApopChallenge(absl::string_view hostname, absl::string_view random_16_bytes);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_LOGIN_DIALOGUE_H_
