// The only source of chance in a simulated world: a small seeded generator (splitmix64), the same
// on every machine and compiler, unlike the distributions of <random>.
#ifndef POSTERN_TESTS_SIM_RANDOM_H_
#define POSTERN_TESTS_SIM_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "proxy/base/check.h"

namespace postern::sim {

class Random {
 public:
  // The seed is mixed first: else the sequence of one seed would be its neighbour's, one step on.
  explicit Random(uint64_t seed) : state_(Mix(seed ^ 0xD1B54A32D192ED03u)) {}

  uint64_t Next() {
    state_ += 0x9E3779B97F4A7C15u;
    return Mix(state_);
  }
  // 0 <= result < bound.
  uint64_t Below(uint64_t bound) {
    CHECK(bound > 0);
    return Next() % bound;
  }
  // low <= result <= high.
  int64_t Between(int64_t low, int64_t high) {
    CHECK(low <= high);
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }
  // True with this probability. A probability of zero draws nothing, so that switching one fault
  // off leaves the rest of a world's history alone.
  bool Chance(double probability) {
    if (probability <= 0) return false;
    return static_cast<double>(Next() >> 11) * 0x1.0p-53 < probability;
  }
  template <typename T>
  T Pick(std::initializer_list<T> choices) {
    return choices.begin()[Below(choices.size())];
  }
  // A generator whose draws do not disturb this one's.
  Random Fork() { return Random(Next()); }

 private:
  static uint64_t Mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_RANDOM_H_
