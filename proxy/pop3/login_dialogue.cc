#include "proxy/pop3/login_dialogue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/pop3/capability.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/digest_response.h"
#include "proxy/pop3/reply.h"
#include "proxy/pop3/sasl.h"
#include "proxy/pop3/sasl_first_message.h"

namespace postern::pop3 {
namespace {

constexpr size_t kDigestDigits = 32;

Decision Reply(absl::string_view line) {
  Decision decision;
  decision.action = Action::kReply;
  decision.reply = absl::StrCat(line, "\r\n");
  return decision;
}

// An empty `line` closes without a word.
Decision Close(absl::string_view line, CloseReason reason) {
  Decision decision;
  decision.action = Action::kClose;
  if (!line.empty()) decision.reply = absl::StrCat(line, "\r\n");
  decision.reason = reason;
  return decision;
}

// The first two bytes of any TLS record that opens a handshake.
bool LooksLikeTls(absl::string_view input) { return absl::StartsWith(input, "\x16\x03"); }

bool IsDigest(absl::string_view text) {
  return text.size() == kDigestDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c));
         });
}

Secret LowerCase(absl::string_view digest) {
  char lower[kDigestDigits];
  CHECK(digest.size() == kDigestDigits);
  for (size_t i = 0; i < kDigestDigits; ++i) {
    lower[i] = absl::ascii_tolower(static_cast<unsigned char>(digest[i]));
  }
  Secret result(absl::string_view(lower, kDigestDigits));
  WipeMemory(lower, kDigestDigits);
  return result;
}

}  // namespace

absl::string_view Credentials::method_name() const {
  switch (method) {
    case LoginMethod::kUserPass:
      return "user_pass";
    case LoginMethod::kApop:
      return "apop";
    case LoginMethod::kAuth:
      return InfoOf(mechanism).method;
  }
  CHECK(false);
}

LoginDialogue::LoginDialogue(const DialogueOptions* options, bool tls_active,
                             std::string apop_challenge)
    : options_(options), apop_challenge_(std::move(apop_challenge)), tls_active_(tls_active) {
  CHECK(options != nullptr);
}

void LoginDialogue::RelayGreeting(RelayedGreeting greeting) {
  relays_greeting_ = true;
  apop_challenge_ = std::move(greeting.challenge);
  relayed_greeting_ = std::move(greeting.text);
}

std::string LoginDialogue::Greeting() const {
  const absl::string_view front = xclient_trusted_ ? "[XCLIENT] " : "";
  const bool ever_usable = !apop_challenge_.empty() && (CredentialsAllowed() || CanStartTls());
  const std::string text = relayed_greeting_.empty()
                               ? absl::StrCat(options_->hostname, " POP3 ready")
                               : relayed_greeting_;
  return WriteRelayedGreeting(front, text, ever_usable ? apop_challenge_ : "");
}

Decision LoginDialogue::OnInput(absl::string_view input, size_t* consumed) {
  *consumed = 0;
  if (input.empty()) return Decision();
  Decision decision;
  absl::string_view line;
  size_t used = 0;
  const bool whole = TakeLine(input, &line, &used);
  if (!tls_active_ && LooksLikeTls(input)) {
    decision = Close("", CloseReason::kClientNotPop3);
  } else if (StartsWithHttpMethod(whole ? line : input, whole && awaiting_ == Awaiting::kCommand)) {
    // While SASL goes on only "METHOD " counts: "HEAD" alone is good base64.
    decision = Close("", CloseReason::kClientNotPop3);
  } else if (whole ? used > LineLimit(input) : input.size() >= LineLimit(input)) {
    decision = Close("-ERR Line too long", CloseReason::kLineTooLong);
  } else if (whole) {
    decision = OnLine(line, used < input.size());
  } else {
    return Decision();
  }
  const bool uses_all = decision.action == Action::kClose || decision.action == Action::kStartTls;
  *consumed = uses_all ? input.size() : used;
  return decision;
}

void LoginDialogue::OnTlsStarted() {
  CHECK(!tls_active_);
  tls_active_ = true;
  user_.clear();
  awaiting_ = Awaiting::kCommand;
}

bool LoginDialogue::OnLoginRefused() {
  ++refused_logins_;
  return refused_logins_ < options_->logins_max;
}

