#include "bench/maildrop/client_facts.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/base/socket_address.h"

namespace postern::maildrop {
namespace {

constexpr size_t kSessionCharsMax = 64;

bool IsAddress(absl::string_view value) { return SocketAddress::FromIp(value, 0).ok(); }

bool IsNumber(absl::string_view value, uint32_t max) {
  uint32_t number = 0;
  return absl::SimpleAtoi(value, &number) && number <= max;
}

bool IsDnsName(absl::string_view value) {
  return !value.empty() && value.size() <= 255 &&
         std::all_of(value.begin(), value.end(),
                     [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '.'; });
}

enum class Judgement { kKeep, kIgnore, kInvalid };

Judgement Judge(absl::string_view key, absl::string_view value) {
  const auto valid = [](bool is) { return is ? Judgement::kKeep : Judgement::kInvalid; };
  if (key == "addr" || key == "destaddr") return valid(IsAddress(value));
  if (key == "port" || key == "destport") return valid(IsNumber(value, UINT16_MAX));
  if (key == "ttl") return valid(IsNumber(value, UINT32_MAX));
  if (key == "destname") return valid(IsDnsName(value));
  if (key == "session") {
    return value.size() <= kSessionCharsMax ? Judgement::kKeep : Judgement::kIgnore;
  }
  return key == "client-transport" || key == "forward" ? Judgement::kKeep : Judgement::kIgnore;
}

}  // namespace

void ClientFacts::Set(absl::string_view key, absl::string_view value) {
  std::string shown(value);
  for (char& c : shown) {
    if (c <= ' ' || c > '~') c = '?';
  }
  for (auto& [known, old] : facts_) {
    if (known != key) continue;
    old = std::move(shown);
    return;
  }
  facts_.emplace_back(std::string(key), std::move(shown));
}

absl::string_view ClientFacts::Find(absl::string_view key) const {
  for (const auto& [known, value] : facts_) {
    if (known == key) return value;
  }
  return {};
}

std::string ClientFacts::ToString(size_t bytes_max) const {
  std::string text;
  for (const auto& [key, value] : facts_) {
    absl::StrAppend(&text, text.empty() ? "" : " ", key, "=", value);
  }
  if (text.size() > bytes_max) text.resize(bytes_max);
  return text;
}

bool ClientFacts::ApplyXclient(absl::string_view words) {
  std::vector<std::pair<std::string, absl::string_view>> good;
  for (const absl::string_view word : absl::StrSplit(words, ' ', absl::SkipEmpty())) {
    const size_t equals = word.find('=');
    if (equals == word.npos) continue;
    std::string key = absl::AsciiStrToLower(word.substr(0, equals));
    const absl::string_view value = word.substr(equals + 1);
    switch (Judge(key, value)) {
      case Judgement::kKeep:
        good.emplace_back(std::move(key), value);
        break;
      case Judgement::kIgnore:
        break;
      case Judgement::kInvalid:
        return false;
    }
  }
  for (const auto& [key, value] : good) Set(key, value);
  return true;
}

}  // namespace postern::maildrop
