#include "routing/user_map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"
#include "proxy/base/file_descriptor.h"
#include "proxy/base/file_error.h"
#include "proxy/base/status_macros.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr size_t kProgressBytes = size_t{1} << 24;
constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

// Fills `to` from the start of the content on; the bytes read, 0 at the end.
using Source = std::function<absl::StatusOr<size_t>(char* to, size_t bytes)>;

// Cuts a source into lines.
class LineReader {
 public:
  explicit LineReader(Source source) : source_(std::move(source)), buffer_(kPieceBytes) {}

  // The next line without its end, valid until the next call; nullopt at the end. Of a line longer
  // than the buffer only a part comes, longer than kMapLineBytesMax all the same.
  absl::StatusOr<std::optional<absl::string_view>> Next() {
    while (true) {
      const size_t have = end_ - begin_;
      const char* start = buffer_.data() + begin_;
      if (const void* found = have == 0 ? nullptr : memchr(start, '\n', have)) {
        const auto length = static_cast<size_t>(static_cast<const char*>(found) - start);
        begin_ += length + 1;
        if (!std::exchange(skipping_, false)) return Line(start, length);
        continue;
      }
      if (at_end_) {
        begin_ = end_;
        if (have == 0 || std::exchange(skipping_, false)) return std::nullopt;
        return Line(start, have);
      }
      if (have == buffer_.size()) {
        begin_ = end_ = 0;
        if (!std::exchange(skipping_, true)) return Line(buffer_.data(), have);
        continue;
      }
      RETURN_IF_ERROR(Fill());
    }
  }

  // The beginning of the content, before the first line is taken.
  absl::StatusOr<absl::string_view> Peek() {
    if (end_ == 0 && !at_end_) RETURN_IF_ERROR(Fill());
    return absl::string_view(buffer_.data(), end_);
  }

  size_t number() const { return number_; }

 private:
  std::optional<absl::string_view> Line(const char* start, size_t length) {
    absl::string_view line(start, length);
    if (++number_ == 1) absl::ConsumePrefix(&line, kByteOrderMark);
    absl::ConsumeSuffix(&line, "\r");
    return line;
  }

  absl::Status Fill() {
    memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    ASSIGN_OR_RETURN(const size_t got, source_(buffer_.data() + end_, buffer_.size() - end_));
    end_ += got;
    at_end_ = got == 0;
    return absl::OkStatus();
  }

  Source source_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t number_ = 0;
  bool at_end_ = false;
  bool skipping_ = false;  // the rest of a line that was too long
};

struct Entry {
  absl::string_view user;
  absl::string_view target;
  size_t target_column = 0;  // from 1
};

struct Mistake {
  size_t line;
  size_t column;
  std::string text;
  std::string conflict;  // the user that an earlier line gave to another target
};

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Where the first character stands that is no blank; the size when all are. A loop in place: the
// calls of find_first_not_of() were a sixth of the time a map takes to load.
size_t BlanksInFront(absl::string_view text) {
  size_t i = 0;
  while (i < text.size() && IsBlank(text[i])) ++i;
  return i;
}

