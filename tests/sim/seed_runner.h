// Runs many seeds and says how to run the one that failed again.
//
//   POSTERN_SIM_SEEDS=N        how many seeds each test takes (default: its own)
//   POSTERN_SIM_FIRST_SEED=N   which one is first (default: 1)
#ifndef POSTERN_TESTS_SIM_SEED_RUNNER_H_
#define POSTERN_TESTS_SIM_SEED_RUNNER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace postern::sim {

// Calls `run` for each seed; it returns one sentence per broken rule. Stops at the third seed that
// fails. A seed that aborts the process (a CHECK, a sanitizer) is named on stderr too.
void RunSeeds(uint64_t seeds_default,
              const std::function<std::vector<std::string>(uint64_t seed)>& run);

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_SEED_RUNNER_H_
