// Every named scenario as it should go, and then again and again with its first, second, third, ...
// operation failing, until there is none left to fail.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/deterministic_random.h"
#include "tests/sim/farm.h"
#include "tests/sim/scenarios.h"

namespace postern::sim {
namespace {

using ::testing::IsEmpty;

class ScenarioTest : public ::testing::TestWithParam<size_t> {
 protected:
  const Scenario& scenario() const { return Scenarios()[GetParam()]; }
};

TEST_P(ScenarioTest, GoesAsItShould) {
  SeedOpenSsl(1);
  Farm farm(1, scenario().spec);
  EXPECT_THAT(farm.Run(), IsEmpty());
  ASSERT_EQ(farm.history().clients.size(), 1u);
  const ClientStory& client = farm.history().clients[0];
  EXPECT_EQ(client.logged_in, scenario().logged_in) << absl::StrJoin(client.replies, "\n");
  EXPECT_EQ(CloseReasonName(client.reason), CloseReasonName(scenario().reason));
  EXPECT_EQ(client.end, scenario().end);
  bool deleted = false;
  for (const ServerStory& server : farm.history().servers) {
    deleted |= server.record.committed.count(0) != 0;
  }
  EXPECT_EQ(deleted, scenario().deleted);
}

TEST_P(ScenarioTest, SurvivesTheFailureOfEachOperation) {
  uint64_t n = 0;
  uint64_t operations = 0;
  do {
    FarmSpec spec = scenario().spec;
    spec.plan.fail_operation = ++n;
    SCOPED_TRACE(absl::StrCat("operation ", n));
    SeedOpenSsl(1);
    Farm farm(1, spec);
    EXPECT_THAT(farm.Run(), IsEmpty());
    operations = farm.io().operations();
  } while (operations >= n && !HasFailure());
  EXPECT_GT(n, 1u);
}

std::string NameOf(const ::testing::TestParamInfo<size_t>& test) {
  return Scenarios()[test.param].name;
}
INSTANTIATE_TEST_SUITE_P(All, ScenarioTest, ::testing::Range(size_t{0}, Scenarios().size()),
                         &NameOf);

}  // namespace
}  // namespace postern::sim
