#include "routing/lot_filter.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

constexpr uint64_t kNotLooked = (uint64_t{1} << 31) - 1;

TEST(LotFilterTest, EveryCpuFindsTheSame) {
  std::mt19937_64 random(1);
  const std::vector<LotFilter> filters = LotFilters();
  ASSERT_FALSE(filters.empty());
  for (const size_t count :
       {size_t{0}, size_t{16}, size_t{32}, size_t{48}, size_t{512}, size_t{1008}}) {
    std::vector<uint64_t> seeds(count);
    for (uint64_t& seed : seeds) seed = random();
    for (int user = 0; user < 300; ++user) {
      const uint64_t user_hash = random();
      std::vector<uint64_t> lots;
      for (const uint64_t seed : seeds) lots.push_back(MixBits(user_hash ^ seed));
      // Everywhere, near the top, at the ends, and exactly at a lot.
      uint64_t least = random();
      if (user % 3 == 1) least = ~(random() >> 6);
      if (user % 50 == 2) least = 0;
      if (user % 50 == 5) least = ~uint64_t{0};
      if (user % 5 == 4 && count > 0) least = lots[random() % count];
      std::vector<uint16_t> expected;
      for (size_t i = 0; i < count; ++i) {
        if ((lots[i] | kNotLooked) >= least) expected.push_back(static_cast<uint16_t>(i));
      }
      for (uint64_t& seed : seeds) seed = FoldBits(seed);
      for (size_t f = 0; f < filters.size(); ++f) {
        std::vector<uint16_t> passing(count);
        passing.resize(filters[f](seeds.data(), count, FoldBits(user_hash), least, passing.data()));
        EXPECT_EQ(passing, expected) << "filter " << f << ", " << count << " lots";
      }
      for (uint64_t& seed : seeds) seed = FoldBits(seed);
    }
  }
}

}  // namespace
}  // namespace postern::routing