bool LoginDialogue::OnLoginTroubled() {
  ++troubled_logins_;
  return troubled_logins_ < options_->logins_max;
}

bool LoginDialogue::IsOffered(Mechanism mechanism) const {
  // RFC 4422 appendix A: EXTERNAL means something to who has shown a certificate only.
  if (mechanism == Mechanism::kExternal && certificate_user_.empty()) return false;
  if (offer_ == nullptr) return true;
  return std::find(offer_->withheld.begin(), offer_->withheld.end(), mechanism) ==
         offer_->withheld.end();
}

std::optional<Mechanism> LoginDialogue::FindOffered(absl::string_view name) const {
  for (const Mechanism mechanism : options_->mechanisms) {
    if (!absl::EqualsIgnoreCase(name, InfoOf(mechanism).name)) continue;
    if (IsOffered(mechanism)) return mechanism;
  }
  return std::nullopt;
}

size_t LoginDialogue::LineLimit(absl::string_view pending) const {
  const bool sasl = awaiting_ != Awaiting::kCommand || absl::StartsWithIgnoreCase(pending, "AUTH ");
  if (xclient_trusted_ && absl::StartsWithIgnoreCase(pending, "XCLIENT ")) {
    return std::max(options_->line_bytes_max, kXclientBytesMax);
  }
  return sasl ? options_->sasl_bytes_max : options_->line_bytes_max;
}

Decision LoginDialogue::OnLine(absl::string_view line, bool more_behind) {
  if (HasControlBytes(line)) {
    // A bare CR too: what one parser takes for a line end, another takes for text.
    constexpr absl::string_view kReply = "-ERR Control characters are not allowed";
    const Awaiting answered = std::exchange(awaiting_, Awaiting::kCommand);
    user_.clear();
    return answered == Awaiting::kSaslResponse ? BadSaslResponse(kReply) : Bad(kReply);
  }
  return awaiting_ == Awaiting::kCommand ? OnCommand(line, more_behind) : OnSaslLine(line);
}

Decision LoginDialogue::OnCommand(absl::string_view line, bool more_behind) {
  const Command command = ParseCommand(line);
  const absl::string_view argument = WithoutTrailingSpaces(command.argument);
  switch (command.verb) {
    case Verb::kUser:
      return OnUser(command.argument);
    case Verb::kPass:
      return OnPass(command.argument);
    case Verb::kApop:
      return OnApop(argument);
    case Verb::kAuth:
      return OnAuth(argument);
    case Verb::kCapa:
      return Capabilities();  // with an argument as well: peers do so
    case Verb::kStls:
      return OnStls(argument, more_behind);
    case Verb::kNoop:
      return argument.empty() ? Reply("+OK") : Bad("-ERR NOOP takes no argument");
    case Verb::kQuit:
      if (!argument.empty()) return Bad("-ERR QUIT takes no argument");
      return Close("+OK Goodbye", CloseReason::kQuitBeforeLogin);
    case Verb::kXclient:
      if (!xclient_trusted_) break;
      return OnXclient(command.argument);
    case Verb::kTransaction:
      return Bad("-ERR Log in first");
    case Verb::kUnknown:
      break;
  }
  return Bad("-ERR Unknown command");
}

Decision LoginDialogue::OnUser(absl::string_view user) {
  user_.clear();
  if (!options_->user_pass) return Bad("-ERR USER and PASS are not offered here");
  if (!CredentialsAllowed()) return RefuseCredentials();
  if (WithoutTrailingSpaces(user).empty()) return Bad("-ERR USER needs a name");
  user_ = std::string(user);
  return Reply("+OK");
}

Decision LoginDialogue::OnPass(absl::string_view password) {
  if (!options_->user_pass) return Bad("-ERR USER and PASS are not offered here");
  if (!CredentialsAllowed()) return RefuseCredentials();
  if (user_.empty()) return Bad("-ERR USER comes first");
  std::string user = std::exchange(user_, std::string());
  if (password.empty()) return Bad("-ERR PASS needs a password");
  return Login(LoginMethod::kUserPass, std::move(user), Secret(password));
}

