#include "metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "metrics/worker_stats.h"

namespace postern::metrics {
namespace {

using ::testing::HasSubstr;

TEST(Registry, SameNameSameId) {
  Registry registry;
  EXPECT_EQ(registry.BackendId("mail1", "mail").value(), 0u);
  EXPECT_EQ(registry.BackendId("mail2", "mail").value(), 1u);
  EXPECT_EQ(registry.BackendId("mail1", "other").value(), 2u);
  EXPECT_EQ(registry.BackendId("mail1", "mail").value(), 0u);
  EXPECT_EQ(registry.ListenerId("[::]:995").value(), 0u);
  EXPECT_EQ(registry.ListenerId("[::]:110").value(), 1u);
  EXPECT_EQ(registry.ListenerId("[::]:995").value(), 0u);
  EXPECT_EQ(registry.backend_count(), 3u);
  EXPECT_EQ(registry.listener_count(), 2u);
}

TEST(Registry, ReloadChangesWhoIsActiveAndNotTheIds) {
  Registry registry;
  const size_t listener = registry.ListenerId("pop3s").value();
  const size_t a = registry.BackendId("a", "mail").value();
  const size_t b = registry.BackendId("b", "mail").value();
  EXPECT_FALSE(registry.Backends()[a].active);
  registry.SetActive({listener}, {a, b});
  EXPECT_TRUE(registry.Listeners()[listener].active);
  EXPECT_TRUE(registry.Backends()[a].active);
  registry.SetActive({listener}, {b});
  EXPECT_FALSE(registry.Backends()[a].active);
  EXPECT_TRUE(registry.Backends()[b].active);
  EXPECT_EQ(registry.BackendId("a", "mail").value(), a);
  EXPECT_EQ(registry.Backends()[a].name, "a");
  EXPECT_EQ(registry.Backends()[a].pool, "mail");
}

TEST(Registry, FullIsAnErrorForNewNamesOnly) {
  Registry registry;
  for (size_t i = 0; i < WorkerStats::kBackendsMax; ++i) {
    ASSERT_EQ(registry.BackendId(absl::StrCat("b", i), "mail").value(), i);
  }
  const auto backend = registry.BackendId("one_more", "mail");
  EXPECT_EQ(backend.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(backend.status().message()), HasSubstr("one_more"));
  EXPECT_EQ(registry.BackendId("b17", "mail").value(), 17u);

  for (size_t i = 0; i < WorkerStats::kListenersMax; ++i) {
    ASSERT_EQ(registry.ListenerId(absl::StrCat("l", i)).value(), i);
  }
  EXPECT_EQ(registry.ListenerId("one_more").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(registry.ListenerId("l63").value(), 63u);
  EXPECT_EQ(registry.backend_count(), WorkerStats::kBackendsMax);
}

TEST(Registry, FailedReloadsLeaveNothingBehind) {
  Registry registry;
  const size_t kept = registry.BackendId("kept", "mail").value();
  registry.SetActive({registry.ListenerId("pop3s").value()}, {kept});
  registry.SetActive({0}, {});
  // More names than there is room for, a few at a time.
  for (size_t i = 0; i <= WorkerStats::kBackendsMax; ++i) {
    ASSERT_EQ(registry.BackendId(absl::StrCat("wrong", i), "mail").value(), 1u);
    ASSERT_EQ(registry.ListenerId(absl::StrCat("wrong", i)).value(), 1u);
    registry.DropUnused();
  }
  EXPECT_EQ(registry.backend_count(), 1u);
  EXPECT_EQ(registry.listener_count(), 1u);
  // A name that is not configured any more keeps its id.
  EXPECT_EQ(registry.BackendId("kept", "mail").value(), kept);
}

TEST(RegistryDeathTest, ForeignIdIsOurBug) {
  Registry registry;
  EXPECT_DEATH(registry.SetActive({}, {0}), "CHECK failed");
}

}  // namespace
}  // namespace postern::metrics
