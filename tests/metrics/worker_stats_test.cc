#include "metrics/worker_stats.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

namespace postern::metrics {
namespace {

// Label values: lower case words that need no escaping, each once.
template <typename Enum>
void ExpectUniqueNames(absl::string_view (*name_of)(Enum), int count) {
  std::set<std::string> seen;
  for (int i = 0; i < count; ++i) {
    const std::string name(name_of(static_cast<Enum>(i)));
    EXPECT_FALSE(name.empty()) << i;
    EXPECT_TRUE(seen.insert(name).second) << name;
    EXPECT_EQ(name.find_first_of("\"\\\n "), std::string::npos) << name;
  }
}

TEST(WorkerStatsNames, AreUnique) {
  ExpectUniqueNames(&LoginResultName, kLoginResultCount);
  ExpectUniqueNames(&UpstreamErrorName, kUpstreamErrorCount);
  ExpectUniqueNames(&TlsVersionName, kTlsVersionCount);
  ExpectUniqueNames(&TlsCipherName, kTlsCipherCount);
  ExpectUniqueNames(&RelayVerbName, kRelayVerbCount);
  ExpectUniqueNames(&CloseReasonName, kCloseReasonCount);
}

TEST(WorkerStatsNames, SayWhatTheEnumeratorSays) {
  EXPECT_EQ(LoginResultName(LoginResult::kUnknownUser), "unknown_user");
  EXPECT_EQ(LoginResultName(LoginResult::kSys), "sys");
  EXPECT_EQ(UpstreamErrorName(UpstreamError::kRefused), "refused");
  EXPECT_EQ(UpstreamErrorName(UpstreamError::kExtraLines), "extra_lines");
  EXPECT_EQ(UpstreamErrorName(UpstreamError::kStlsRefused), "stls_refused");
  EXPECT_EQ(UpstreamErrorName(UpstreamError::kLocal), "local");
  EXPECT_EQ(UpstreamErrorName(UpstreamError::kOut), "out");
  EXPECT_EQ(TlsVersionName(TlsVersion::kTls13), "TLSv1.3");
  EXPECT_EQ(TlsCipherName(TlsCipher::kChacha20), "CHACHA20-POLY1305");
  EXPECT_EQ(RelayVerbName(RelayVerb::kRetr), "retr");
  EXPECT_EQ(RelayVerbName(RelayVerb::kOther), "other");
}

TEST(WorkerStats, BlocksNeverMove) {
  WorkerStats stats;
  EXPECT_EQ(stats.FindListener(0), nullptr);
  EXPECT_EQ(stats.FindBackend(0), nullptr);
  stats.Grow(1, 2);
  ListenerStats* listener = &stats.listener(0);
  BackendStats* backend = &stats.backend(1);
  backend->connects.Add(7);
  stats.Grow(WorkerStats::kListenersMax, WorkerStats::kBackendsMax);
  stats.Grow(1, 1);  // never shrinks
  EXPECT_EQ(&stats.listener(0), listener);
  EXPECT_EQ(&stats.backend(1), backend);
  EXPECT_EQ(stats.FindBackend(1)->connects.Get(), 7u);
  EXPECT_NE(stats.FindBackend(WorkerStats::kBackendsMax - 1), nullptr);
  EXPECT_EQ(stats.FindBackend(WorkerStats::kBackendsMax), nullptr);
  EXPECT_EQ(stats.FindListener(WorkerStats::kListenersMax), nullptr);
}

// One thread counts for the blocks it knows, one looks at all, one adds more: what happens when a
// reload meets traffic and a scrape. TSan is the judge of the rest.
TEST(WorkerStats, GrowsWhileOthersCountAndRead) {
  WorkerStats stats;
  stats.Grow(1, 1);
  constexpr uint64_t kAdds = 20000;
  std::thread writer([&stats] {
    for (uint64_t i = 0; i < kAdds; ++i) stats.backend(0).connects.Add();
  });
  std::thread grower([&stats] {
    for (size_t i = 1; i <= 200; ++i) stats.Grow(1, i);
  });
  uint64_t last = 0;
  while (last < kAdds || stats.FindBackend(199) == nullptr) {
    const uint64_t now = stats.FindBackend(0)->connects.Get();
    ASSERT_GE(now, last);
    last = now;
    for (size_t id = 1; id < 200; ++id) {
      const BackendStats* backend = stats.FindBackend(id);
      if (backend == nullptr) continue;
      ASSERT_EQ(backend->connects.Get(), 0u);
    }
  }
  writer.join();
  grower.join();
  EXPECT_EQ(last, kAdds);
}

TEST(WorkerStatsDeathTest, UnknownIdIsOurBug) {
  WorkerStats stats;
  stats.Grow(1, 1);
  EXPECT_DEATH(stats.backend(1), "CHECK failed");
  EXPECT_DEATH(stats.listener(WorkerStats::kListenersMax), "CHECK failed");
  EXPECT_DEATH(stats.Grow(WorkerStats::kListenersMax + 1, 1), "CHECK failed");
  EXPECT_DEATH(LoginResultName(static_cast<LoginResult>(kLoginResultCount)), "CHECK failed");
}

TEST(LatencyHistogram, PutsEachDurationIntoItsBucket) {
  struct Case {
    DurationNs duration;
    size_t bucket;
  };
  const Case cases[] = {
      {-5, 0},
      {0, 0},
      {500 * kMicrosecond, 0},  // a bound belongs to its own bucket
      {500 * kMicrosecond + 1, 1},
      {kMillisecond, 1},
      {30 * kMillisecond, 6},
      {kSecond, 10},
      {60 * kSecond, 15},
      {60 * kSecond + 1, 16},
      {INT64_MAX, 16},
  };
  for (const Case& c : cases) {
    LatencyHistogram histogram;
    histogram.Record(c.duration);
    for (size_t i = 0; i <= LatencyHistogram::kBounds.size(); ++i) {
      EXPECT_EQ(histogram.bucket(i), i == c.bucket ? 1u : 0u) << c.duration << " bucket " << i;
    }
  }
  LatencyHistogram sums;
  sums.Record(250 * kMillisecond);
  sums.Record(1250 * kMillisecond);
  sums.Record(-kSecond);
  EXPECT_DOUBLE_EQ(sums.sum_seconds(), 1.5);
}

}  // namespace
}  // namespace postern::metrics