Decision LoginDialogue::OnApop(absl::string_view argument) {
  user_.clear();
  if (apop_challenge_.empty()) return Bad("-ERR APOP is not offered here");
  if (!ApopUsable()) return RefuseCredentials();
  // The digest is the last word; a name may hold spaces.
  const size_t space = argument.rfind(' ');
  if (space == absl::string_view::npos) return Bad("-ERR APOP needs a name and a digest");
  const absl::string_view user = argument.substr(0, space);
  const absl::string_view digest = argument.substr(space + 1);
  if (WithoutTrailingSpaces(user).empty() || !IsDigest(digest)) {
    return Bad("-ERR APOP needs a name and a digest");
  }
  Decision decision = Login(LoginMethod::kApop, std::string(user), Secret());
  decision.credentials.digest = LowerCase(digest);
  decision.credentials.challenge = apop_challenge_;
  decision.credentials.for_backend = relays_greeting_;
  return decision;
}

Decision LoginDialogue::OnAuth(absl::string_view argument) {
  user_.clear();
  if (options_->mechanisms.empty()) return Bad("-ERR AUTH is not offered here");
  if (!CredentialsAllowed()) return RefuseCredentials();
  if (argument.empty()) return MechanismList();

  const size_t space = argument.find(' ');
  const absl::string_view name = argument.substr(0, space);
  const bool has_initial_response = space != absl::string_view::npos;
  absl::string_view initial_response;
  if (has_initial_response) initial_response = argument.substr(space + 1);
  const bool says_nothing = initial_response == "=";  // RFC 5034 section 4: the empty one

  const std::optional<Mechanism> mechanism = FindOffered(name);
  if (!mechanism.has_value()) return Bad("-ERR Unknown mechanism");
  mechanism_ = *mechanism;
  if (mechanism_ == Mechanism::kLogin) {
    // In LOGIN the server speaks first, so a client that opens with nothing (Dovecot's proxy
    // writes "AUTH LOGIN =") waits for the prompt.
    if (has_initial_response && !says_nothing) {
      return OnSaslResponse(Awaiting::kLoginUser, initial_response);
    }
    awaiting_ = Awaiting::kLoginUser;
    return Reply("+ VXNlcm5hbWU6");  // "Username:"
  }
  if (mechanism_ == Mechanism::kCramMd5 || mechanism_ == Mechanism::kDigestMd5) {
    // The server speaks first (RFC 5034 section 4 has no initial response then).
    if (has_initial_response && !says_nothing) {
      return Bad(absl::StrCat("-ERR ", InfoOf(mechanism_).name, " begins with our challenge"));
    }
    Decision decision;
    const bool cram = mechanism_ == Mechanism::kCramMd5;
    decision.action = cram ? Action::kCramChallenge : Action::kDigestChallenge;
    return decision;
  }
  const Awaiting first = mechanism_ == Mechanism::kPlain      ? Awaiting::kPlainMessage
                         : mechanism_ == Mechanism::kExternal ? Awaiting::kAuthorizationId
                                                              : Awaiting::kFirstMessage;
  if (has_initial_response) return OnSaslResponse(first, says_nothing ? "" : initial_response);
  awaiting_ = first;
  return Reply("+ ");
}

Decision LoginDialogue::OnStls(absl::string_view argument, bool more_behind) {
  if (tls_active_) return Bad("-ERR TLS is active already");
  if (!options_->stls) return Bad("-ERR STLS is not offered here");
  if (!argument.empty()) return Bad("-ERR STLS takes no argument");
  // Plaintext behind STLS would be read as if it had come through TLS (CVE-2021-38084 and many
  // before it). No honest client sends it, so there is nobody to be polite to.
  if (more_behind) return Close("", CloseReason::kStlsInjection);
  Decision decision = Reply("+OK Begin TLS negotiation");
  decision.action = Action::kStartTls;
  return decision;
}

Decision LoginDialogue::OnXclient(absl::string_view argument) {
  std::optional<XclientFacts> facts = ReadXclient(argument);
  if (!facts.has_value()) return Bad("-ERR Invalid parameters");
  if (facts->tls.has_value()) neighbour_has_tls_ = *facts->tls;
  Decision decision = Reply("+OK Updated");
  decision.action = Action::kXclient;
  decision.xclient = std::make_unique<XclientFacts>(*std::move(facts));
  return decision;
}

