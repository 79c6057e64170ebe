#include "bench/load/report.h"

#include <gtest/gtest.h>

namespace postern::load {
namespace {

Results SomeFailed(uint64_t good, uint64_t failed) {
  Results results;
  results.endings[static_cast<size_t>(Ending::kGood)] = good;
  results.endings[static_cast<size_t>(Ending::kTimeout)] = failed;
  results.first_start = 0;
  results.last_end = kSecond;
  return results;
}

TEST(ReportTest, SessionsASecondAreGoodOnes) {
  const Options options;
  const Results results = SomeFailed(30, 70);
  EXPECT_NE(Summary(options, results).find("30 good, 70 failed in 1.00 s: 30.0 good ones/s"),
            std::string::npos)
      << Summary(options, results);
  EXPECT_DOUBLE_EQ(ToJson(options, results)["sessions_per_second"].get<double>(), 30);
}

TEST(ReportTest, WhoAsksForResumptionIsToldEvenOfNone) {
  Options options;
  Results results = SomeFailed(20, 0);
  results.handshakes = 20;
  EXPECT_EQ(Summary(options, results).find("resumed"), std::string::npos);
  options.tls_options.resume = true;
  EXPECT_NE(Summary(options, results).find("0 of 20 resumed"), std::string::npos);
  results.resumed = 19;
  EXPECT_NE(Summary(options, results).find("19 of 20 resumed"), std::string::npos);
}

TEST(ReportTest, TheVerdictIsTheFirstWord) {
  const Options options;
  EXPECT_EQ(Summary(options, SomeFailed(1, 0)).find("good "), 0u);
  EXPECT_EQ(Summary(options, SomeFailed(1, 1)).find("FAILURES "), 0u);
  Results some_missing = SomeFailed(1, 0);
  some_missing.dropped = 1;
  EXPECT_EQ(Summary(options, some_missing).find("NOT ALL STARTED "), 0u);
  EXPECT_FALSE(some_missing.all_good());
}

}  // namespace
}  // namespace postern::load
