// Takes the chance out of OpenSSL, for tests only: with it, keys, nonces and signatures (and so the
// length of every handshake message) are the same whenever a seed is.
#ifndef POSTERN_TESTS_SIM_DETERMINISTIC_RANDOM_H_
#define POSTERN_TESTS_SIM_DETERMINISTIC_RANDOM_H_

#include <cstdint>

namespace postern::sim {

// From now on all of OpenSSL's random bytes in this process come from this seed. Never in a program
// that talks to anybody real.
void SeedOpenSsl(uint64_t seed);

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_DETERMINISTIC_RANDOM_H_
