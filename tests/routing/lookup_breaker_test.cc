#include <gtest/gtest.h>

#include "routing/lookup/breaker.h"

namespace postern::routing {
namespace {

using Gate = Breaker::Gate;

TEST(BreakerTest, OpensAfterFailuresInARowOnly) {
  Breaker breaker(3, kSecond);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(breaker.OnFailure(0));
    EXPECT_FALSE(breaker.OnFailure(0));
    EXPECT_FALSE(breaker.OnSuccess());
    EXPECT_EQ(breaker.Knock(0), Gate::kPass);
  }
  EXPECT_FALSE(breaker.OnFailure(0));
  EXPECT_FALSE(breaker.OnFailure(0));
  EXPECT_FALSE(breaker.open());
  EXPECT_TRUE(breaker.OnFailure(0));
  EXPECT_TRUE(breaker.open());
  EXPECT_FALSE(breaker.OnFailure(0));  // told once
}

TEST(BreakerTest, OneProbeInEachInterval) {
  Breaker breaker(1, kSecond);
  breaker.OnFailure(10 * kSecond);
  EXPECT_EQ(breaker.Knock(10 * kSecond), Gate::kRefuse);
  EXPECT_EQ(breaker.Knock(11 * kSecond - 1), Gate::kRefuse);
  EXPECT_EQ(breaker.Knock(11 * kSecond), Gate::kProbe);
  EXPECT_EQ(breaker.Knock(11 * kSecond), Gate::kRefuse);
  EXPECT_EQ(breaker.Knock(12 * kSecond - 1), Gate::kRefuse);
  EXPECT_EQ(breaker.Knock(12 * kSecond), Gate::kProbe);
  EXPECT_TRUE(breaker.OnSuccess());
  EXPECT_EQ(breaker.Knock(12 * kSecond), Gate::kPass);
  // It counts from the beginning again.
  EXPECT_TRUE(breaker.OnFailure(13 * kSecond));
}

}  // namespace
}  // namespace postern::routing
