#include "proxy/pop3/capability.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/pop3/command.h"

namespace postern::pop3 {
namespace {

constexpr size_t kLineBytesMax = 510;

// Placed by name, or decided by the state.
constexpr absl::string_view kPlaced[] = {
    "TOP", "USER", "SASL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UIDL", "STLS",
};
constexpr absl::string_view kNeverShown[] = {"UTF8", "LANG", "IMPLEMENTATION"};

absl::string_view FirstWord(absl::string_view line) { return line.substr(0, line.find(' ')); }

template <size_t kSize>
bool IsOneOf(absl::string_view word, const absl::string_view (&words)[kSize]) {
  return std::any_of(std::begin(words), std::end(words), [word](absl::string_view candidate) {
    return absl::EqualsIgnoreCase(word, candidate);
  });
}

bool Holds(const std::vector<std::string>& held, absl::string_view name) {
  return std::any_of(held.begin(), held.end(), [name](const std::string& line) {
    return absl::EqualsIgnoreCase(FirstWord(line), name);
  });
}

}  // namespace

std::string CapabilityReply(const CapabilityState& state, const std::vector<std::string>& held) {
  std::string reply = "+OK Capability list follows\r\n";
  const auto add_if_held = [&](absl::string_view name) {
    if (Holds(held, name)) absl::StrAppend(&reply, name, "\r\n");
  };
  add_if_held("TOP");
  if (state.user_pass) reply += "USER\r\n";
  if (!state.mechanisms.empty()) {
    absl::StrAppend(&reply, "SASL ", absl::StrJoin(state.mechanisms, " "), "\r\n");
  }
  for (const absl::string_view name : {"RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UIDL"}) {
    add_if_held(name);
  }
  for (size_t i = 0; i < held.size(); ++i) {
    const absl::string_view line = held[i];
    const absl::string_view word = FirstWord(line);
    if (word.empty() || line == "." || line.size() > kLineBytesMax || HasControlBytes(line)) {
      continue;
    }
    if (IsOneOf(word, kPlaced) || IsOneOf(word, kNeverShown)) continue;
    const auto end = held.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(held.begin(), end, held[i]) != end) continue;
    absl::StrAppend(&reply, line, "\r\n");
  }
  if (state.stls) reply += "STLS\r\n";
  reply += ".\r\n";
  return reply;
}

}  // namespace postern::pop3
