// Random farms: what one seed means.
#ifndef POSTERN_TESTS_SIM_FARM_SPEC_H_
#define POSTERN_TESTS_SIM_FARM_SPEC_H_

#include <cstdint>

#include "tests/sim/farm.h"

namespace postern::sim {

// How much goes wrong in a world.
enum class Weather {
  kFair,      // nothing: peers behave, nothing is delayed for long, every byte is accounted for
  kUnruly,    // delays, splits, small windows, backends with faults, clients that leave anyhow
  kHostile,   // and operations fail out of nowhere
  kDraining,  // unruly, and the proxy is told to stop somewhere in the middle
};
const char* WeatherName(Weather weather);

FarmSpec DrawFarm(uint64_t seed, Weather weather);

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_FARM_SPEC_H_