absl::string_view TrimBlanks(absl::string_view text) {
  text.remove_prefix(BlanksInFront(text));
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsBlankOrComment(absl::string_view line) {
  const size_t first = BlanksInFront(line);
  return first == line.size() || line[first] == '#';
}

// Nothing when there are no two fields.
std::optional<Entry> SplitLine(absl::string_view line) {
  const size_t tab = line.find('\t', BlanksInFront(line));
  if (tab == absl::string_view::npos) return std::nullopt;
  absl::string_view target = line.substr(tab + 1);
  for (size_t hash = target.find('#'); hash != absl::string_view::npos;
       hash = target.find('#', hash + 1)) {
    if (hash == 0 || target[hash - 1] == ' ' || target[hash - 1] == '\t') {
      target = target.substr(0, hash);
      break;
    }
  }
  target = TrimBlanks(target);
  if (target.empty()) return std::nullopt;
  return Entry{line.substr(0, tab), target, static_cast<size_t>(target.data() - line.data()) + 1};
}

// Turns lines into a map and collects what is wrong with them.
class Loader {
 public:
  Loader(const UserOptions& options, const TargetNames& targets, size_t users_expected)
      : options_(options), targets_(targets), map_(std::make_unique<UserMap>(users_expected)) {}

  // False when there are too many mistakes to go on.
  bool AddLine(size_t number, absl::string_view line) {
    if (line.size() > kMapLineBytesMax) {
      Add({number, 1, absl::StrCat("the line is longer than ", kMapLineBytesMax, " octets"), ""});
    } else if (!IsBlankOrComment(line)) {
      AddEntry(number, line);
    }
    return mistakes_.size() < kMapMistakesMax;
  }

  std::unique_ptr<const UserMap> Finish() {
    map_->Finish();
    return std::move(map_);
  }

  const std::vector<Mistake>& mistakes() const { return mistakes_; }

  // The spelling under which a line's user is kept.
  absl::Status KeyOf(absl::string_view user, std::string* key) const {
    user = TrimBlanks(user);
    if (user == "*") {
      return absl::InvalidArgumentError(
          "\"*\" is not a user; for everybody else put a route with users = \"*\" behind the map");
    }
    if (!IsDomainPattern(user)) return NormaliseUser(options_, user, key);
    RETURN_IF_ERROR(NormaliseDomainPattern(options_, user, key));
    key->insert(0, "*@");
    return absl::OkStatus();
  }

 private:
  void Add(Mistake mistake) { mistakes_.push_back(std::move(mistake)); }

  void AddEntry(size_t number, absl::string_view line) {
    const std::optional<Entry> entry = SplitLine(line);
    if (!entry.has_value()) {
      Add({number, 1, "a user and its backend or pool are expected, with a tab between them", ""});
      return;
    }
    const absl::Status key = KeyOf(entry->user, &key_);
    if (!key.ok()) {
      Add({number, BlanksInFront(line) + 1, std::string(key.message()), ""});
      return;
    }
    const std::optional<uint32_t> target = FindTarget(number, *entry);
    if (!target.has_value()) return;
    if (map_->Add(key_, *target) == UserMap::Added::kConflict) {
      Add({number, entry->target_column, "", key_});
    }
  }

  std::optional<uint32_t> FindTarget(size_t number, const Entry& entry) {
    // Neighbours mostly share a target.
    if (entry.target == last_target_) return last_target_id_;
    std::string why;
    const std::optional<uint32_t> found = routing::FindTarget(targets_, entry.target, &why);
    if (!found.has_value()) {
      Add({number, entry.target_column, std::move(why), ""});
      return std::nullopt;
    }
    // A view of what lives as long as `targets_`.
    last_target_ = targets_.find(entry.target)->first;
    last_target_id_ = *found;
    return last_target_id_;
  }

  const UserOptions& options_;
  const TargetNames& targets_;
  std::unique_ptr<UserMap> map_;
  std::vector<Mistake> mistakes_;
  std::string key_;
  absl::string_view last_target_;  // a view of targets_
  uint32_t last_target_id_ = 0;
};

// The lines that gave the users of `mistakes` their first target. Nobody keeps line numbers of
// millions of users, so a second pass finds them.
absl::flat_hash_map<std::string, size_t> FindFirstLines(const Loader& loader, Source source) {
  absl::flat_hash_map<std::string, size_t> lines;
  for (const Mistake& mistake : loader.mistakes()) {
    if (!mistake.conflict.empty()) lines.emplace(mistake.conflict, 0);
  }
  size_t missing = lines.size();
  LineReader reader(std::move(source));
  std::string key;
  while (missing > 0) {
    const auto line = reader.Next();
    if (!line.ok() || !line->has_value()) break;
    if ((*line)->size() > kMapLineBytesMax || IsBlankOrComment(**line)) continue;
    const std::optional<Entry> entry = SplitLine(**line);
    if (!entry.has_value() || !loader.KeyOf(entry->user, &key).ok()) continue;
    const auto found = lines.find(key);
    if (found == lines.end() || found->second != 0) continue;
    found->second = reader.number();
    --missing;
  }
  return lines;
}

absl::Status ToStatus(const std::string& file, const Loader& loader, Source again) {
  const auto first_lines = FindFirstLines(loader, std::move(again));
  std::string text;
  for (const Mistake& mistake : loader.mistakes()) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", file, ":", mistake.line, ":", mistake.column,
                    ": ", mistake.text);
    if (mistake.conflict.empty()) continue;
    const size_t first = first_lines.at(mistake.conflict);
    absl::StrAppend(&text, "the user already has another target",
                    first == 0 ? "" : absl::StrCat(" in line ", first), "; keep one of the lines");
  }
  if (loader.mistakes().size() >= kMapMistakesMax) {
    absl::StrAppend(&text, "\n", file, ": reading stopped after ", kMapMistakesMax, " mistakes");
  }
  return absl::InvalidArgumentError(text);
}

