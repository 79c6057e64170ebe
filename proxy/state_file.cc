#include "proxy/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proxy/base/status_macros.h"
#include "proxy/base/time.h"
#include "routing/user_key.h"

namespace postern {
namespace {

using routing::Hold;
using routing::Service;

constexpr absl::string_view kHead = "postern state 1";
constexpr int kWeightMax = 10000;  // as in the configuration

absl::string_view KindName(Hold::Kind kind) {
  switch (kind) {
    case Hold::Kind::kUser:
      return "user";
    case Hold::Kind::kDomain:
      return "domain";
    case Hold::Kind::kHashRange:
      return "hash";
  }
  return "";
}

std::optional<Hold::Kind> KindOf(absl::string_view name) {
  for (const Hold::Kind kind : {Hold::Kind::kUser, Hold::Kind::kDomain, Hold::Kind::kHashRange}) {
    if (KindName(kind) == name) return kind;
  }
  return std::nullopt;
}

std::optional<Service> ServiceOf(absl::string_view name) {
  for (const Service service : {Service::kEnabled, Service::kDraining, Service::kDisabled}) {
    if (routing::ServiceName(service) == name) return service;
  }
  return std::nullopt;
}

// A range of hashes may be spelled in several ways, of which one is ours. False when it is none.
bool ReadTarget(Hold::Kind kind, std::string* target) {
  if (kind != Hold::Kind::kHashRange) return true;
  const absl::StatusOr<routing::HashRange> range = routing::ParseHashRange(*target);
  if (range.ok()) *target = range->Text();
  return range.ok();
}

// added NAME POOL ADDRESS LIKE TLS CA SERVER_NAME WEIGHT WHO WHY [MODEL]
std::string ReadAdded(const std::vector<absl::string_view>& fields, config::Overlay* overlay) {
  config::AddedBackend added;
  const std::vector<std::string*> texts = {&added.name, &added.pool, &added.address,    &added.like,
                                           &added.tls,  &added.ca,   &added.server_name};
  for (size_t i = 0; i < texts.size(); ++i) *texts[i] = std::string(fields[i + 1]);
  int weight = 0;
  const bool number = absl::SimpleAtoi(fields[8], &weight) && weight >= 0 && weight <= kWeightMax;
  const bool named = !added.name.empty() && !added.pool.empty() && !added.address.empty();
  if (!named || (!number && !fields[8].empty())) return "no backend";
  if (number) added.weight = weight;
  added.who = std::string(fields[9]);
  added.why = std::string(fields[10]);
  if (fields.size() > 11) added.model = std::string(fields[11]);
  overlay->added.push_back(std::move(added));
  return "";
}

// Adds what one line says. What is wrong with it; empty when nothing is.
std::string ReadLine(const std::vector<absl::string_view>& fields, SavedState* saved) {
  const absl::string_view kind = fields[0];
  for (const absl::string_view field : fields) {
    for (const char c : field) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "a control byte";
    }
  }
  const auto text = [&fields](size_t i) { return std::string(fields[i]); };
  if (kind == "service" && fields.size() == 5) {
    const std::optional<Service> service = ServiceOf(fields[2]);
    if (!service.has_value() || fields[1].empty()) return "no service of a backend";
    saved->services.push_back({text(1), *service, text(3), text(4)});
    return "";
  }
  if (kind == "weight" && fields.size() == 5) {
    int weight = -1;
    const bool number = absl::SimpleAtoi(fields[2], &weight);
    if (!number || weight < 0 || weight > kWeightMax || fields[1].empty()) {
      return "no weight of a backend";
    }
    saved->weights.push_back({text(1), weight, text(3), text(4)});
    return "";
  }
  if (kind == "hold" && fields.size() == 5) {
    const std::optional<Hold::Kind> hold = KindOf(fields[1]);
    if (!hold.has_value() || fields[2].empty()) return "no hold";
    std::string target = text(2);
    if (!ReadTarget(*hold, &target)) return "no range of hashes";
    saved->holds.push_back({*hold, std::move(target), text(3), text(4), 0});
    return "";
  }
  if (kind == "move" && fields.size() == 3) {
    if (fields[1].empty() || fields[1].size() > routing::kUserBytesMax || fields[2].empty()) {
      return "no move of a user";
    }
    saved->moves.push_back({text(1), text(2)});
    return "";
  }
  if (kind == "moved" && fields.size() == 4) {
    const std::optional<Hold::Kind> group = KindOf(fields[1]);
    if (!group.has_value() || *group == Hold::Kind::kUser || fields[2].empty() ||
        fields[3].empty()) {
      return "no move of many users";
    }
    std::string target = text(2);
    if (!ReadTarget(*group, &target)) return "no range of hashes";
    saved->group_moves.push_back({{*group, std::move(target)}, text(3)});
    return "";
  }
  if (kind == "removed" && fields.size() == 4 && !fields[1].empty()) {
    saved->overlay.removed.push_back({text(1), text(2), text(3)});
    return "";
  }
  const bool addition = kind == "added" && (fields.size() == 11 || fields.size() == 12);
  if (addition) return ReadAdded(fields, &saved->overlay);
  return "not a line of this file";
}

absl::Status Wrong(const std::string& file, size_t line, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", line, ": ", what,
                   "; the file is written by the running server and this one is damaged: repair "
                   "it, or move it away to start without what operators have said (users that "
                   "were moved then go where the routes say)"));
}

