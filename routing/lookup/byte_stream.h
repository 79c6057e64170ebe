// A connection of a source that speaks its protocol itself: bytes out and in, each with a deadline.
#ifndef POSTERN_ROUTING_LOOKUP_BYTE_STREAM_H_
#define POSTERN_ROUTING_LOOKUP_BYTE_STREAM_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"
#include "routing/lookup/deadline.h"

namespace postern::routing {

// One thread. Closes on destruction, without a word.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // All of `bytes`, or an error.
  virtual absl::Status Write(absl::string_view bytes, Deadline deadline) = 0;
  // At least one byte, or an error; the end of the connection is one.
  virtual absl::StatusOr<size_t> Read(char* to, size_t size, Deadline deadline) = 0;
};

// Connects to a host, trying its addresses one after the other, or to a unix socket. The look-up of
// the name is getaddrinfo(3), which knows no deadline.
absl::StatusOr<std::unique_ptr<ByteStream>> ConnectStream(const HostPort& server,
                                                          Deadline deadline);
// The same as a descriptor, which does not block and is the caller's.
absl::StatusOr<int> ConnectSocket(const HostPort& server, Deadline deadline);

// Puts something around a fresh connection to the server of that name: TLS.
using StreamWrapper = std::function<absl::StatusOr<std::unique_ptr<ByteStream>>(
    std::unique_ptr<ByteStream> stream, const std::string& host, Deadline deadline)>;

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_BYTE_STREAM_H_
