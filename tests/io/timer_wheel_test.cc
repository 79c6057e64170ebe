#include "proxy/io/timer_wheel.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace postern::io {
namespace {

constexpr DurationNs kTick = TimerWheel::kTick;
constexpr DurationNs kRevolution = kTick * static_cast<DurationNs>(TimerWheel::kSlots);

struct Alarm {
  Alarm() : timer(&Alarm::Fire, this) {}
  static void Fire(Timer&, void* owner) {
    auto* self = static_cast<Alarm*>(owner);
    ++self->fired;
    if (self->then) self->then();
  }
  Timer timer;
  int fired = 0;
  std::function<void()> then;
};

class TimerWheelTest : public testing::Test {
 protected:
  // A process does not start at time zero.
  TimerWheelTest() { wheel_.Advance(now_); }
  void Pass(DurationNs duration) {
    now_ += duration;
    wheel_.Advance(now_);
  }
  TimeNs now_ = 1'000'000'000'000'007;
  TimerWheel wheel_;
};

TEST_F(TimerWheelTest, FiresOnceAtMostOneTickLateAndNeverEarly) {
  for (const DurationNs delay : {DurationNs{1}, kTick - 1, kTick, kTick + 1, 7 * kTick + 3,
                                 kRevolution - 1, kRevolution, kRevolution + 1, 5 * kRevolution}) {
    Alarm alarm;
    const TimeNs deadline = now_ + delay;
    wheel_.Arm(&alarm.timer, deadline);
    EXPECT_EQ(alarm.timer.deadline(), deadline);
    while (alarm.fired == 0 && now_ < deadline + 2 * kTick) {
      Pass(kTick / 4);
      if (alarm.fired > 0) {
        EXPECT_GE(now_, deadline) << delay;
        EXPECT_LE(now_, deadline + kTick + kTick / 4) << delay;
      }
    }
    EXPECT_EQ(alarm.fired, 1) << delay;
    EXPECT_FALSE(alarm.timer.armed());
    Pass(kRevolution);
    EXPECT_EQ(alarm.fired, 1) << delay;
  }
}

TEST_F(TimerWheelTest, ADeadlineInThePastFiresWithinATick) {
  Alarm alarm;
  wheel_.Arm(&alarm.timer, now_ - 3 * kSecond);
  Pass(kTick);
  EXPECT_EQ(alarm.fired, 1);
}

TEST_F(TimerWheelTest, DisarmedNeverFires) {
  Alarm alarm;
  wheel_.Arm(&alarm.timer, now_ + kTick);
  wheel_.Disarm(&alarm.timer);
  wheel_.Disarm(&alarm.timer);
  EXPECT_EQ(wheel_.armed(), 0u);
  Pass(2 * kRevolution);
  EXPECT_EQ(alarm.fired, 0);
}

TEST_F(TimerWheelTest, NeverDisarms) {
  Alarm alarm;
  wheel_.Arm(&alarm.timer, now_ + kTick);
  wheel_.Arm(&alarm.timer, kNever);
  EXPECT_FALSE(alarm.timer.armed());
  EXPECT_EQ(wheel_.NextDeadline(), kNever);
  wheel_.Arm(&alarm.timer, kNever - 1);
  Pass(3 * kRevolution);
  EXPECT_EQ(alarm.fired, 0);
  wheel_.Disarm(&alarm.timer);
}

TEST_F(TimerWheelTest, RearmedFiresAtTheNewTimeOnly) {
  Alarm alarm;
  wheel_.Arm(&alarm.timer, now_ + 2 * kTick);
  wheel_.Arm(&alarm.timer, now_ + 9 * kTick);
  EXPECT_EQ(wheel_.armed(), 1u);
  Pass(5 * kTick);
  EXPECT_EQ(alarm.fired, 0);
  Pass(5 * kTick);
  EXPECT_EQ(alarm.fired, 1);
}

TEST_F(TimerWheelTest, ALongSleepFiresEverythingOnceAndKeepsWhatIsLater) {
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 1; i <= 500; ++i) {
    alarms.push_back(std::make_unique<Alarm>());
    wheel_.Arm(&alarms.back()->timer, now_ + i * 77 * kMillisecond);
  }
  Alarm later;
  wheel_.Arm(&later.timer, now_ + 10 * kRevolution);
  Pass(5 * kRevolution);
  for (const auto& alarm : alarms) EXPECT_EQ(alarm->fired, 1);
  EXPECT_EQ(later.fired, 0);
  Pass(5 * kRevolution + kTick);
  EXPECT_EQ(later.fired, 1);
}

