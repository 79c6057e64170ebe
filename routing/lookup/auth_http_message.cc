#include "routing/lookup/auth_http_message.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"
#include "proxy/base/socket_address.h"

namespace postern::routing {
namespace {

using Kind = LookupAnswer::Kind;

// What a client may hear of a service's words: RFC 2449 section 4 has 512 octets for a line.
constexpr size_t kWordsBytesMax = 400;
constexpr int64_t kWaitSecondsMax = 3600;
constexpr int64_t kTtlSecondsMax = 86400;

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), &IsControl);
}

class Lines {
 public:
  explicit Lines(std::vector<Secret>* lines) : lines_(lines) {}

  void Add(absl::string_view name, absl::string_view value) {
    bad_ = bad_ || HasControl(name) || HasControl(value);
    std::string line = absl::StrCat(name, ": ", value);
    lines_->emplace_back(line);
    WipeMemory(line.data(), line.size());
  }
  void AddEscaped(absl::string_view name, absl::string_view value) {
    std::string escaped = EscapeAuthHttp(value);
    // 0x7F, which nginx sends as it is.
    Add(name, escaped);
    WipeMemory(escaped.data(), escaped.size());
  }
  void AddIfAny(absl::string_view name, absl::string_view value) {
    if (!value.empty()) Add(name, value);
  }
  bool bad() const { return bad_; }

 private:
  std::vector<Secret>* lines_;
  bool bad_ = false;
};

// A certificate that is shown and not good has ended the handshake: nobody is "FAILED".
void AddCertificate(const LookupCertificate& certificate, bool whole, Lines* out) {
  if (!certificate.wanted) return;
  out->Add("Auth-SSL-Verify", certificate.fingerprint.empty() ? "NONE" : "SUCCESS");
  out->AddIfAny("Auth-SSL-Subject", certificate.subject);
  out->AddIfAny("Auth-SSL-Issuer", certificate.issuer);
  out->AddIfAny("Auth-SSL-Serial", certificate.serial);
  out->AddIfAny("Auth-SSL-Fingerprint", certificate.fingerprint);
  if (whole && !certificate.pem.empty()) out->AddEscaped("Auth-SSL-Cert", certificate.pem);
}

// The values of a reply that mean something; views into it. Of two the last one counts.
struct Fields {
  std::optional<absl::string_view> status, server, port, user, pass, wait, cache_control;

  std::optional<absl::string_view>* Find(absl::string_view name) {
    const std::pair<absl::string_view, std::optional<absl::string_view>*> known[] = {
        {"auth-status", &status},
        {"auth-server", &server},
        {"auth-port", &port},
        {"auth-user", &user},
        {"auth-pass", &pass},
        {"auth-wait", &wait},
        {"cache-control", &cache_control}};
    for (const auto& [word, field] : known) {
      if (absl::EqualsIgnoreCase(name, word)) return field;
    }
    return nullptr;
  }
};

absl::string_view TakeLine(absl::string_view* text) {
  const size_t end = text->find('\n');
  absl::string_view line = text->substr(0, end);
  text->remove_prefix(end == absl::string_view::npos ? text->size() : end + 1);
  absl::ConsumeSuffix(&line, "\r");
  return line;
}

// Only spaces, as nginx does.
absl::string_view Trimmed(absl::string_view value) {
  while (absl::ConsumePrefix(&value, " ")) {
  }
  while (absl::ConsumeSuffix(&value, " ")) {
  }
  return value;
}

// False when a line is no header: what else got lost is then anybody's guess.
bool ReadFields(absl::string_view head, Fields* fields) {
  while (!head.empty()) {
    const absl::string_view line = TakeLine(&head);
    if (line.empty()) return true;
    const size_t colon = line.find(':');
    const absl::string_view name = line.substr(0, colon);
    const bool good =
        colon != absl::string_view::npos && !name.empty() &&
        std::all_of(name.begin(), name.end(), [](char c) {
          return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
        });
    if (!good) return false;
    if (std::optional<absl::string_view>* field = fields->Find(name)) {
      *field = Trimmed(line.substr(colon + 1));
    }
  }
  return true;
}

