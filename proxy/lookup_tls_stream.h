// TLS around the connection of a source that speaks its protocol itself.
#ifndef POSTERN_PROXY_LOOKUP_TLS_STREAM_H_
#define POSTERN_PROXY_LOOKUP_TLS_STREAM_H_

#include "routing/lookup/byte_stream.h"
#include "routing/lookup/server_source.h"

namespace postern {

// Null when `tls` is off. The certificate must carry the host of the server as the operator wrote
// it. Each connection has a library context of its own, because sources live on several threads:
// that costs milliseconds, once for a connection that stays.
routing::StreamWrapper TlsWrapper(const routing::LookupTls& tls);

}  // namespace postern

#endif  // POSTERN_PROXY_LOOKUP_TLS_STREAM_H_
