// The legacy method table is deprecated, and still the only hook that every library context obeys
// (OpenSSL 3.0 to 3.5: RAND_bytes_ex asks it first).
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/sim/deterministic_random.h"

#include <openssl/rand.h>

#include "proxy/base/check.h"
#include "tests/sim/random.h"

namespace postern::sim {
namespace {

Random& Source() {
  static Random random(0);
  return random;
}

int Fill(unsigned char* buffer, int size) {
  for (int i = 0; i < size; ++i) buffer[i] = static_cast<unsigned char>(Source().Next() >> 32);
  return 1;
}

int Ready() { return 1; }

}  // namespace

void SeedOpenSsl(uint64_t seed) {
  static const RAND_METHOD method = {nullptr, &Fill, nullptr, nullptr, &Fill, &Ready};
  Source() = Random(seed);
  CHECK(RAND_set_rand_method(&method) == 1);
}

}  // namespace postern::sim