// "HTTP/1.1 204 No Content"; 0: no status line, or one without a number.
int TakeStatusCode(absl::string_view* head) {
  if (!absl::StartsWith(*head, "HTTP/")) return 0;
  const absl::string_view line = TakeLine(head);
  const size_t space = line.find(' ');
  int code = 0;
  if (space == absl::string_view::npos || !absl::SimpleAtoi(line.substr(space + 1, 3), &code)) {
    return 0;
  }
  return code;
}

std::optional<int64_t> Seconds(const std::optional<absl::string_view>& value, int64_t max) {
  int64_t seconds = 0;
  if (!value.has_value() || !absl::SimpleAtoi(*value, &seconds) || seconds < 0) return {};
  return std::min(seconds, max);
}

// Whatever the service says becomes one short line of printable text.
std::string CleanWords(absl::string_view words) {
  std::string clean(words.substr(0, kWordsBytesMax));
  clean.erase(std::remove_if(clean.begin(), clean.end(), &IsControl), clean.end());
  return clean;
}

// -1: not a hexadecimal digit.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string DecodePercent(absl::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
        HexDigit(text[i + 2]) >= 0) {
      plain += static_cast<char>(16 * HexDigit(text[i + 1]) + HexDigit(text[i + 2]));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

LookupAnswer Bad(absl::string_view what) {
  return LookupAnswer::Of(Kind::kTemporary, std::string(what));
}

LookupAnswer Refusal(absl::string_view words, const Fields& fields) {
  LookupAnswer answer;
  // What may pass is no verdict. Response codes are in any case (RFC 2449 section 8).
  answer.kind =
      absl::StartsWithIgnoreCase(words, "[SYS/TEMP]") ? Kind::kTemporary : Kind::kForbidden;
  answer.refusal = CleanWords(words);
  answer.detail = absl::StrCat("refused with \"", EscapeForLog(answer.refusal, 120), "\"");
  if (const auto wait = Seconds(fields.wait, kWaitSecondsMax)) answer.wait = *wait * kSecond;
  return answer;
}

// Auth-Server and Auth-Port: an address as nginx has it, or the name of a backend or pool. False:
// `*what` says what is wrong.
bool ReadTarget(const Fields& fields, std::string* target, std::string* what) {
  absl::string_view server = *fields.server;
  if (server.size() > 2 && server.front() == '[' && server.back() == ']') {
    server = server.substr(1, server.size() - 2);
  }
  const absl::StatusOr<SocketAddress> ip = SocketAddress::FromIp(server, 1);
  int port = 0;
  if (fields.port.has_value() &&
      (!std::all_of(fields.port->begin(), fields.port->end(),
                    [](char c) { return c >= '0' && c <= '9'; }) ||
       !absl::SimpleAtoi(*fields.port, &port) || port < 1 || port > 65535)) {
    *what = absl::StrCat("Auth-Port is \"", EscapeForLog(*fields.port, 40),
                         "\", which is no port from 1 to 65535");
    return false;
  }
  if (!ip.ok()) {
    const bool named = !server.empty() && server.size() <= 64 &&
                       std::all_of(server.begin(), server.end(), [](char c) {
                         return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
                                c == '.' || c == '_';
                       });
    if (!named) {
      *what = absl::StrCat("Auth-Server is \"", EscapeForLog(server, 80),
                           "\", neither an IP address nor the name of a backend or pool");
      return false;
    }
    *target = std::string(server);
    return true;
  }
  if (port == 0) {
    *what = "an Auth-Server without an Auth-Port";
    return false;
  }
  *target = SocketAddress::FromIp(server, static_cast<uint16_t>(port))->ToString();
  return true;
}

LookupAnswer Found(const Fields& fields, const AuthHttpRules& rules) {
  LookupAnswer answer = LookupAnswer::Of(Kind::kFound);
  if (!fields.server.has_value()) {
    // With an explicit OK the route may know where to; anything else is no reply of this protocol.
    if (!fields.status.has_value()) return Bad("neither Auth-Status nor Auth-Server in the reply");
  } else {
    std::string what;
    if (!ReadTarget(fields, &answer.target, &what)) return Bad(what);
  }
  const auto decode = [&rules](absl::string_view value) {
    return rules.percent ? DecodePercent(value) : std::string(value);
  };
  if (fields.user.has_value()) {
    answer.login_user = decode(*fields.user);
    if (HasControl(answer.login_user)) return Bad("a control character in Auth-User");
  }
  if (fields.pass.has_value()) {
    std::string password = decode(*fields.pass);
    const bool bad = HasControl(password);
    answer.login_secret.emplace(password);
    WipeMemory(password.data(), password.size());
    if (bad) return Bad("a control character in Auth-Pass");
  }
  if (fields.cache_control.has_value()) {
    absl::string_view age = *fields.cache_control;
    if (absl::StrContains(absl::AsciiStrToLower(age), "no-store")) {
      answer.ttl = 0;
    } else if (absl::ConsumePrefix(&age, "max-age=")) {
      if (const auto seconds = Seconds(age, kTtlSecondsMax)) answer.ttl = *seconds * kSecond;
    }
  }
  answer.detail = fields.user.has_value() || fields.pass.has_value()
                      ? absl::StrCat("OK", fields.user.has_value() ? ", with Auth-User" : "",
                                     fields.pass.has_value() ? ", with Auth-Pass" : "")
                      : "OK";
  return answer;
}

}  // namespace