// For the size of the table: as if all lines were as long as those at the beginning.
size_t UsersExpected(absl::string_view beginning, size_t bytes_total) {
  const auto lines = static_cast<size_t>(std::count(beginning.begin(), beginning.end(), '\n'));
  if (lines == 0) return 1;
  const size_t line_bytes = std::max<size_t>(1, beginning.size() / lines);
  return bytes_total / line_bytes + 1;
}

// `open` gives the content from its start each time it is called.
absl::StatusOr<std::unique_ptr<const UserMap>> Load(const std::string& file, size_t bytes,
                                                    const UserOptions& options,
                                                    const TargetNames& targets,
                                                    const std::function<Source()>& open) {
  LineReader reader(open());
  ASSIGN_OR_RETURN(const absl::string_view beginning, reader.Peek());
  Loader loader(options, targets, UsersExpected(beginning, bytes));
  while (true) {
    ASSIGN_OR_RETURN(const auto line, reader.Next());
    if (!line.has_value() || !loader.AddLine(reader.number(), *line)) break;
  }
  if (!loader.mistakes().empty()) return ToStatus(file, loader, open());
  return loader.Finish();
}

// Reads by offset, so that one descriptor serves both passes.
Source FileSource(int fd, const std::string& file, size_t bytes_total,
                  const MapProgress& progress) {
  return [fd, file, bytes_total, progress, done = size_t{0}, told = size_t{0}](
             char* to, size_t bytes) mutable -> absl::StatusOr<size_t> {
    ssize_t got;
    do {
      got = pread(fd, to, bytes, static_cast<off_t>(done));
    } while (got < 0 && errno == EINTR);
    if (got < 0) return FileError(file, "cannot be read", errno);
    done += static_cast<size_t>(got);
    if (progress != nullptr && (got == 0 || done - told >= kProgressBytes)) {
      told = done;
      progress(file, done, std::max(done, bytes_total));
    }
    return static_cast<size_t>(got);
  };
}

}  // namespace

absl::StatusOr<std::unique_ptr<const UserMap>> LoadUserMap(const std::string& file,
                                                           const UserOptions& options,
                                                           const TargetNames& targets,
                                                           const MapProgress& progress) {
  // Without O_NONBLOCK a FIFO would hold us until somebody writes to it.
  const FileDescriptor fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return FileError(file, "cannot be opened", errno);
  struct stat status;
  if (fstat(fd.get(), &status) != 0) {
    return FileError(file, "cannot be read", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(file, ": is not a regular file"));
  }
  const auto bytes = static_cast<size_t>(status.st_size);
  bool first = true;
  return Load(file, bytes, options, targets, [&] {
    return FileSource(fd.get(), file, bytes, std::exchange(first, false) ? progress : nullptr);
  });
}

absl::StatusOr<std::unique_ptr<const UserMap>> ParseUserMap(absl::string_view text,
                                                            const std::string& name,
                                                            const UserOptions& options,
                                                            const TargetNames& targets) {
  return Load(name, text.size(), options, targets, [text] {
    return [rest = text](char* to, size_t bytes) mutable -> absl::StatusOr<size_t> {
      const size_t got = rest.copy(to, bytes);
      rest.remove_prefix(got);
      return got;
    };
  });
}

}  // namespace postern::routing