std::string ErrorText(absl::string_view path, absl::string_view what) {
  return absl::StrCat("[admin] state_file ", path, ": ", what, ": ", std::strerror(errno));
}

}  // namespace

std::string WriteState(const routing::BackendStates& states, const config::Overlay& overlay) {
  std::string text = absl::StrCat(kHead, "\n");
  size_t lines = 0;
  for (const auto& backend : states.All()) {
    const routing::BackendReport report = backend->Report(MonotonicNow());
    if (report.service != Service::kEnabled) {
      absl::StrAppend(&text, "service\t", backend->name(), "\t",
                      routing::ServiceName(report.service), "\t", report.service_by, "\t",
                      report.service_reason, "\n");
      ++lines;
    }
    if (report.weight != routing::BackendWeight::kAsConfigured) {
      absl::StrAppend(&text, "weight\t", backend->name(), "\t", report.weight, "\t",
                      report.weight_by, "\t", report.weight_reason, "\n");
      ++lines;
    }
  }
  for (const Hold& hold : states.holds()->List()) {
    absl::StrAppend(&text, "hold\t", KindName(hold.kind), "\t", hold.target, "\t", hold.who, "\t",
                    hold.why, "\n");
    ++lines;
  }
  states.overrides()->ForEach(
      [&](absl::string_view user, const routing::Overrides::Backend& backend) {
        absl::StrAppend(&text, "move\t", user, "\t", backend->name(), "\n");
        ++lines;
        return true;
      });
  for (const auto& [group, backend] : states.overrides()->groups().List()) {
    absl::StrAppend(&text, "moved\t", KindName(group.kind), "\t", group.target, "\t",
                    backend->name(), "\n");
    ++lines;
  }
  for (const config::RemovedBackend& removed : overlay.removed) {
    absl::StrAppend(&text, "removed\t", removed.name, "\t", removed.who, "\t", removed.why, "\n");
    ++lines;
  }
  for (const config::AddedBackend& added : overlay.added) {
    const std::string weight = added.weight.has_value() ? absl::StrCat(*added.weight) : "";
    absl::StrAppend(
        &text, "added\t",
        absl::StrJoin({added.name, added.pool, added.address, added.like, added.tls, added.ca,
                       added.server_name, weight, added.who, added.why, added.model},
                      "\t"),
        "\n");
    ++lines;
  }
  absl::StrAppend(&text, "end\t", lines, "\n");
  return text;
}

