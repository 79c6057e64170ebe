#include "proxy/base/line_log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

// What a pipe takes without blocking once poll(2) calls it writable (Linux: one page).
constexpr size_t kPipeChunk = 4096;
constexpr absl::Duration kPatienceAtEnd = absl::Seconds(1);
// The level of the record that asks the writing thread to open the file anew.
constexpr auto kReopenRecord = spdlog::level::critical;

// O_NONBLOCK is for FIFOs: opening one without a reader fails instead of waiting, and a full one
// says EAGAIN.
constexpr int kAppend = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

// -1 and errno when it fails.
int OpenForAppend(const std::string& path) { return open(path.c_str(), kAppend | O_CREAT, 0640); }

absl::Status CannotOpen(const std::string& path, int error) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": cannot be opened for writing: ", std::strerror(error),
                   "; create its directory and let the user that runs postern write there"));
}

// Writes lines to a descriptor that may block for ever, and can be told to give up. spdlog's pool
// has one thread, so nothing here needs a lock but what others read.
class FdSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  // `path` is empty for stderr, which is borrowed; otherwise `fd` is owned.
  FdSink(std::string path, int fd, int wake_fd)
      : path_(std::move(path)), fd_(fd), wake_fd_(wake_fd) {
    FindKind();
  }
  ~FdSink() override {
    if (!path_.empty()) close(fd_);
    close(wake_fd_);
  }

  // Any thread: every line from now on is lost, also one that is being written.
  void GiveUp() {
    given_up_ = true;
    const uint64_t one = 1;
    if (write(wake_fd_, &one, sizeof(one)) < 0) return;  // full: it is awake already
  }

  // Counts a record that never got here.
  void Lose() {
    lost_.fetch_add(1, std::memory_order_relaxed);
    CountHandled();
  }

  uint64_t handled() const { return handled_.load(); }
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

  // Waits for more than `seen` records to be handled, or for `patience`.
  void WaitForMore(uint64_t seen, absl::Duration patience) {
    std::unique_lock<std::mutex> lock(mutex_);
    progress_.wait_for(lock, absl::ToChronoNanoseconds(patience),
                       [this, seen] { return handled_.load() > seen; });
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (message.level == kReopenRecord) {
      ReopenFile();
    } else {
      WriteLine(message);
    }
    CountHandled();
  }
  void flush_() override {}

 private:
  void CountHandled() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      handled_.fetch_add(1);
    }
    progress_.notify_all();
  }

  void ReopenFile() {
    const int fd = OpenForAppend(path_);
    if (fd < 0) {
      log::Error(absl::StrCat("session log ", path_, " cannot be opened again: ",
                              std::strerror(errno), "; the old file stays in use"));
      return;
    }
    close(fd_);
    fd_ = fd;
    line_is_open_ = false;
    FindKind();
  }

  // Files need no questions before each write. What stderr is may change under us.
  void FindKind() {
    struct stat info {};
    is_regular_ = !path_.empty() && fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  }

  void WriteLine(const spdlog::details::log_msg& message) {
    buffer_.clear();
    // The rest of a line that was cut by a full disk must not become the head of this one.
    if (line_is_open_) buffer_.push_back('\n');
    for (const char c : message.payload) {
      const auto byte = static_cast<unsigned char>(c);
      buffer_.push_back(byte < 0x20 || byte == 0x7f ? '?' : c);
    }
    buffer_.push_back('\n');
    size_t written = 0;
    const int error = WriteAll(&written);
    if (error == 0) {
      line_is_open_ = false;
      if (std::exchange(failing_, false) && !path_.empty()) {
        log::Warning(absl::StrCat("session log ", path_, " can be written again; ", lost(),
                                  " lines are lost"));
      }
      return;
    }
    if (written > 0) line_is_open_ = true;
    lost_.fetch_add(1, std::memory_order_relaxed);
    if (!std::exchange(failing_, true) && !path_.empty() && !given_up_) {
      log::Error(absl::StrCat("session log ", path_, " cannot be written: ", std::strerror(error),
                              "; lines are dropped until it can"));
    }
  }

  // 0 or an errno value.
  int WriteAll(size_t* written) {
    while (*written < buffer_.size()) {
      if (given_up_) return ECANCELED;
      const ssize_t got = WriteSome(buffer_.data() + *written, buffer_.size() - *written);
      if (got >= 0) {
        *written += static_cast<size_t>(got);
      } else if (errno == EAGAIN) {
        if (!WaitWritable()) return ECANCELED;
      } else if (errno != EINTR) {
        return errno;
      }
    }
    return 0;
  }

  // Never blocks on sockets and pipes, although stderr is shared with other processes and so keeps
  // the mode they gave it.
  ssize_t WriteSome(const char* data, size_t size) {
    if (is_regular_) return write(fd_, data, size);
    const ssize_t sent = send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0 || errno != ENOTSOCK) return sent;
    pollfd ready{fd_, POLLOUT, 0};
    if (poll(&ready, 1, 0) == 0) {
      errno = EAGAIN;
      return -1;
    }
    return write(fd_, data, std::min(size, kPipeChunk));
  }

  // False when told to give up.
  bool WaitWritable() {
    pollfd fds[2] = {{fd_, POLLOUT, 0}, {wake_fd_, POLLIN, 0}};
    poll(fds, 2, -1);
    return !given_up_;
  }

  const std::string path_;
  int fd_;
  const int wake_fd_;
  std::string buffer_;
  bool is_regular_ = false;
  bool line_is_open_ = false;
  bool failing_ = false;
  std::atomic<bool> given_up_{false};
  std::atomic<uint64_t> lost_{0};
  std::atomic<uint64_t> handled_{0};  // changes under mutex_
  std::mutex mutex_;
  std::condition_variable progress_;
};

