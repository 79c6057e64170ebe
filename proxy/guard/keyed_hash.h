// The names under which users and addresses stand in the guard's tables.
//
// SipHash-2-4 (Aumasson and Bernstein, 2012) with a key drawn at the start of the process: whoever
// does not know the key can neither prepare names that share a bucket nor two that are taken for
// one another. Two names of 64 bits meet with a chance of 2^-64.
#ifndef POSTERN_PROXY_GUARD_KEYED_HASH_H_
#define POSTERN_PROXY_GUARD_KEYED_HASH_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::guard {

struct HashKey {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
};

// Any thread.
uint64_t KeyedHash(const HashKey& key, absl::string_view bytes);

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_KEYED_HASH_H_
