#include "routing/lookup/policy_message.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/escape.h"

namespace postern::routing {
namespace {

using Json = nlohmann::ordered_json;
using Kind = LookupAnswer::Kind;

// A day; who waits hears of the operator's limit first.
constexpr int64_t kWaitSecondsMax = 86400;
constexpr size_t kWordsBytesMax = 200;
// An answer has one level. Whatever nests deeper is none, and a parser that goes down with it would
// run out of stack.
constexpr int kDepthMax = 8;

Json Facts(const PolicyLogin& login) {
  // The names and their order are those of Dovecot's default auth_policy_request_attributes.
  // POP3 has nothing like IMAP's ID, which is what device_id is made from.
  return Json{{"device_id", ""},
              {"login", std::string(login.user)},
              {"protocol", "pop3"},
              {"pwhash", std::string(login.password_hash)},
              {"remote", std::string(login.client)},
              {"session_id", std::string(login.session)}};
}

std::string Text(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

bool IsDeep(absl::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthMax) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

std::string PolicyAllowMessage(const PolicyLogin& login) {
  Json json = Facts(login);
  json["tls"] = login.tls;
  return Text(json);
}

std::string PolicyReportMessage(const PolicyLogin& login, PolicyOutcome outcome) {
  Json json = Facts(login);
  json["success"] = outcome == PolicyOutcome::kAccepted;
  json["policy_reject"] = outcome == PolicyOutcome::kRejected;
  json["tls"] = login.tls;
  return Text(json);
}

std::string PolicyUrl(absl::string_view url, absl::string_view command) {
  const bool ends = absl::EndsWith(url, "&") || absl::EndsWith(url, "?");
  const char* separator = ends ? "" : absl::StrContains(url, '?') ? "&" : "?";
  return absl::StrCat(url, separator, "command=", command);
}

std::string PolicyPasswordHash(const std::array<char, 32>& digest, int bits) {
  CHECK(bits >= 0 && bits <= 255);
  if (bits == 0) bits = 256;
  const auto bytes = static_cast<size_t>((bits + 7) / 8);
  const int shift = (8 - bits % 8) % 8;
  std::string kept(digest.data(), bytes);
  unsigned carry = 0;
  for (char& c : kept) {
    const unsigned byte = static_cast<unsigned char>(c);
    c = static_cast<char>((byte >> shift) | carry);
    carry = (byte << (8 - shift)) & 0xff;
  }
  return absl::BytesToHexString(kept);
}

LookupAnswer ReadPolicyReply(absl::string_view body) {
  if (body.empty()) return LookupAnswer::Of(Kind::kTemporary, "an answer without a body");
  if (body.size() > kPolicyReplyBytesMax || IsDeep(body)) {
    return LookupAnswer::Of(Kind::kTemporary, "an answer that is too large");
  }
  const Json answer = Json::parse(body.begin(), body.end(), nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return LookupAnswer::Of(Kind::kTemporary, "an answer that is no object");
  const auto status = answer.find("status");
  if (status == answer.end() || !status->is_number_integer()) {
    return LookupAnswer::Of(Kind::kTemporary, "an answer without a status in whole numbers");
  }
  std::string words;
  const auto msg = answer.find("msg");
  if (msg != answer.end() && msg->is_string()) {
    words = EscapeForLog(msg->get_ref<const std::string&>(), kWordsBytesMax);
  }
  // A large positive number is unsigned there.
  const int64_t number = status->is_number_unsigned()
                             ? static_cast<int64_t>(std::min(
                                   status->get<uint64_t>(), static_cast<uint64_t>(kWaitSecondsMax)))
                             : status->get<int64_t>();
  LookupAnswer read = LookupAnswer::Of(number < 0 ? Kind::kForbidden : Kind::kFound, words);
  if (number > 0) read.wait = std::min(number, kWaitSecondsMax) * kSecond;
  return read;
}

}  // namespace postern::routing
