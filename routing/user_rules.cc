#include "routing/user_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <re2/re2.h>
#include <re2/stringpiece.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"
#include "proxy/base/file_error.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"

namespace postern::routing {
namespace {

constexpr size_t kRegexBytesMax = 4096;
constexpr size_t kMistakesMax = 20;
// Names of backends and pools are not longer.
constexpr size_t kNameBytesMax = 64;
// \0, which is never used, to \9.
constexpr int kGroups = 10;

// A literal piece, or a capture when `group` is not 0.
struct Piece {
  std::string literal;
  int group = 0;
};

absl::StatusOr<std::vector<Piece>> CutTemplate(absl::string_view text, int groups) {
  std::vector<Piece> pieces(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      if (pieces.back().group != 0) pieces.emplace_back();
      pieces.back().literal += text[i];
      continue;
    }
    const char digit = i + 1 < text.size() ? text[i + 1] : ' ';
    if (digit < '1' || digit > '9') {
      return absl::InvalidArgumentError(
          "a backslash in the target stands before a digit from 1 to 9; write \\1 for what the "
          "first parentheses matched");
    }
    const int group = digit - '0';
    if (group > groups) {
      return absl::InvalidArgumentError(
          absl::StrCat("the target uses \\", group, ", but the expression has ", groups,
                       groups == 1 ? " pair" : " pairs", " of parentheses; add some or remove it"));
    }
    pieces.emplace_back();
    pieces.back().group = group;
    ++i;
  }
  if (pieces.front().group == 0 && pieces.front().literal.empty()) pieces.erase(pieces.begin());
  return pieces;
}

absl::string_view TrimBlanks(absl::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

struct UserRules::Rule {
  int line = 0;
  std::unique_ptr<RE2> regex;
  std::vector<Piece> pieces;
  std::optional<uint32_t> fixed;  // of a target without captures
  mutable std::atomic<bool> told{false};

  // Writes the name that `groups` form into `out`; its length, or nothing when it is too long.
  std::optional<size_t> Form(const std::array<re2::StringPiece, kGroups>& groups,
                             std::array<char, kNameBytesMax>* out) const {
    size_t used = 0;
    for (const Piece& piece : pieces) {
      const re2::StringPiece text = piece.group == 0 ? re2::StringPiece(piece.literal)
                                                     : groups[static_cast<size_t>(piece.group)];
      if (text.size() > out->size() - used) return std::nullopt;
      // A group that took no part has no data.
      if (!text.empty()) memcpy(out->data() + used, text.data(), text.size());
      used += text.size();
    }
    return used;
  }
};

struct UserRules::Impl {
  std::string name;  // of the file, for the log
  std::shared_ptr<const TargetNames> targets;
  std::vector<std::unique_ptr<const Rule>> rules;

  // The rule that matches and what its groups took; null when none does.
  const Rule* Match(absl::string_view user, std::array<re2::StringPiece, kGroups>* groups) const {
    const re2::StringPiece text(user.data(), user.size());
    for (const auto& rule : rules) {
      const int wanted = rule->fixed.has_value() ? 0 : rule->regex->NumberOfCapturingGroups() + 1;
      if (rule->regex->Match(text, 0, text.size(), RE2::ANCHOR_BOTH, groups->data(),
                             wanted < kGroups ? wanted : kGroups)) {
        return rule.get();
      }
    }
    return nullptr;
  }
};

// Turns lines into rules and collects what is wrong with them.
class UserRules::Parser {
 public:
  Parser(const std::string& name, std::shared_ptr<const TargetNames> targets)
      : rules_(new UserRules()) {
    rules_->impl_->name = name;
    rules_->impl_->targets = std::move(targets);
  }

  void AddLine(int number, absl::string_view line) {
    const absl::string_view trimmed = TrimBlanks(line);
    if (trimmed.empty() || trimmed[0] == '#') return;
    const size_t tab = line.rfind('\t');
    if (tab == absl::string_view::npos || TrimBlanks(line.substr(0, tab)).empty() ||
        TrimBlanks(line.substr(tab + 1)).empty()) {
      Mistake(number,
              "an expression and its backend or pool are expected, with a tab between them");
      return;
    }
    const absl::Status status =
        AddRule(number, TrimBlanks(line.substr(0, tab)), TrimBlanks(line.substr(tab + 1)));
    if (!status.ok()) Mistake(number, status.message());
  }

  absl::Status AddRule(int line, absl::string_view regex, absl::string_view target) {
    if (rules_->impl_->rules.size() >= kRulesMax) {
      return absl::InvalidArgumentError(absl::StrCat("there are more than ", kRulesMax,
                                                     " rules; write a map for users one by one"));
    }
    if (regex.size() > kRegexBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("the expression is longer than ", kRegexBytesMax, " bytes; split it"));
    }
    auto rule = std::make_unique<Rule>();
    rule->line = line;
    RE2::Options options;
    options.set_log_errors(false);
    options.set_encoding(RE2::Options::EncodingLatin1);
    rule->regex = std::make_unique<RE2>(re2::StringPiece(regex.data(), regex.size()), options);
    if (!rule->regex->ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the expression is no regular expression: ", EscapeForLog(rule->regex->error()),
          "; correct it as RE2 wants it"));
    }
    ASSIGN_OR_RETURN(rule->pieces, CutTemplate(target, rule->regex->NumberOfCapturingGroups()));
    if (rule->pieces.size() == 1 && rule->pieces[0].group == 0) {
      std::string why;
      rule->fixed = FindTarget(*rules_->impl_->targets, rule->pieces[0].literal, &why);
      if (!rule->fixed.has_value()) return absl::InvalidArgumentError(why);
    }
    rules_->impl_->rules.push_back(std::move(rule));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<const UserRules>> Finish() {
    if (!mistakes_.empty()) return absl::InvalidArgumentError(absl::StrJoin(mistakes_, "\n"));
    return std::unique_ptr<const UserRules>(std::move(rules_));
  }
  bool too_many_mistakes() const { return mistakes_.size() >= kMistakesMax; }

