#include "proxy/io/make_io.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proxy/base/status_macros.h"
#include "proxy/io/epoll_io.h"
#include "proxy/io/uring_io.h"

namespace postern::io {

const char* IoKindName(IoKind kind) {
  switch (kind) {
    case IoKind::kUring:
      return "uring";
    case IoKind::kEpoll:
      return "epoll";
    default:
      return "auto";
  }
}

absl::StatusOr<MadeIo> MakeIo(IoKind kind, const UringOptions& options) {
  MadeIo made;
  if (kind != IoKind::kEpoll) {
    absl::StatusOr<std::unique_ptr<UringIo>> uring = UringIo::Create(options);
    if (uring.ok()) {
      made.io = *std::move(uring);
      made.kind = IoKind::kUring;
      return made;
    }
    if (kind == IoKind::kUring) return uring.status();
    const absl::string_view why(uring.status().message().data(), uring.status().message().size());
    made.warning = absl::StrCat("running on epoll, which costs more CPU time: ", why);
  }
  ASSIGN_OR_RETURN(made.io, EpollIo::Create(EpollOptions{
                                .receive_buffer_bytes = options.receive_buffer_bytes,
                                .receive_buffers = options.receive_buffers,
                                .receive_buffers_max = options.receive_buffers_max,
                            }));
  made.kind = IoKind::kEpoll;
  return made;
}

}  // namespace postern::io
