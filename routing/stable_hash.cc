#include "routing/stable_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace postern::routing {

uint64_t StableHash(absl::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t SeededHash(absl::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace postern::routing