absl::StatusOr<SavedState> ParseState(absl::string_view text, const std::string& file) {
  SavedState saved;
  size_t number = 0;
  bool ended = false;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) return Wrong(file, number, "the line has no end");
    const absl::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (ended) return Wrong(file, number, "a line behind the end");
    if (number == 1) {
      if (line != kHead) return Wrong(file, 1, "this is no state file of this version");
      continue;
    }
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    if (fields[0] == "end") {
      uint64_t count = 0;
      if (fields.size() != 2 || !absl::SimpleAtoi(fields[1], &count) || count + 2 != number) {
        return Wrong(file, number, "lines are missing");
      }
      ended = true;
      continue;
    }
    const std::string wrong = ReadLine(fields, &saved);
    if (!wrong.empty()) return Wrong(file, number, wrong);
  }
  if (!ended) return Wrong(file, number + 1, "the end is missing");
  return saved;
}

absl::Status ApplyState(const SavedState& saved, routing::BackendStates* states) {
  const TimeNs now = MonotonicNow();
  for (const SavedState::Service& line : saved.services) {
    states->Get(line.backend)->SetService(line.service, line.who, line.why, now);
  }
  for (const SavedState::Weight& line : saved.weights) {
    states->Get(line.backend)->SetWeight(line.weight, line.who, line.why, now);
  }
  for (Hold hold : saved.holds) {
    hold.since = now;
    RETURN_IF_ERROR(states->holds()->Add(hold));
  }
  for (const SavedState::Move& move : saved.moves) {
    RETURN_IF_ERROR(states->overrides()->Set(move.user, states->Get(move.backend)));
  }
  for (const SavedState::GroupMove& move : saved.group_moves) {
    RETURN_IF_ERROR(states->overrides()->groups().Set(move.group, states->Get(move.backend)));
  }
  return absl::OkStatus();
}

absl::StatusOr<SavedState> LoadStateFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return SavedState();
  if (fd < 0) return absl::UnavailableError(ErrorText(path, "cannot be read"));
  const absl::Cleanup closed = [fd] { close(fd); };
  struct stat status {};
  if (fstat(fd, &status) != 0) return absl::UnavailableError(ErrorText(path, "cannot be read"));
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("[admin] state_file ", path, " is no regular file; name another one"));
  }
  std::string text;
  std::vector<char> buffer(1 << 20);
  for (;;) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(ErrorText(path, "cannot be read"));
    if (got == 0) break;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  return ParseState(text, path);
}

StateFile::StateFile(std::string path, const routing::BackendStates* states,
                     std::function<config::Overlay()> overlay)
    : path_(std::move(path)), states_(states), overlay_(std::move(overlay)) {}

absl::Status StateFile::Save() {
  if (path_.empty()) return absl::OkStatus();
  uint64_t mine = 0;
  {
    const std::lock_guard<std::mutex> lock(count_mutex_);
    mine = ++wanted_;
  }
  const std::lock_guard<std::mutex> lock(write_mutex_);
  if (written_ >= mine) return absl::OkStatus();
  uint64_t covered = 0;
  {
    const std::lock_guard<std::mutex> count_lock(count_mutex_);
    covered = wanted_;
  }
  RETURN_IF_ERROR(Write());
  written_ = covered;
  return absl::OkStatus();
}

absl::Status StateFile::Write() const {
  const std::string text = WriteState(*states_, overlay_());
  const std::string next = path_ + ".new";
  // Names of users: for the eyes of our own user.
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return absl::UnavailableError(ErrorText(next, "cannot be written"));
  absl::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t put = write(fd, rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) break;
    rest.remove_prefix(static_cast<size_t>(put));
  }
  // The data must be there before the name says so.
  const bool good = rest.empty() && fsync(fd) == 0;
  const absl::Status failed =
      good ? absl::OkStatus() : absl::UnavailableError(ErrorText(next, "cannot be written"));
  close(fd);
  if (!good) {
    unlink(next.c_str());
    return failed;
  }
  if (rename(next.c_str(), path_.c_str()) != 0) {
    return absl::UnavailableError(ErrorText(path_, "cannot be replaced"));
  }
  const size_t slash = path_.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const int directory_fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_fd < 0) return absl::UnavailableError(ErrorText(directory, "cannot be opened"));
  const bool kept = fsync(directory_fd) == 0;
  const absl::Status status =
      kept ? absl::OkStatus() : absl::UnavailableError(ErrorText(directory, "cannot be written"));
  close(directory_fd);
  return status;
}

}  // namespace postern
