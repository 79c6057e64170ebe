#include "proxy/io/uring_setup.h"

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/base/status_macros.h"

namespace postern::io {
namespace {

// Everything UringIo submits. IORING_OP_SHUTDOWN, SPLICE and file operations are not here on
// purpose: they run on kernel helper threads (Linux 6.18).
constexpr std::array<uint8_t, 6> kOperations = {
    IORING_OP_RECV,    IORING_OP_SEND,         IORING_OP_ACCEPT,
    IORING_OP_CONNECT, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD,
};

struct Attempt {
  unsigned flags;
  bool single_issuer;
  bool defer_taskrun;
  bool coop_taskrun;
};

// Best first. An unknown flag is EINVAL.
constexpr std::array<Attempt, 3> kAttempts = {{
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL, true, true,
     false},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, false, false, true},
    {0, false, false, false},
}};

int QueueInit(const UringOptions& options, unsigned flags, io_uring* ring) {
  io_uring_params params{};
  params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = options.cq_entries;
  return io_uring_queue_init_params(options.sq_entries, ring, &params);
}

// liburing 2.3 declares io_uring_register_restrictions() and io_uring_enable_rings() but does not
// export them. Returns 0 or a positive errno.
int Register(io_uring* ring, unsigned operation, const void* argument, unsigned count) {
  return syscall(__NR_io_uring_register, ring->ring_fd, operation, argument, count) < 0 ? errno : 0;
}

int RegisterRestrictions(io_uring* ring) {
  std::array<io_uring_restriction, kOperations.size() + 1> restrictions{};
  for (size_t i = 0; i < kOperations.size(); ++i) {
    restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
    restrictions[i].sqe_op = kOperations[i];
  }
  restrictions.back().opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  restrictions.back().sqe_flags = IOSQE_BUFFER_SELECT;
  return Register(ring, IORING_REGISTER_RESTRICTIONS, restrictions.data(),
                  static_cast<unsigned>(restrictions.size()));
}

absl::Status CheckOperations(io_uring* ring) {
  const std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(
      io_uring_get_probe_ring(ring), io_uring_free_probe);
  if (probe == nullptr) return UringError("asking the kernel for its operations", ENOMEM);
  for (const uint8_t operation : kOperations) {
    if (io_uring_opcode_supported(probe.get(), operation) == 0) {
      return absl::UnimplementedError(
          absl::StrCat("io_uring: this kernel lacks operation ", operation,
                       "; Linux 5.19 or newer is needed (6.1 or newer is better), or io = "
                       "\"epoll\""));
    }
  }
  if ((ring->features & IORING_FEAT_NODROP) == 0 || (ring->features & IORING_FEAT_EXT_ARG) == 0) {
    return UringError("setting up the ring", ENOSYS);
  }
  return absl::OkStatus();
}

}  // namespace

std::string UringFeatures::ToString() const {
  std::array<const char*, 4> words{};
  size_t count = 0;
  if (single_issuer) words[count++] = "single-issuer";
  if (defer_taskrun) words[count++] = "defer-taskrun";
  if (coop_taskrun) words[count++] = "coop-taskrun";
  if (restricted) words[count++] = "restricted";
  return count == 0 ? "plain" : absl::StrJoin(words.begin(), words.begin() + count, " ");
}

absl::Status UringError(const char* step, int error) {
  const std::string what = absl::StrCat("io_uring: ", step, " failed: ", std::strerror(error));
  switch (error) {
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(
          what,
          "; io_uring is forbidden here: check `sysctl kernel.io_uring_disabled` (0 allows it) and "
          "the container's seccomp profile (Docker's default forbids io_uring), or set io = "
          "\"epoll\""));
    case ENOSYS:
    case EINVAL:
      return absl::UnimplementedError(
          absl::StrCat(what,
                       "; the kernel is too old or built without io_uring: Linux 5.19 or newer is "
                       "needed (6.1 or newer is better), or io = \"epoll\""));
    case ENOMEM:
      return absl::ResourceExhaustedError(absl::StrCat(
          what,
          "; rings count against the limit of locked memory: raise RLIMIT_MEMLOCK (`ulimit -l "
          "65536`, or LimitMEMLOCK=64M in the systemd unit), or set io = \"epoll\""));
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(
          absl::StrCat(what, "; raise the limit of open files (LimitNOFILE in the systemd unit)"));
    default:
      return absl::InternalError(what);
  }
}

absl::Status SetUpRing(const UringOptions& options, io_uring* ring, UringFeatures* features) {
  int error = EINVAL;
  for (const bool restricted : {true, false}) {
    if (restricted && !options.restrict_operations) continue;
    for (const Attempt& attempt : kAttempts) {
      const unsigned disabled = restricted ? IORING_SETUP_R_DISABLED : 0u;
      error = -QueueInit(options, attempt.flags | disabled, ring);
      if (error == EINVAL) continue;
      if (error != 0) return UringError("setting up the ring", error);
      if (absl::Status status = CheckOperations(ring); !status.ok()) {
        io_uring_queue_exit(ring);
        return status;
      }
      if (restricted && RegisterRestrictions(ring) != 0) {
        io_uring_queue_exit(ring);
        error = EINVAL;
        break;
      }
      *features = UringFeatures{.single_issuer = attempt.single_issuer,
                                .defer_taskrun = attempt.defer_taskrun,
                                .coop_taskrun = attempt.coop_taskrun,
                                .restricted = restricted};
      return absl::OkStatus();
    }
  }
  return UringError("setting up the ring", error);
}

absl::Status EnableRing(io_uring* ring, const UringFeatures& features) {
  if (!features.restricted) return absl::OkStatus();
  const int error = Register(ring, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  return error == 0 ? absl::OkStatus() : UringError("enabling the ring", error);
}

}  // namespace postern::io
