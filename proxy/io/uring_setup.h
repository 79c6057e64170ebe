// Making a ring: the flags this kernel understands, what we restrict it to, and sentences for an
// operator when it is refused.
//
// What the kernel can do is found by trying, never by its version number. Required: provided buffer
// rings and multishot accept (both Linux 5.19). Wanted, with fall-backs: SINGLE_ISSUER and
// DEFER_TASKRUN (6.1; without them a connection costs up to a third more), restrictions.
#ifndef POSTERN_PROXY_IO_URING_SETUP_H_
#define POSTERN_PROXY_IO_URING_SETUP_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

struct io_uring;

namespace postern::io {

struct UringOptions {
  uint32_t sq_entries = 1024;
  // Several times the operations that may complete in one burst; a full queue costs time, never a
  // completion.
  uint32_t cq_entries = 8192;
  uint32_t receive_buffer_bytes = 16384;
  // How many buffers are ready for what arrives, shared by all receives of a worker; and up to how
  // many there may be while sessions keep theirs, waiting for a peer that does not read. Powers of
  // two (rounded up), at most 32768.
  uint32_t receive_buffers = 256;
  uint32_t receive_buffers_max = 16384;
  // Lets the ring run only the operations we use. seccomp does not see what a ring does; this does.
  bool restrict_operations = true;
};

// What the kernel agreed to; for the log and for tests.
struct UringFeatures {
  bool single_issuer = false;
  bool defer_taskrun = false;
  bool coop_taskrun = false;
  bool restricted = false;
  // "single-issuer defer-taskrun restricted"
  std::string ToString() const;
};

// Makes `ring`, still disabled when features->restricted says so. The error names the cause and how
// to mend it.
absl::Status SetUpRing(const UringOptions& options, io_uring* ring, UringFeatures* features);

// Ends the set-up: operations may be submitted from now on, by this thread.
absl::Status EnableRing(io_uring* ring, const UringFeatures& features);

// The sentence for what `step` failed with (a positive errno).
absl::Status UringError(const char* step, int error);

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_URING_SETUP_H_
