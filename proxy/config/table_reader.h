// Reads the keys of one table, by type, and finds those nobody asked for.
//
//   TableReader reader(node, "[log]", &diagnostics);
//   reader.String("sessions", &log->sessions);
//   reader.Finish();
//
// Every getter leaves its target alone and returns false when the key is missing or wrong; wrong
// ones are reported at the place of the value. Ask for every key there is, whatever the others
// say: Finish() reports the rest as unknown, and takes the asked ones as its suggestions.
#ifndef POSTERN_PROXY_CONFIG_TABLE_READER_H_
#define POSTERN_PROXY_CONFIG_TABLE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {

// A string of a list, and where it stands.
struct LocatedText {
  std::string text;
  Position position;
};

template <typename T>
using Words = std::vector<std::pair<absl::string_view, T>>;

class TableReader {
 public:
  // `table` and `diagnostics` must outlive the reader. `where` names the table in messages, for
  // example "[log]" or "the top of the file". `elsewhere`: keys that stand at the top of the file,
  // to tell an operator who wrote one behind a [table] header; may be null.
  TableReader(const TomlNode& table, std::string where, Diagnostics* diagnostics,
              const std::vector<std::string>* elsewhere = nullptr)
      : table_(table), where_(std::move(where)), diagnostics_(diagnostics), elsewhere_(elsewhere) {}

  // Whether the key is written, rightly or wrongly.
  bool Has(absl::string_view key) const { return Find(key) != nullptr; }
  // Where the value of the key stands, or the table when it has none.
  Position At(absl::string_view key) const;
  Position position() const { return table_.position; }

  bool Bool(absl::string_view key, bool* out);
  // `min` and `max` are allowed.
  bool Int(absl::string_view key, int64_t min, int64_t max, int* out);
  // 1.25; a whole number is one, too. `min` and `max` are allowed.
  bool Decimal(absl::string_view key, double min, double max, double* out);
  // "15s". `min` and `max` are allowed.
  bool Duration(absl::string_view key, DurationNs min, DurationNs max, DurationNs* out);
  // Bytes: 16384 or "16KiB". `min` and `max` are allowed.
  bool Size(absl::string_view key, int64_t min, int64_t max, size_t* out);
  // Not empty, no control bytes.
  bool String(absl::string_view key, std::string* out);
  // The same, but "" is a value.
  bool StringOrEmpty(absl::string_view key, std::string* out);
  // A list of such strings.
  bool Strings(absl::string_view key, std::vector<LocatedText>* out);
  // One of `words`.
  template <typename T>
  bool Word(absl::string_view key, const Words<T>& words, T* out);
  // A nested table, or null. Wrong types are reported.
  const TomlNode* Table(absl::string_view key);
  // The tables of [[key]] or key = [{...}]; items that are not tables are reported and left out.
  std::vector<const TomlNode*> Tables(absl::string_view key);
  // A list of anything, or null.
  const TomlNode* List(absl::string_view key);

  // Says that a key is missing, with `example` to write.
  void Missing(absl::string_view key, absl::string_view example);
  void Add(Position where, absl::string_view message) { diagnostics_->Add(where, message); }

  // Reports the keys nobody asked for.
  void Finish();

  // Reads one string of a list. `what` names it in messages.
  static bool ReadText(const TomlNode& node, absl::string_view what, bool may_be_empty,
                       Diagnostics* diagnostics, std::string* out);

 private:
  const TomlNode* Find(absl::string_view key) const;
  // The value when it is written, asked or not; remembers that it was asked for.
  const TomlNode* Ask(absl::string_view key);
  void WrongType(absl::string_view key, const TomlNode& node, absl::string_view expected);
  void WrongWord(absl::string_view key, const TomlNode& node,
                 const std::vector<std::string>& allowed);

  const TomlNode& table_;
  std::string where_;
  Diagnostics* diagnostics_;
  const std::vector<std::string>* elsewhere_;
  std::vector<std::string> asked_;
};

template <typename T>
bool TableReader::Word(absl::string_view key, const Words<T>& words, T* out) {
  const TomlNode* node = Ask(key);
  if (node == nullptr) return false;
  std::vector<std::string> allowed;
  for (const auto& [word, value] : words) {
    if (node->kind == NodeKind::kString && node->text == word) {
      *out = value;
      return true;
    }
    allowed.emplace_back(word);
  }
  WrongWord(key, *node, allowed);
  return false;
}

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_TABLE_READER_H_
