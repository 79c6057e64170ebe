// Hashes of names that mean the same on every machine, in every process and after every restart.
//
// The values decide which backend holds a user's mail: changing them moves everybody. A test keeps
// golden values. XXH3 (64 bits) is fixed by its authors since version 0.8.0 and is independent of
// byte order and instruction set.
#ifndef POSTERN_ROUTING_STABLE_HASH_H_
#define POSTERN_ROUTING_STABLE_HASH_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::routing {

uint64_t StableHash(absl::string_view bytes);

// Another function for each seed. For tables in memory whose keys strangers may choose: the seed is
// drawn at random, so nobody can prepare names that collide.
uint64_t SeededHash(absl::string_view bytes, uint64_t seed);

// The steps of MixBits(). FoldBits(a ^ b) is FoldBits(a) ^ FoldBits(b), and it leaves the upper 33
// bits as they are.
constexpr uint64_t FoldBits(uint64_t x) { return x ^ (x >> 33); }
inline constexpr uint64_t kFirstFactor = 0xff51afd7ed558ccdULL;
inline constexpr uint64_t kSecondFactor = 0xc4ceb9fe1a85ec53ULL;
constexpr uint64_t StirBits(uint64_t x) { return FoldBits(x * kFirstFactor) * kSecondFactor; }

// Spreads every input bit over the whole word (a bijection; the finalizer of MurmurHash3).
constexpr uint64_t MixBits(uint64_t x) { return FoldBits(StirBits(FoldBits(x))); }

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_STABLE_HASH_H_
