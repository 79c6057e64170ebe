// The PROXY protocol, versions 1 and 2, as a receiver reads it: the header a proxy sends in front
// of everything else, TLS included. Sans-I/O; any thread.
#ifndef POSTERN_BENCH_MAILDROP_PROXY_HEADER_H_
#define POSTERN_BENCH_MAILDROP_PROXY_HEADER_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "bench/maildrop/client_facts.h"

namespace postern::maildrop {

// The longest header that is accepted. Dovecot's limit is the same.
inline constexpr size_t kProxyHeaderBytesMax = 1500;

enum class ProxyHeader {
  kMore,  // the beginning of a header
  kDone,
  kBad,  // no header, or a damaged one
};

// Looks for a header at the start of `input`. kDone: *bytes is its length, and `facts` got what it
// says: addr, port, destaddr, destport, and of version 2 also alpn, destname (AUTHORITY), session
// (UNIQUE_ID), tls (the version), cipher and cn. A header for UNKNOWN or LOCAL says nothing. The
// checksum of version 2 is not verified.
ProxyHeader ReadProxyHeader(absl::string_view input, size_t* bytes, ClientFacts* facts);

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_PROXY_HEADER_H_