Decision LoginDialogue::OnSaslLine(absl::string_view line) {
  const Awaiting answered = std::exchange(awaiting_, Awaiting::kCommand);
  if (answered == Awaiting::kSaslResponse) return OnCarriedLine(line);
  if (line == "*") {
    user_.clear();
    return Bad("-ERR Cancelled");
  }
  return OnSaslResponse(answered, line);
}

Decision LoginDialogue::OnSaslResponse(Awaiting answered, absl::string_view base64) {
  std::string user = std::exchange(user_, std::string());
  absl::StatusOr<Secret> response = DecodeBase64(base64);
  if (!response.ok()) return Bad("-ERR Not valid base64");
  if (answered == Awaiting::kCramResponse) return OnCramResponse(response->view());
  if (answered == Awaiting::kDigestResponse) return OnDigestResponse(response->view());
  if (answered == Awaiting::kFirstMessage) return OnFirstMessage(base64, response->view());
  if (answered == Awaiting::kAuthorizationId) return OnAuthorizationId(response->view());
  const size_t bytes_max = options_->credential_bytes_max;

  if (answered == Awaiting::kPlainMessage) {
    absl::StatusOr<PlainMessage> message = ParsePlain(response->view());
    if (!message.ok() || message->user.size() > bytes_max || message->password.size() > bytes_max) {
      return Bad("-ERR Malformed PLAIN message");
    }
    // Acting for somebody else is for master users, whom the backends know and we do not.
    if (!message->authorization_id.empty() && message->authorization_id != message->user) {
      return Bad("-ERR An authorization identity of another user is not accepted");
    }
    return Login(LoginMethod::kAuth, std::move(message->user), std::move(message->password));
  }

  CHECK(answered == Awaiting::kLoginUser || answered == Awaiting::kLoginPassword);
  if (response->empty() || response->size() > bytes_max || HasControlBytes(response->view())) {
    return Bad("-ERR Malformed LOGIN response");
  }
  if (answered == Awaiting::kLoginUser) {
    user_ = std::string(response->view());
    awaiting_ = Awaiting::kLoginPassword;
    return Reply("+ UGFzc3dvcmQ6");  // "Password:"
  }
  return Login(LoginMethod::kAuth, std::move(user), *std::move(response));
}

Decision LoginDialogue::OnFirstMessage(absl::string_view base64, absl::string_view message) {
  std::string user;
  switch (ReadFirstMessage(mechanism_, message, &user)) {
    case FirstMessage::kGood:
      break;
    case FirstMessage::kMalformed:
      return Bad("-ERR Malformed first message");
    case FirstMessage::kForeign:
      return Bad("-ERR An authorization identity of another user is not accepted");
  }
  if (user.size() > options_->credential_bytes_max) return Bad("-ERR Malformed first message");
  Decision decision = Login(LoginMethod::kAuth, std::move(user), Secret());
  decision.credentials.sasl_message = Secret(base64);
  return decision;
}

std::string LoginDialogue::OnCramChallenge(std::string challenge) {
  cram_challenge_ = std::move(challenge);
  awaiting_ = Awaiting::kCramResponse;
  return absl::StrCat("+ ", EncodeBase64(cram_challenge_), "\r\n");
}

// RFC 2195: the name, a space, the digest; a name may hold spaces.
Decision LoginDialogue::OnCramResponse(absl::string_view message) {
  std::string challenge = std::exchange(cram_challenge_, std::string());
  const size_t space = message.rfind(' ');
  if (space == absl::string_view::npos || HasControlBytes(message)) {
    return Bad("-ERR Malformed CRAM-MD5 response");
  }
  const absl::string_view user = message.substr(0, space);
  const absl::string_view digest = message.substr(space + 1);
  if (WithoutTrailingSpaces(user).empty() || user.size() > options_->credential_bytes_max ||
      !IsDigest(digest)) {
    return Bad("-ERR Malformed CRAM-MD5 response");
  }
  Decision decision = Login(LoginMethod::kAuth, std::string(user), Secret());
  decision.credentials.digest = LowerCase(digest);
  decision.credentials.challenge = std::move(challenge);
  return decision;
}