TEST_F(TimerWheelTest, CallbacksMayArmAndDisarm) {
  Alarm periodic;
  Alarm victim;
  Alarm bystander;
  // All due in one tick: the first to fire disarms the second and moves the third.
  const TimeNs deadline = now_ + 3 * kTick;
  wheel_.Arm(&periodic.timer, deadline);
  wheel_.Arm(&victim.timer, deadline);
  wheel_.Arm(&bystander.timer, deadline);
  periodic.then = [&] {
    wheel_.Disarm(&victim.timer);
    wheel_.Arm(&bystander.timer, now_ + 20 * kTick);
    wheel_.Arm(&periodic.timer, now_ + 2 * kTick);
  };
  Pass(5 * kTick);
  EXPECT_EQ(periodic.fired, 1);
  EXPECT_EQ(victim.fired, 0);
  EXPECT_EQ(bystander.fired, 0);
  EXPECT_EQ(wheel_.armed(), 2u);
  periodic.then = nullptr;
  Pass(30 * kTick);
  EXPECT_EQ(periodic.fired, 2);
  EXPECT_EQ(bystander.fired, 1);
  EXPECT_EQ(wheel_.armed(), 0u);
}

TEST_F(TimerWheelTest, ACallbackThatRearmsInThePastDoesNotLoop) {
  Alarm alarm;
  wheel_.Arm(&alarm.timer, now_ + kTick);
  alarm.then = [&] { wheel_.Arm(&alarm.timer, now_ - kSecond); };
  Pass(2 * kRevolution);
  EXPECT_EQ(alarm.fired, 1);
  Pass(kTick);
  EXPECT_EQ(alarm.fired, 2);
  wheel_.Disarm(&alarm.timer);
}

TEST_F(TimerWheelTest, ACallbackMayFreeItsTimer) {
  auto alarm = std::make_unique<Alarm>();
  bool fired = false;
  alarm->then = [&] {
    fired = true;
    // The function that runs lives in the alarm: move it out first.
    const auto keep = std::move(alarm->then);
    alarm.reset();
  };
  wheel_.Arm(&alarm->timer, now_ + kTick);
  Pass(2 * kTick);
  EXPECT_TRUE(fired);
}

// Random operations against the plainest model there is: a list of deadlines.
TEST(TimerWheelProperty, AgreesWithANaiveModel) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&random](int64_t limit) {
      return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
    };
    TimerWheel wheel;
    TimeNs now = below(int64_t{1} << 50);
    wheel.Advance(now);
    std::vector<std::unique_ptr<Alarm>> alarms(40);
    for (auto& alarm : alarms) alarm = std::make_unique<Alarm>();

    for (int step = 0; step < 300; ++step) {
      Alarm& alarm = *alarms[static_cast<size_t>(below(40))];
      switch (below(4)) {
        case 0:
          wheel.Arm(&alarm.timer, now + below(3 * kRevolution));
          break;
        case 1:
          wheel.Arm(&alarm.timer, now + below(20 * kTick) - kTick);
          break;
        case 2:
          wheel.Disarm(&alarm.timer);
          break;
        default: {
          const DurationNs most = below(10) == 0 ? 3 * kRevolution : 30 * kTick;
          const TimeNs target = now + 1 + below(most);
          // Nothing may fire before what NextDeadline() promised.
          const TimeNs promised = wheel.NextDeadline();
          TimeNs earliest = kNever;
          for (const auto& each : alarms) {
            if (each->timer.armed()) earliest = std::min(earliest, each->timer.deadline());
          }
          ASSERT_EQ(earliest == kNever, promised == kNever) << "seed " << seed;
          if (earliest != kNever) {
            // Not later than one tick behind the truth: a loop that sleeps until then is on time.
            const TimeNs due = std::max(earliest, now) + 2 * kTick;
            ASSERT_LE(promised, due) << "seed " << seed;
          }
          std::vector<int> before;
          std::vector<TimeNs> deadlines;
          for (const auto& each : alarms) {
            before.push_back(each->fired);
            deadlines.push_back(each->timer.armed() ? each->timer.deadline() : kNever);
          }
          now = target;
          wheel.Advance(now);
          for (size_t i = 0; i < alarms.size(); ++i) {
            const int fired = alarms[i]->fired - before[i];
            if (deadlines[i] > now) {
              ASSERT_EQ(fired, 0) << "seed " << seed << " step " << step;
            } else if (deadlines[i] + 2 * kTick <= now) {
              // A deadline that lay in the past when armed fires with the next tick.
              ASSERT_EQ(fired, alarms[i]->timer.armed() ? 0 : 1) << "seed " << seed;
            } else {
              ASSERT_LE(fired, 1);
            }
            if (fired > 0) {
              ASSERT_GE(now, promised) << "seed " << seed;
            }
          }
        }
      }
      size_t armed = 0;
      for (const auto& each : alarms) armed += each->timer.armed() ? 1 : 0;
      ASSERT_EQ(wheel.armed(), armed);
    }
    for (auto& alarm : alarms) wheel.Disarm(&alarm->timer);
  }
}

}  // namespace
}  // namespace postern::io
