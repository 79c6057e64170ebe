#include "proxy/outlier_watch.h"

#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

constexpr DurationNs kFast = 5 * kMillisecond;
constexpr DurationNs kSlow = 3 * kSecond;

// Two workers, three backends, all in one pool with failover.
class OutlierWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::Configure(log::Level::kError);
    for (metrics::WorkerStats& worker : workers_) worker.Grow(0, 3);
    watch_.ReadFrom({&workers_[0], &workers_[1]});
    Load(/*slow_factor=*/3);
  }
  void TearDown() override { log::Configure(log::Level::kInfo); }

  void Load(double slow_factor) {
    auto snapshot = std::make_shared<Snapshot>();
    routing::RouterOptions& options = snapshot->config.routing;
    options.backends = {{"a", 100, false, {}}, {"b", 100, false, {}}, {"c", 100, false, {}}};
    routing::PoolOptions pool;
    pool.name = "mail";
    pool.backends = {0, 1, 2};
    pool.failover = true;
    pool.eject.time = 60 * kSecond;
    pool.eject.outliers.slow_factor = slow_factor;
    pool.eject.outliers.window = 20 * kSecond;
    pool.eject.outliers.logins_min = 10;
    options.pools = {pool};
    routing::RouteOptions route;
    route.users = "*";
    route.pool = "mail";
    options.routes = {route};
    snapshot->router = routing::Router::Create(options).value();
    snapshot->backend_stats = {0, 1, 2};
    snapshot->backend_states = {states_.Get("a"), states_.Get("b"), states_.Get("c")};
    watch_.Configure(std::move(snapshot));
  }

  // Two logins a second at each backend, one in each worker, and two looks.
  void Serve(int seconds, DurationNs at_a) {
    for (int i = 0; i < seconds; ++i) {
      for (metrics::WorkerStats& worker : workers_) {
        worker.backend(0).accepted.Record(at_a);
        worker.backend(1).accepted.Record(kFast);
        worker.backend(2).accepted.Record(kFast);
        now_ += kSecond / 2;
        watch_.Look(now_);
      }
    }
  }
  uint64_t ejections() { return states_.Get("a")->Report(now_).ejections; }

  metrics::WorkerStats workers_[2];
  routing::BackendStates states_;
  OutlierWatch watch_;
  TimeNs now_ = 1000 * kSecond;
};

TEST_F(OutlierWatchTest, IsSlowForAWhileAndComesBack) {
  Serve(30, kFast);
  Serve(5, kSlow);
  EXPECT_EQ(ejections(), 0u) << "a quarter of the window";
  Serve(15, kSlow);
  EXPECT_EQ(ejections(), 1u);
  EXPECT_FALSE(states_.Get("a")->usable(now_));
  EXPECT_EQ(states_.Get("b")->Report(now_).ejections, 0u);
  // What lasted until after the ejection, or was let in nevertheless, is not held against it.
  for (int i = 0; i < 70 && !states_.Get("a")->usable(now_); ++i) Serve(1, kSlow);
  ASSERT_TRUE(states_.Get("a")->usable(now_));
  Serve(30, kFast);
  EXPECT_EQ(ejections(), 1u);
}

TEST_F(OutlierWatchTest, IsEjectedAgainForLonger) {
  Serve(40, kSlow);
  ASSERT_EQ(ejections(), 1u);
  Serve(50, kSlow);
  ASSERT_EQ(ejections(), 2u);
  Serve(70, kSlow);
  EXPECT_FALSE(states_.Get("a")->usable(now_)) << "two minutes";
}

TEST_F(OutlierWatchTest, AMomentIsNoReason) {
  Serve(30, kFast);
  // At one look more than half of them are slow, at the next ones not.
  for (int i = 0; i < 30; ++i) workers_[0].backend(0).accepted.Record(kSlow);
  for (int i = 0; i < 22; ++i) workers_[1].backend(0).accepted.Record(kSlow);
  now_ += kSecond / 2;
  watch_.Look(now_);
  for (int i = 0; i < 100; ++i) workers_[0].backend(0).accepted.Record(kFast);
  Serve(20, kFast);
  EXPECT_EQ(ejections(), 0u);
}

TEST_F(OutlierWatchTest, AReloadKeepsWhatIsKnownAndTakesNewRules) {
  Serve(30, kFast);
  Serve(8, kSlow);
  Load(/*slow_factor=*/3);
  Serve(10, kSlow);
  EXPECT_EQ(ejections(), 1u);
  Serve(60, kFast);
  Load(/*slow_factor=*/0);
  Serve(60, kSlow);
  EXPECT_EQ(ejections(), 1u);
}

}  // namespace
}  // namespace postern
