#include "tls/random.h"

#include <openssl/rand.h>

#include "proxy/base/check.h"

namespace postern::tls {

void RandomBytes(void* data, size_t size) {
  CHECK(RAND_bytes_ex(nullptr, static_cast<unsigned char*>(data), size, 0) == 1);
}

}  // namespace postern::tls
