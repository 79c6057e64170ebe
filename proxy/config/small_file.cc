#include "proxy/config/small_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "proxy/base/status_macros.h"

namespace postern::config {
namespace {

// A reload waits for it, so whoever fills a pipe has to be quick.
constexpr std::chrono::seconds kPipePatience(2);

absl::Status ErrnoError(absl::string_view path, absl::string_view what, int error) {
  std::string mend;
  if (error == ENOENT) mend = "; check the path";
  if (error == EACCES) mend = "; give the user that runs postern the right to read it";
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": ", what, ": ", std::strerror(error), mend));
}

// systemd (since 254) hands credentials to a service's user through an ACL, whose mask shows as the
// group's right to read; only that user can enter the directory.
bool IsSystemdCredential(absl::string_view path) {
  const char* const directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || *directory == '\0') return false;
  return absl::ConsumePrefix(&path, directory) && absl::ConsumePrefix(&path, "/") &&
         !absl::StrContains(path, '/');
}

absl::Status CheckFile(int fd, const std::string& path, FilePrivacy privacy, bool* is_pipe) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoError(path, "cannot be examined", errno);
  if (S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is a directory; name a file"));
  }
  if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is neither a file nor a pipe; name a file"));
  }
  *is_pipe = S_ISFIFO(info.st_mode);
  const mode_t forbidden = IsSystemdCredential(path) ? 037 : 077;
  if (privacy == FilePrivacy::kOwnerOnly && (info.st_mode & forbidden) != 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: its mode is %04o, so that others than its owner may use it; run: chmod 600 %s", path,
        info.st_mode & 07777u, path));
  }
  return absl::OkStatus();
}

// Until a pipe has something to read, or its writers have left.
absl::Status WaitForWriter(int fd, const std::string& path,
                           std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = poll(&wanted, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return ErrnoError(path, "cannot be read", errno);
    if (ready == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": is a pipe, and for ", kPipePatience.count(),
                       " s nobody has written into it; start its writer first"));
    }
  }
}

}  // namespace

absl::StatusOr<Secret> ReadSmallFile(const std::string& path, size_t bytes_max,
                                     FilePrivacy privacy) {
  // Without waiting: a pipe that nobody writes into would hold up whoever reads it for ever.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return ErrnoError(path, "cannot be opened", errno);
  const auto closer = absl::MakeCleanup([fd] { close(fd); });
  bool is_pipe = false;
  RETURN_IF_ERROR(CheckFile(fd, path, privacy, &is_pipe));
  const auto deadline = std::chrono::steady_clock::now() + kPipePatience;
  std::string buffer;
  // The buffer never grows by itself, so that no copy of a secret is left behind in freed memory.
  const auto wiper = absl::MakeCleanup([&buffer] { WipeMemory(buffer.data(), buffer.size()); });
  size_t used = 0;
  while (true) {
    if (used == buffer.size()) {
      std::string larger(std::max<size_t>(4096, used * 2), '\0');
      std::copy(buffer.begin(), buffer.end(), larger.begin());
      buffer.swap(larger);
      WipeMemory(larger.data(), larger.size());
    }
    if (is_pipe) RETURN_IF_ERROR(WaitForWriter(fd, path, deadline));
    const ssize_t got = read(fd, buffer.data() + used, buffer.size() - used);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return ErrnoError(path, "cannot be read", errno);
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (used > bytes_max) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": is larger than ", bytes_max, " bytes; is this the right file?"));
    }
  }
  return Secret(absl::string_view(buffer.data(), used));
}

}  // namespace postern::config
