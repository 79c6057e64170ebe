// Which backends' lots for a user are high enough to be looked at: the one step of a choice by hash
// that every backend takes part in. With a thousand of them it is most of the choice, so it uses
// what vectors the CPU has; the answer is the same on all of them.
#ifndef POSTERN_ROUTING_LOT_FILTER_H_
#define POSTERN_ROUTING_LOT_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace postern::routing {

// `count` is a multiple of this, and below 65536.
inline constexpr size_t kLotStride = 16;

// Writes the positions of the lots with MixBits(user hash ^ seed) >= `least`, in order, and perhaps
// of some that fall short: the lowest 31 bits of the lots are not looked at. Returns how many.
// `seeds` and `user` are folded, see FoldBits(); `passing` has room for `count`. Pure.
using LotFilter = size_t (*)(const uint64_t* seeds, size_t count, uint64_t user, uint64_t least,
                             uint16_t* passing);

// What this CPU can run: plain C++ first, the fastest last.
std::vector<LotFilter> LotFilters();

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOT_FILTER_H_
