// How unkind one simulated world is.
//
// Each seed draws its own plan ("swarm testing"): most faults are switched off in most worlds, so
// that a rare one gets room to act instead of being hidden behind a frequent one.
#ifndef POSTERN_TESTS_SIM_FAULT_PLAN_H_
#define POSTERN_TESTS_SIM_FAULT_PLAN_H_

#include <cstddef>
#include <cstdint>

#include "proxy/base/time.h"
#include "tests/sim/random.h"

namespace postern::sim {

struct FaultPlan {
  // --- how the network behaves; never an error by itself ---
  DurationNs delay_max = 200 * kMicrosecond;  // usual delay of a segment or a completion
  double long_delay = 0;                      // chance of a delay of up to long_delay_max
  DurationNs long_delay_max = 50 * kMillisecond;
  size_t window_min = 65536;  // bytes one direction holds before its sender blocks
  size_t window_max = 65536;
  double split_segment = 0;        // chance that written bytes arrive in pieces
  double short_receive = 0;        // chance that Recv takes less than there is
  double short_send = 0;           // chance that Send takes less than fits
  double stall_receive = 0;        // chance that no shared buffer is free for a while
  double late_turn = 0;            // chance that a turn of the loop starts late
  bool reuse_descriptors = false;  // hand out the lowest free descriptor, as kernels do
  size_t buffers = 64;             // shared receive buffers
  size_t buffer_bytes = 16384;

  // --- errors out of nowhere, each a chance per operation ---
  double open_socket_error = 0;  // -EMFILE, -ENFILE, -ENOMEM
  double accept_error = 0;       // -EMFILE, -ENFILE, -ECONNABORTED, -ENOMEM
  double connect_error = 0;      // -ENOMEM, -EADDRNOTAVAIL, -ENETUNREACH, -ETIMEDOUT
  double recv_error = 0;         // -ECONNRESET, -ETIMEDOUT: the connection is gone
  double send_error = 0;         // -EPIPE, -ECONNRESET, -ETIMEDOUT: the connection is gone

  // When not 0: exactly this operation (counted from 1 over OpenSocket, Accept, Connect, Recv and
  // Send) fails.
  uint64_t fail_operation = 0;

  bool injects_errors() const {
    return open_socket_error > 0 || accept_error > 0 || connect_error > 0 || recv_error > 0 ||
           send_error > 0 || fail_operation != 0;
  }

  // Everything works at once, in order, whole.
  static FaultPlan Kind() { return FaultPlan{}; }
  // Delays, splits and small windows, but no error out of nowhere.
  static FaultPlan Unruly(Random& random);
  // Unruly, and operations fail.
  static FaultPlan Hostile(Random& random);
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_FAULT_PLAN_H_
