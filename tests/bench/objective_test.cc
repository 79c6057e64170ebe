#include "bench/load/objective.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::load {
namespace {

// 100 good sessions of 1 to 100 ms, logins of a tenth.
Results Good() {
  Results results;
  results.endings[0] = 100;
  for (int i = 1; i <= 100; ++i) {
    results.spans[static_cast<size_t>(Span::kSession)].Record(i * kMillisecond);
    results.spans[static_cast<size_t>(Span::kLogin)].Record(i * kMillisecond / 10);
  }
  return results;
}

std::string Problem(absl::string_view objective, const Results& results) {
  const absl::StatusOr<Objective> parsed = Objective::Parse(objective);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? parsed->Problem(results) : "";
}

TEST(ObjectiveTest, Latencies) {
  const Results results = Good();
  for (const char* met : {"p99<101ms", "p50<55ms,p99<=200ms", "max<=100ms", "mean<51ms",
                          "login.p99<11ms", "login.max<=10ms", " p99<1s , errors=0 "}) {
    EXPECT_EQ(Problem(met, results), "") << met;
  }
  EXPECT_EQ(Problem("max<100ms", results), "max of session is 100 ms");
  EXPECT_EQ(Problem("p99<1s,login.max<5ms", results), "max of login is 10 ms");
  EXPECT_NE(Problem("p50<49ms", results), "");
  EXPECT_NE(Problem("mean<50ms", results), "");
  EXPECT_EQ(Problem("retrieve.p99<1s", results), "no retrieve was timed");
}

TEST(ObjectiveTest, ErrorsAreThoseThatFailedOrNeverStarted) {
  Results results = Good();
  results.endings[static_cast<size_t>(Ending::kTimeout)] = 3;
  results.dropped = 1;
  EXPECT_EQ(Problem("p99<1s", results), "4 of 104 sessions failed");
  EXPECT_NE(Problem("errors=0", results), "");
  EXPECT_NE(Problem("errors<4", results), "");
  EXPECT_EQ(Problem("errors<=4", results), "");
  EXPECT_EQ(Problem("errors=4", results), "");
  EXPECT_EQ(Problem("errors<4%", results), "");
  EXPECT_NE(Problem("errors<=3.8%", results), "");
}

TEST(ObjectiveTest, NothingMeetsNothing) {
  EXPECT_EQ(Problem("errors=0", Results()), "no session ran");
}

TEST(ObjectiveTest, MistakesAreRefused) {
  for (const char* text :
       {"", "p99", "p99=200ms", "p99<", "p99<200", "p99<0s", "p0<1s", "p100<1s", "q99<1s",
        "nothing.p99<1s", "login.<1s", "errors<", "errors<x", "errors<101%", "errors=-1",
        "p99<200ms,", "p99>200ms", "errors<nan", "errors<inf"}) {
    EXPECT_FALSE(Objective::Parse(text).ok()) << text;
  }
  EXPECT_EQ(Objective::Parse("p99<200").status().message(),
            "--objective: \"p99<200\" names no limit; write p99<200ms or max<=1.5s");
}

}  // namespace
}  // namespace postern::load