// A thread for log lines that takes no signal: SIGTERM belongs to the main thread, and a reader
// that went away is an error value, not a SIGPIPE.
std::shared_ptr<spdlog::details::thread_pool> MakePool(size_t queue_lines) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  auto pool = std::make_shared<spdlog::details::thread_pool>(queue_lines, 1);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pool;
}

}  // namespace

struct LineLog::Impl {
  bool is_file = false;
  std::shared_ptr<FdSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
  std::atomic<uint64_t> posted{0};

  void Post(spdlog::level::level_enum level, absl::string_view text) {
    posted.fetch_add(1);
    logger->log(level, spdlog::string_view_t(text.data(), text.size()));
  }
};

LineLog::LineLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<LineLog>> LineLog::Open(const std::string& path_or_dash,
                                                       size_t queue_lines) {
  const bool is_file = path_or_dash != "-";
  const int fd = is_file ? OpenForAppend(path_or_dash) : STDERR_FILENO;
  if (fd < 0) return CannotOpen(path_or_dash, errno);
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    const int error = errno;
    if (is_file) close(fd);
    return absl::ResourceExhaustedError(
        absl::StrCat("no descriptor for a log: ", std::strerror(error)));
  }
  auto impl = std::make_unique<Impl>();
  impl->is_file = is_file;
  impl->sink = std::make_shared<FdSink>(is_file ? path_or_dash : "", fd, wake_fd);
  impl->pool = MakePool(queue_lines);
  impl->logger = std::make_shared<spdlog::async_logger>(
      "", impl->sink, impl->pool, spdlog::async_overflow_policy::overrun_oldest);
  impl->logger->set_level(spdlog::level::trace);
  // spdlog's own handler prints to stderr, which may be what is stuck.
  impl->logger->set_error_handler([sink = impl->sink.get()](const std::string&) { sink->Lose(); });
  return std::unique_ptr<LineLog>(new LineLog(std::move(impl)));
}

absl::Status LineLog::Check(const std::string& path_or_dash) {
  if (path_or_dash == "-") return absl::OkStatus();
  const int fd = open(path_or_dash.c_str(), kAppend);
  if (fd >= 0) {
    close(fd);
    return absl::OkStatus();
  }
  if (errno != ENOENT) return CannotOpen(path_or_dash, errno);
  // A link to nowhere is created behind it, in a directory that we do not look for.
  struct stat info {};
  if (lstat(path_or_dash.c_str(), &info) == 0) return absl::OkStatus();
  const size_t slash = path_or_dash.rfind('/');
  const std::string directory = slash == std::string::npos ? "."
                                : slash == 0               ? "/"
                                                           : path_or_dash.substr(0, slash);
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return CannotOpen(path_or_dash, errno);
  }
  return absl::OkStatus();
}

LineLog::~LineLog() {
  Flush(kPatienceAtEnd);
  impl_->sink->GiveUp();
  impl_->logger.reset();
  impl_->pool.reset();  // joins the thread
}

void LineLog::Write(const std::string& line) noexcept { impl_->Post(spdlog::level::info, line); }

void LineLog::Reopen() {
  if (impl_->is_file) impl_->Post(kReopenRecord, "");
}

bool LineLog::Flush(absl::Duration patience) {
  const absl::Time end = absl::Now() + patience;
  const uint64_t posted = impl_->posted.load();
  while (true) {
    const uint64_t handled = impl_->sink->handled();
    if (handled + impl_->pool->overrun_counter() >= posted) return true;
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    impl_->sink->WaitForMore(handled, left);
  }
}

uint64_t LineLog::dropped() const { return impl_->sink->lost() + impl_->pool->overrun_counter(); }

}  // namespace postern
