// Unpredictable bytes, for challenges, keys and session ids.
#ifndef POSTERN_TLS_RANDOM_H_
#define POSTERN_TLS_RANDOM_H_

#include <cstddef>

namespace postern::tls {

// Fills `data` from OpenSSL's CSPRNG. Any thread. Ends the process if the system has no entropy:
// there is no safe way to go on.
void RandomBytes(void* data, size_t size);

}  // namespace postern::tls

#endif  // POSTERN_TLS_RANDOM_H_
