// Which implementation of Io a worker runs on: io_uring where it is allowed, else epoll.
#ifndef POSTERN_PROXY_IO_MAKE_IO_H_
#define POSTERN_PROXY_IO_MAKE_IO_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/io/io.h"
#include "proxy/io/uring_setup.h"

namespace postern::io {

enum class IoKind { kAuto, kUring, kEpoll };

// "auto", "uring", "epoll": as in the configuration.
const char* IoKindName(IoKind kind);

struct MadeIo {
  std::unique_ptr<Io> io;
  IoKind kind = IoKind::kAuto;  // what it became: kUring or kEpoll
  // Not empty when kAuto found io_uring closed: one sentence for the operator, with cause and mend.
  std::string warning;
};

// On the thread that will run it (see UringIo). epoll takes the sizes of the buffers from
// `options`. An error names the cause and how to mend it; kAuto fails only when both do.
absl::StatusOr<MadeIo> MakeIo(IoKind kind, const UringOptions& options);

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_MAKE_IO_H_
