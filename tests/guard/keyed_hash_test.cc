#include "proxy/guard/keyed_hash.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace postern::guard {
namespace {

// Key and messages of the published test vectors: bytes 0, 1, 2, ...
constexpr HashKey kReferenceKey{0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

std::string Counting(size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(i);
  return text;
}

TEST(KeyedHash, IsSipHash24) {
  EXPECT_EQ(KeyedHash(kReferenceKey, Counting(0)), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(KeyedHash(kReferenceKey, Counting(1)), 0x74f839c593dc67fdu);
  EXPECT_EQ(KeyedHash(kReferenceKey, Counting(8)), 0x93f5f5799a932462u);
  EXPECT_EQ(KeyedHash(kReferenceKey, Counting(15)), 0xa129ca6149be45e5u);
}

TEST(KeyedHash, EveryByteAndBothHalvesOfTheKeyCount) {
  std::set<uint64_t> seen;
  const std::string text = Counting(20);
  seen.insert(KeyedHash(kReferenceKey, text));
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = static_cast<char>(other[i] ^ '\x80');
    seen.insert(KeyedHash(kReferenceKey, other));
  }
  seen.insert(KeyedHash({kReferenceKey.k0 ^ 1, kReferenceKey.k1}, text));
  seen.insert(KeyedHash({kReferenceKey.k0, kReferenceKey.k1 ^ 1}, text));
  EXPECT_EQ(seen.size(), text.size() + 3);
}

}  // namespace
}  // namespace postern::guard
