#include "tls/random.h"

#include <array>
#include <set>

#include "gtest/gtest.h"

namespace postern::tls {
namespace {

TEST(RandomTest, NeverTheSameTwice) {
  std::set<std::array<unsigned char, 16>> seen;
  for (int i = 0; i < 1000; ++i) {
    std::array<unsigned char, 16> bytes = {};
    RandomBytes(bytes.data(), bytes.size());
    EXPECT_TRUE(seen.insert(bytes).second);
  }
}

TEST(RandomTest, ZeroBytes) { RandomBytes(nullptr, 0); }

}  // namespace
}  // namespace postern::tls
