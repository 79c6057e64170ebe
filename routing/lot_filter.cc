#include "routing/lot_filter.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

// Of 2^64, what the filters look at: above it the last step of MixBits() changes nothing.
constexpr uint64_t kLooked = ~((uint64_t{1} << 31) - 1);

size_t FilterPlain(const uint64_t* seeds, size_t count, uint64_t user, uint64_t least,
                   uint16_t* passing) {
  least &= kLooked;
  size_t found = 0;
  for (size_t i = 0; i < count; i += 4) {
    const uint64_t lots[4] = {StirBits(user ^ seeds[i]), StirBits(user ^ seeds[i + 1]),
                              StirBits(user ^ seeds[i + 2]), StirBits(user ^ seeds[i + 3])};
    // One jump for four: few pass.
    if (((lots[0] >= least) | (lots[1] >= least) | (lots[2] >= least) | (lots[3] >= least)) == 0) {
      continue;
    }
    for (size_t j = 0; j < 4; ++j) {
      if (lots[j] >= least) passing[found++] = static_cast<uint16_t>(i + j);
    }
  }
  return found;
}

#if defined(__x86_64__)

// Adds the positions of the bits that are set.
inline size_t AddPassing(size_t first, unsigned mask, size_t found, uint16_t* passing) {
  for (; mask != 0; mask &= mask - 1) {
    passing[found++] = static_cast<uint16_t>(first + static_cast<size_t>(__builtin_ctz(mask)));
  }
  return found;
}

inline __attribute__((target("avx2"))) __m256i Broadcast4(uint64_t x) {
  return _mm256_set1_epi64x(static_cast<long long>(x));
}

// AVX2 multiplies 32 bits by 32 only; the upper halves' product is not wanted.
inline __attribute__((target("avx2"))) __m256i Multiply4(__m256i x, uint64_t factor) {
  const __m256i low = Broadcast4(factor & 0xffffffff);
  const __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(x, Broadcast4(factor >> 32)),
                                         _mm256_mul_epu32(_mm256_srli_epi64(x, 32), low));
  return _mm256_add_epi64(_mm256_mul_epu32(x, low), _mm256_slli_epi64(cross, 32));
}

inline __attribute__((target("avx2"))) __m256i Stir4(__m256i x) {
  x = Multiply4(x, kFirstFactor);
  return Multiply4(_mm256_xor_si256(x, _mm256_srli_epi64(x, 33)), kSecondFactor);
}

__attribute__((target("avx2"))) size_t FilterAvx2(const uint64_t* seeds, size_t count,
                                                  uint64_t user, uint64_t least,
                                                  uint16_t* passing) {
  least &= kLooked;
  // Comparisons are of signed numbers; without the upper bit the order is the same.
  constexpr uint64_t kSign = uint64_t{1} << 63;
  const __m256i sign = Broadcast4(kSign);
  const __m256i limit = Broadcast4(least ^ kSign);
  const __m256i users = Broadcast4(user);
  size_t found = 0;
  for (size_t i = 0; i < count; i += 8) {
    const auto* from = reinterpret_cast<const __m256i*>(seeds + i);
    const __m256i a = Stir4(_mm256_xor_si256(users, _mm256_loadu_si256(from)));
    const __m256i b = Stir4(_mm256_xor_si256(users, _mm256_loadu_si256(from + 1)));
    const __m256i below_a = _mm256_cmpgt_epi64(limit, _mm256_xor_si256(a, sign));
    const __m256i below_b = _mm256_cmpgt_epi64(limit, _mm256_xor_si256(b, sign));
    const int below = _mm256_movemask_pd(_mm256_castsi256_pd(below_a)) |
                      _mm256_movemask_pd(_mm256_castsi256_pd(below_b)) << 4;
    found = AddPassing(i, static_cast<unsigned>(below) ^ 0xff, found, passing);
  }
  return found;
}

inline __attribute__((target("avx512f,avx512dq"))) __m512i Stir8(__m512i x) {
  x = _mm512_mullo_epi64(x, _mm512_set1_epi64(static_cast<long long>(kFirstFactor)));
  // The shift by its name makes g++ 12 warn of its own header (GCC bug 105593).
  using Lanes = uint64_t __attribute__((vector_size(64)));
  x = _mm512_xor_si512(x, reinterpret_cast<__m512i>(reinterpret_cast<Lanes>(x) >> 33));
  return _mm512_mullo_epi64(x, _mm512_set1_epi64(static_cast<long long>(kSecondFactor)));
}

__attribute__((target("avx512f,avx512dq"))) size_t FilterAvx512(const uint64_t* seeds, size_t count,
                                                                uint64_t user, uint64_t least,
                                                                uint16_t* passing) {
  const __m512i limit = _mm512_set1_epi64(static_cast<long long>(least & kLooked));
  const __m512i users = _mm512_set1_epi64(static_cast<long long>(user));
  size_t found = 0;
  for (size_t i = 0; i < count; i += 16) {
    const __m512i a = Stir8(_mm512_xor_si512(users, _mm512_loadu_si512(seeds + i)));
    const __m512i b = Stir8(_mm512_xor_si512(users, _mm512_loadu_si512(seeds + i + 8)));
    const unsigned mask = static_cast<unsigned>(_mm512_cmpge_epu64_mask(a, limit)) |
                          static_cast<unsigned>(_mm512_cmpge_epu64_mask(b, limit)) << 8;
    found = AddPassing(i, mask, found, passing);
  }
  return found;
}

#endif  // defined(__x86_64__)

}  // namespace

std::vector<LotFilter> LotFilters() {
  std::vector<LotFilter> filters = {FilterPlain};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") != 0) filters.push_back(FilterAvx2);
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0) {
    filters.push_back(FilterAvx512);
  }
#endif
  return filters;
}

}  // namespace postern::routing