std::string LoginDialogue::OnDigestChallenge(absl::string_view challenge) {
  awaiting_ = Awaiting::kDigestResponse;
  return absl::StrCat("+ ", EncodeBase64(challenge), "\r\n");
}

Decision LoginDialogue::OnDigestResponse(absl::string_view message) {
  const std::optional<DigestResponse> response = ReadDigestResponse(message);
  if (!response.has_value() || response->user.size() > options_->credential_bytes_max ||
      (!response->realm.empty() && response->realm != options_->hostname)) {
    return Bad("-ERR Malformed DIGEST-MD5 response");
  }
  if (!response->authorization_id.empty() && response->authorization_id != response->user) {
    return Bad("-ERR An authorization identity of another user is not accepted");
  }
  Decision decision = Login(LoginMethod::kAuth, response->user, Secret());
  decision.credentials.digest = Secret(message);
  return decision;
}

// RFC 4422 appendix A: empty, or whom to act for; acting for others is not for clients.
Decision LoginDialogue::OnAuthorizationId(absl::string_view id) {
  if (HasControlBytes(id)) return Bad("-ERR Malformed authorization identity");
  if (!id.empty() && id != certificate_user_) {
    return Bad("-ERR An authorization identity of another user is not accepted");
  }
  return Login(LoginMethod::kAuth, certificate_user_, Secret());
}

// The backend understands the answer, or cancels with it; we only see to its form.
Decision LoginDialogue::OnCarriedLine(absl::string_view line) {
  if (line != "*" && !DecodeBase64(line).ok()) return BadSaslResponse("-ERR Not valid base64");
  Decision decision;
  decision.action = Action::kSaslResponse;
  decision.sasl_response = Secret(line);
  return decision;
}

Decision LoginDialogue::BadSaslResponse(absl::string_view reply) {
  Decision decision = Bad(reply);
  if (decision.action == Action::kReply) decision.action = Action::kSaslAbort;
  return decision;
}

Decision LoginDialogue::Capabilities() const {
  std::vector<absl::string_view> mechanisms;
  CapabilityState state;
  if (CredentialsAllowed()) {
    state.user_pass = options_->user_pass;
    for (const Mechanism mechanism : options_->mechanisms) {
      if (IsOffered(mechanism)) mechanisms.push_back(InfoOf(mechanism).name);
    }
  }
  state.mechanisms = mechanisms;
  state.stls = CanStartTls();
  Decision decision;
  decision.action = Action::kReply;
  decision.reply =
      CapabilityReply(state, offer_ == nullptr ? options_->capabilities : offer_->capabilities);
  return decision;
}

Decision LoginDialogue::MechanismList() const {
  std::string lines = "+OK Mechanism list follows\r\n";
  for (const Mechanism mechanism : options_->mechanisms) {
    if (IsOffered(mechanism)) absl::StrAppend(&lines, InfoOf(mechanism).name, "\r\n");
  }
  return Reply(absl::StrCat(lines, "."));
}

Decision LoginDialogue::Bad(absl::string_view reply) {
  ++bad_commands_;
  if (bad_commands_ >= options_->bad_commands_max) {
    return Close("-ERR Too many bad commands", CloseReason::kTooManyBadCommands);
  }
  return Reply(reply);
}

Decision LoginDialogue::RefuseCredentials() {
  return Bad(CanStartTls() ? "-ERR Use STLS first" : "-ERR Logins are not accepted without TLS");
}

Decision LoginDialogue::Login(LoginMethod method, std::string user, Secret password) {
  Decision decision;
  decision.action = Action::kLogin;
  decision.credentials.method = method;
  decision.credentials.mechanism = mechanism_;
  decision.credentials.user = std::move(user);
  decision.credentials.password = std::move(password);
  return decision;
}

std::string MakeApopChallenge(absl::string_view hostname, absl::string_view random_16_bytes) {
  uint64_t parts[2];
  CHECK(random_16_bytes.size() == sizeof(parts));
  std::memcpy(parts, random_16_bytes.data(), sizeof(parts));
  return absl::StrCat("<", parts[0], ".", parts[1], "@", hostname, ">");
}

}  // namespace postern::pop3
