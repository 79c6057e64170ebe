#include "tests/sim/seed_runner.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/sim/deterministic_random.h"
#include "tests/sim/test_tls.h"

namespace postern::sim {
namespace {

// Read by a signal handler: plain memory, written before each seed.
char command[512];

void OnAbort(int) {
  const char words[] = "\nThe process ends inside this seed. To see it again:\n  ";
  ssize_t ignored = write(2, words, sizeof(words) - 1);
  ignored = write(2, command, std::strlen(command));
  ignored = write(2, "\n", 1);
  static_cast<void>(ignored);
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void SetCommand(uint64_t seed) {
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::snprintf(command, sizeof(command),
                "POSTERN_SIM_FIRST_SEED=%llu POSTERN_SIM_SEEDS=1 %s "
                "--gtest_filter='%s.%s'",
                static_cast<unsigned long long>(seed), program_invocation_short_name,
                test->test_suite_name(), test->name());
}

}  // namespace

void RunSeeds(uint64_t seeds_default,
              const std::function<std::vector<std::string>(uint64_t seed)>& run) {
  struct sigaction action = {};
  action.sa_handler = &OnAbort;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  struct sigaction before = {};
  sigaction(SIGABRT, &action, &before);
  const uint64_t first = FromEnvironment("POSTERN_SIM_FIRST_SEED", 1);
  const uint64_t seeds = FromEnvironment("POSTERN_SIM_SEEDS", seeds_default);
  // Made now, so that a seed meets the same certificates whether it is the first one or not.
  TestTls::Get();
  // What OpenSSL makes at its first use costs random bytes too.
  run(0);
  int failed = 0;
  for (uint64_t seed = first; seed < first + seeds && failed < 3; ++seed) {
    SetCommand(seed);
    SeedOpenSsl(seed);
    const absl::Time begin = absl::Now();
    const std::vector<std::string> failures = run(seed);
    if (std::getenv("POSTERN_SIM_SLOW") != nullptr && absl::Now() - begin > absl::Seconds(1)) {
      std::fprintf(stderr, "seed %llu took %g s\n", static_cast<unsigned long long>(seed),
                   absl::ToDoubleSeconds(absl::Now() - begin));
    }
    if (failures.empty()) continue;
    ++failed;
    ADD_FAILURE() << "seed " << seed << ":\n  " << absl::StrJoin(failures, "\n  ")
                  << "\nTo see it again:\n  " << command;
  }
  sigaction(SIGABRT, &before, nullptr);
}

}  // namespace postern::sim
