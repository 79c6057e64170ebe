// Random fleets: what one seed means.
#ifndef POSTERN_TESTS_SIM_FLEET_SPEC_H_
#define POSTERN_TESTS_SIM_FLEET_SPEC_H_

#include <cstdint>

#include "tests/sim/fleet.h"

namespace postern::sim {

enum class FleetSize {
  kSmall,  // 2 to 12 backends for two minutes
  kLarge,  // up to 200 backends, or some for hours
};

// Failures, flaps and crashes, orders of every kind and reloads, all at random.
FleetSpec DrawFleet(uint64_t seed, FleetSize size);

// A fleet in which nothing goes wrong: `backends` of them, and one client for each of `users`, all
// of them there at the same time.
FleetSpec CalmFleet(uint64_t seed, size_t backends, size_t users, routing::Balance balance);

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_FLEET_SPEC_H_
