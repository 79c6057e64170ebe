#include "proxy/pop3/common_capabilities.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proxy/base/check.h"
#include "proxy/base/escape.h"

namespace postern::pop3 {
namespace {

constexpr size_t kLineBytesMax = 510;
// Longer lists are cut in messages.
constexpr size_t kLackingToldMax = 8;
constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

absl::string_view FirstWord(absl::string_view line) { return line.substr(0, line.find(' ')); }

bool IsOneOf(absl::string_view word, absl::Span<const absl::string_view> words) {
  return std::any_of(words.begin(), words.end(), [word](absl::string_view candidate) {
    return absl::EqualsIgnoreCase(word, candidate);
  });
}

bool Holds(const CapabilityLines& server, absl::string_view line) {
  return std::any_of(server.begin(), server.end(),
                     [line](const std::string& own) { return absl::EqualsIgnoreCase(own, line); });
}

// The line of that name, or null.
const std::string* Find(const CapabilityLines& server, absl::string_view name) {
  for (const std::string& line : server) {
    if (absl::EqualsIgnoreCase(FirstWord(line), name)) return &line;
  }
  return nullptr;
}

// "NAME number [USER]" or "NAME NEVER [USER]".
struct Policy {
  uint64_t value = 0;
  bool varies = false;  // by user
};

std::optional<Policy> ReadPolicy(const std::string* line) {
  if (line == nullptr) return std::nullopt;
  const std::vector<absl::string_view> words = absl::StrSplit(*line, ' ', absl::SkipEmpty());
  if (words.size() < 2 || words.size() > 3) return std::nullopt;
  Policy policy;
  policy.varies = words.size() == 3 && absl::EqualsIgnoreCase(words[2], "USER");
  if (absl::EqualsIgnoreCase(words[1], "NEVER")) {
    policy.value = kNever;
  } else if (uint32_t number = 0; absl::SimpleAtoi(words[1], &number)) {
    policy.value = number;
  } else {
    return std::nullopt;
  }
  return policy;
}

void AddLine(absl::string_view name, const Policy& policy, CapabilityLines* lines) {
  lines->push_back(absl::StrCat(name, " ",
                                policy.value == kNever ? "NEVER" : absl::StrCat(policy.value),
                                policy.varies ? " USER" : ""));
}

void AddExpiry(absl::Span<const CapabilityLines* const> servers, CapabilityLines* lines) {
  std::optional<Policy> common;
  for (const CapabilityLines* server : servers) {
    const std::optional<Policy> own = ReadPolicy(Find(*server, "EXPIRE"));
    if (!own.has_value()) return;
    if (!common.has_value()) {
      common = own;
      continue;
    }
    common->varies = common->varies || own->varies || own->value != common->value;
    common->value = std::min(common->value, own->value);
  }
  if (common.has_value()) AddLine("EXPIRE", *common, lines);
}

void AddDelay(absl::Span<const CapabilityLines* const> servers, CapabilityLines* lines) {
  Policy common;
  bool first = true;
  for (const CapabilityLines* server : servers) {
    Policy own = ReadPolicy(Find(*server, "LOGIN-DELAY")).value_or(Policy());
    if (own.value == kNever) own = Policy();  // no number: says nothing
    common.varies = common.varies || own.varies || (!first && own.value != common.value);
    common.value = std::max(common.value, own.value);
    first = false;
  }
  if (common.value > 0) AddLine("LOGIN-DELAY", common, lines);
}

// What a server says, one item each: its lines, and the mechanisms one by one.
std::set<std::string> Items(const CapabilityLines& server) {
  constexpr absl::string_view kUnimportant[] = {"IMPLEMENTATION", "STLS"};
  std::set<std::string> items;
  for (const std::string& line : server) {
    const absl::string_view word = FirstWord(line);
    if (IsOneOf(word, kUnimportant)) continue;
    if (!absl::EqualsIgnoreCase(word, "SASL")) {
      items.insert(absl::AsciiStrToUpper(line));
      continue;
    }
    for (const absl::string_view mechanism :
         absl::StrSplit(absl::string_view(line).substr(word.size()), ' ', absl::SkipEmpty())) {
      items.insert(absl::StrCat("SASL ", absl::AsciiStrToUpper(mechanism)));
    }
  }
  return items;
}

}  // namespace

bool IsCapabilityText(absl::string_view line) {
  return !line.empty() && line.size() <= kLineBytesMax && line.front() != '.' &&
         line.front() != ' ' && std::all_of(line.begin(), line.end(), [](char c) {
           return absl::ascii_isprint(static_cast<unsigned char>(c));
         });
}

CapabilityLines CommonCapabilities(absl::Span<const CapabilityLines* const> servers) {
  constexpr absl::string_view kNotAsTheyAre[] = {"USER", "SASL", "STLS",   "IMPLEMENTATION", "CAPA",
                                                 "UTF8", "LANG", "EXPIRE", "LOGIN-DELAY"};
  CapabilityLines common;
  if (servers.empty()) return common;
  for (const std::string& line : *servers.front()) {
    if (IsOneOf(FirstWord(line), kNotAsTheyAre)) continue;
    const bool all =
        std::all_of(servers.begin(), servers.end(),
                    [&line](const CapabilityLines* server) { return Holds(*server, line); });
    if (all) common.push_back(line);
  }
  AddExpiry(servers, &common);
  AddDelay(servers, &common);
  return common;
}

void AddLoginDelay(const LoginDelay& own, CapabilityLines* lines) {
  if (own.seconds == 0) return;
  Policy theirs = ReadPolicy(Find(*lines, "LOGIN-DELAY")).value_or(Policy());
  if (theirs.value == kNever) theirs = Policy();
  lines->erase(std::remove_if(lines->begin(), lines->end(),
                              [](const std::string& line) {
                                return absl::EqualsIgnoreCase(FirstWord(line), "LOGIN-DELAY");
                              }),
               lines->end());
  Policy most;
  most.value = std::max<uint64_t>(own.seconds, theirs.value);
  // Where the longest one is the same for everybody, nobody meets another.
  const bool ours_for_all = !own.varies && own.seconds == most.value;
  const bool theirs_for_all = !theirs.varies && theirs.value == most.value;
  most.varies = !ours_for_all && !theirs_for_all;
  AddLine("LOGIN-DELAY", most, lines);
}

bool OffersMechanism(const CapabilityLines& server, absl::string_view mechanism) {
  const std::string* line = Find(server, "SASL");
  if (line == nullptr) return false;
  const std::vector<absl::string_view> words = absl::StrSplit(*line, ' ', absl::SkipEmpty());
  return std::any_of(words.begin() + 1, words.end(), [mechanism](absl::string_view word) {
    return absl::EqualsIgnoreCase(word, mechanism);
  });
}

std::string DescribeDifferences(absl::Span<const std::string> names,
                                absl::Span<const CapabilityLines* const> servers) {
  CHECK(names.size() == servers.size());
  std::vector<std::set<std::string>> said;
  std::set<std::string> all;
  for (const CapabilityLines* server : servers) {
    said.push_back(Items(*server));
    all.insert(said.back().begin(), said.back().end());
  }
  std::vector<std::string> sentences;
  for (size_t i = 0; i < servers.size(); ++i) {
    std::vector<std::string> lacking;
    size_t more = 0;
    for (const std::string& item : all) {
      if (said[i].count(item) != 0) continue;
      if (lacking.size() < kLackingToldMax) {
        lacking.push_back(EscapeForLog(item, 80));
      } else {
        ++more;
      }
    }
    if (lacking.empty()) continue;
    sentences.push_back(absl::StrCat(names[i], " lacks ", absl::StrJoin(lacking, ", "),
                                     more > 0 ? absl::StrCat(" and ", more, " more") : ""));
  }
  return absl::StrJoin(sentences, "; ");
}

}  // namespace postern::pop3
