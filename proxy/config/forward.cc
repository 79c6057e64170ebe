// The key `forward` of a backend or pool: what it is told of a client beyond the usual, see
// pop3/forward_fields.h.
#include "proxy/config/forward.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/config/draft.h"

namespace postern::config {
namespace {

// With the command's other keys it must fit into 1024 bytes, see pop3::kXclientBytesMax.
constexpr size_t kForwardTextBytesMax = 300;

// Splits "a {word} b" into its pieces; `what` is called with each, and whether it is a word. False
// when a brace has no partner.
template <typename What>
bool ForEachPiece(absl::string_view value, What what) {
  while (!value.empty()) {
    const size_t brace = value.find_first_of("{}");
    if (brace != 0) {
      what(value.substr(0, brace), false);
      value.remove_prefix(std::min(brace, value.size()));
      continue;
    }
    const size_t end = value.find('}');
    if (value.front() == '}' || end == absl::string_view::npos) return false;
    what(value.substr(1, end - 1), true);
    value.remove_prefix(end + 1);
  }
  return true;
}

std::vector<std::string> Words() {
  std::vector<std::string> words;
  for (const ForwardWord& word : kForwardWords) words.emplace_back(word.name);
  return words;
}

bool CheckValue(const std::string& name, const std::string& value, Position where,
                TableReader* reader) {
  bool good = true;
  const bool whole = ForEachPiece(value, [&](absl::string_view piece, bool is_word) {
    const std::vector<std::string> words = Words();
    if (!is_word || std::find(words.begin(), words.end(), piece) != words.end()) return;
    good = false;
    reader->Add(where,
                absl::StrCat("forward: ", name, " = \"", value, "\": {", piece, "} is not one of {",
                             absl::StrJoin(words, "}, {"), "}", DidYouMean(piece, words)));
  });
  if (!whole) {
    reader->Add(where, absl::StrCat("forward: ", name, " = \"", value,
                                    "\" has a brace without its partner; write it as "
                                    "\"{listener}\""));
  }
  return good && whole;
}

}  // namespace

bool ReadForwardTable(TableReader* reader, Diagnostics* diagnostics, pop3::ForwardFields* fields) {
  const TomlNode* table = reader->Table("forward");
  if (table == nullptr) return false;
  bool good = true;
  size_t bytes = 0;
  for (const TomlEntry& entry : table->entries) {
    std::string value;
    if (!pop3::IsForwardName(entry.key)) {
      good = false;
      reader->Add(entry.position,
                  absl::StrCat("forward: \"", entry.key,
                               "\" is no name of a field; write letters, digits, \"_\", \"-\" and "
                               "\".\", at most 64"));
      continue;
    }
    if (!TableReader::ReadText(entry.value, absl::StrCat("forward: ", entry.key),
                               /*may_be_empty=*/false, diagnostics, &value)) {
      good = false;
      continue;
    }
    good = CheckValue(entry.key, value, entry.value.position, reader) && good;
    bytes += entry.key.size() + value.size() + 2;
    fields->emplace_back(entry.key, std::move(value));
  }
  if (bytes > kForwardTextBytesMax) {
    good = false;
    reader->Add(table->position,
                absl::StrCat("forward is longer than ", kForwardTextBytesMax,
                             " bytes of names and values, which is more than XCLIENT has room for; "
                             "shorten it"));
  }
  // TOML keeps no order; the wire shall have one.
  std::sort(fields->begin(), fields->end());
  return good;
}

std::string FillForward(absl::string_view value, const ForwardFacts& facts) {
  std::string filled;
  ForEachPiece(value, [&](absl::string_view piece, bool is_word) {
    if (!is_word) {
      absl::StrAppend(&filled, piece);
      return;
    }
    for (const ForwardWord& word : kForwardWords) {
      if (word.name == piece) absl::StrAppend(&filled, facts.*word.fact);
    }
  });
  return filled;
}

}  // namespace postern::config