 private:
  void Mistake(int line, absl::string_view what) {
    mistakes_.push_back(absl::StrCat(rules_->impl_->name, ":", line, ": ", what));
  }

  std::unique_ptr<UserRules> rules_;
  std::vector<std::string> mistakes_;
};

UserRules::UserRules() : impl_(std::make_unique<Impl>()) {}
UserRules::~UserRules() = default;

size_t UserRules::size() const { return impl_->rules.size(); }

std::optional<uint32_t> UserRules::Find(absl::string_view user) const {
  std::array<re2::StringPiece, kGroups> groups;
  const Rule* rule = impl_->Match(user, &groups);
  if (rule == nullptr) return std::nullopt;
  if (rule->fixed.has_value()) return rule->fixed;
  std::array<char, kNameBytesMax> formed;
  const std::optional<size_t> length = rule->Form(groups, &formed);
  const absl::string_view name(formed.data(), length.value_or(0));
  const std::optional<uint32_t> target = FindTarget(*impl_->targets, name, nullptr);
  if (!target.has_value() && !rule->told.exchange(true, std::memory_order_relaxed)) {
    log::Warning(absl::StrCat(
        impl_->name, ":", rule->line, ": forms ",
        length.has_value() ? absl::StrCat("the name \"", EscapeForLog(name, kNameBytesMax), "\"")
                           : "a name of more than 64 bytes",
        " that no backend and no pool has; such users are unknown to it (told once)"));
  }
  return target;
}

UserRules::Hit UserRules::Explain(absl::string_view user) const {
  Hit hit;
  std::array<re2::StringPiece, kGroups> groups;
  const Rule* rule = impl_->Match(user, &groups);
  if (rule == nullptr) return hit;
  hit.line = rule->line;
  std::array<char, kNameBytesMax> formed;
  const std::optional<size_t> length = rule->Form(groups, &formed);
  hit.name.assign(formed.data(), length.value_or(0));
  hit.target = FindTarget(*impl_->targets, hit.name, nullptr);
  return hit;
}

absl::StatusOr<std::unique_ptr<const UserRules>> UserRules::Parse(
    absl::string_view text, const std::string& name, std::shared_ptr<const TargetNames> targets) {
  Parser parser(name, std::move(targets));
  absl::ConsumePrefix(&text, "\xef\xbb\xbf");
  for (int number = 1; !text.empty() && !parser.too_many_mistakes(); ++number) {
    const size_t end = text.find('\n');
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
    absl::ConsumeSuffix(&line, "\r");
    parser.AddLine(number, line);
  }
  return parser.Finish();
}

absl::StatusOr<std::unique_ptr<const UserRules>> UserRules::Load(
    const std::string& file, std::shared_ptr<const TargetNames> targets) {
  // Without O_NONBLOCK a FIFO would hold us until somebody writes to it.
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return FileError(file, "cannot be opened", errno);
  const auto closer = absl::MakeCleanup([fd] { close(fd); });
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return FileError(file, "cannot be read", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(file, ": is not a regular file"));
  }
  std::string text;
  std::array<char, 65536> piece;
  while (true) {
    const ssize_t got = read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError(file, "cannot be read", errno);
    if (got == 0) break;
    text.append(piece.data(), static_cast<size_t>(got));
    if (text.size() > kRuleFileBytesMax) {
      return absl::FailedPreconditionError(
          absl::StrCat(file, ": is larger than 4 MiB; is this the right file?"));
    }
  }
  return Parse(text, file, std::move(targets));
}

absl::StatusOr<std::unique_ptr<const UserRules>> UserRules::Single(
    const std::string& regex, const std::string& target, int line,
    std::shared_ptr<const TargetNames> targets) {
  Parser parser("[[route]]", std::move(targets));
  RETURN_IF_ERROR(parser.AddRule(line, regex, target));
  return parser.Finish();
}

}  // namespace postern::routing