std::string EscapeAuthHttp(absl::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string escaped;
  // Once: a block that grows would leave copies of a password behind.
  escaped.reserve(3 * text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && c != '%') {
      escaped += c;
      continue;
    }
    escaped += '%';
    escaped += kDigits[byte >> 4];
    escaped += kDigits[byte & 15];
  }
  return escaped;
}

absl::Status AuthHttpRequest(const LookupQuestion& question, const AuthHttpExtras& extras,
                             std::vector<Secret>* lines) {
  Lines out(lines);
  out.Add("Auth-Method", question.method);
  out.AddEscaped("Auth-User", question.user);
  out.AddEscaped("Auth-Pass",
                 question.digest.empty() ? question.password.view() : question.digest.view());
  if (!question.challenge.empty()) out.Add("Auth-Salt", question.challenge);
  out.Add("Auth-Protocol", "pop3");
  out.Add("Auth-Login-Attempt", absl::StrCat(question.attempt));
  out.Add("Client-IP", question.client_ip);
  if (!question.proxied_from.empty()) {
    out.Add("Proxy-Protocol-Addr", question.proxied_from.IpText());
    out.Add("Proxy-Protocol-Port", absl::StrCat(question.proxied_from.port()));
    out.Add("Proxy-Protocol-Server-Addr", question.proxied_to.IpText());
    out.Add("Proxy-Protocol-Server-Port", absl::StrCat(question.proxied_to.port()));
  }
  if (question.tls) {
    out.Add("Auth-SSL", "on");
    out.AddIfAny("Auth-SSL-Protocol", question.tls_version);
    out.AddIfAny("Auth-SSL-Cipher", question.tls_cipher);
    AddCertificate(question.certificate, extras.client_certificate, &out);
  }
  for (const auto& [name, value] : extras.headers) out.Add(name, value);
  if (!out.bad()) return absl::OkStatus();
  lines->clear();
  return absl::InvalidArgumentError("a control character in a value for the service");
}

LookupAnswer ReadAuthHttpReply(absl::string_view head, const AuthHttpRules& rules) {
  if (head.size() > kAuthHttpReplyBytesMax) return Bad("a reply of more than 64 KiB of headers");
  const int code = TakeStatusCode(&head);
  Fields fields;
  const bool readable = ReadFields(head, &fields);
  if (rules.strict && (code < 200 || code > 299)) {
    if (code == 404) return LookupAnswer::Of(Kind::kUnknown, "HTTP status 404");
    if (code != 401 && code != 403) return Bad(absl::StrCat("HTTP status ", code));
    const bool words =
        readable && fields.status.has_value() && *fields.status != "OK" && *fields.status != "WAIT";
    LookupAnswer refused = Refusal(words ? *fields.status : "", fields);
    refused.kind = Kind::kForbidden;
    refused.detail = absl::StrCat("HTTP status ", code);
    return refused;
  }
  if (!readable) return Bad("a header line of the reply is none");
  if (fields.status.has_value() && *fields.status == "WAIT") {
    LookupAnswer answer = LookupAnswer::Of(Kind::kWait, "the service says WAIT");
    answer.wait = Seconds(fields.wait, kWaitSecondsMax).value_or(0) * kSecond;
    return answer;
  }
  if (fields.status.has_value() && *fields.status != "OK") return Refusal(*fields.status, fields);
  return Found(fields, rules);
}

}  // namespace postern::routing
