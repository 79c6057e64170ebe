// Lines of text on their way to a file or to stderr, without ever stopping the caller.
//
// Write() copies the line into a bounded queue (spdlog's) and returns; a thread of its own writes
// it out. When the reader of a pipe stalls or the disk is full, lines are dropped and counted, the
// oldest first, and the program goes on.
#ifndef POSTERN_PROXY_BASE_LINE_LOG_H_
#define POSTERN_PROXY_BASE_LINE_LOG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace postern {

// Any thread may call anything but the destructor.
class LineLog {
 public:
  // About 450 bytes each, taken at once.
  static constexpr size_t kQueueLines = 8192;

  // A file, created with mode 0640 and appended to, or "-" for stderr. The error names the file
  // and says why it cannot be written.
  static absl::StatusOr<std::unique_ptr<LineLog>> Open(const std::string& path_or_dash,
                                                       size_t queue_lines = kQueueLines);
  // Whether Open() would do, as far as can be told without leaving anything behind: a file that is
  // not there is not created, its directory is looked at instead. The same error.
  static absl::Status Check(const std::string& path_or_dash);

  // Waits a moment for queued lines; a writer that is stuck loses them.
  ~LineLog();
  LineLog(const LineLog&) = delete;
  LineLog& operator=(const LineLog&) = delete;

  // One line without its end. Control bytes in it become '?', so that it stays one line.
  void Write(const std::string& line) noexcept;

  // For logrotate: lines written from now on go to a newly opened file. When that fails the old one
  // stays in use and the process log says why. Returns at once; does nothing for stderr.
  void Reopen();

  // Waits until every line written before is out or dropped; false when `patience` ended first.
  bool Flush(absl::Duration patience);

  // Lines that never reached the file: the queue was full, or writing failed (disk full, reader
  // gone).
  uint64_t dropped() const;

 private:
  struct Impl;
  explicit LineLog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_LINE_LOG_H_
