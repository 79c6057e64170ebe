#include "tests/sim/fault_plan.h"

#include <utility>

namespace postern::sim {
namespace {

// Off in half of the worlds, else somewhere up to `most`.
double DrawChance(Random& random, double most) {
  if (random.Chance(0.5)) return 0;
  return most * static_cast<double>(random.Below(1000) + 1) / 1000.0;
}

}  // namespace

FaultPlan FaultPlan::Unruly(Random& random) {
  FaultPlan plan;
  plan.delay_max =
      random.Pick<DurationNs>({1000, 50 * kMicrosecond, kMillisecond, 20 * kMillisecond});
  plan.long_delay = DrawChance(random, 0.05);
  plan.long_delay_max = random.Pick<DurationNs>({20 * kMillisecond, 300 * kMillisecond});
  plan.window_min = random.Pick<size_t>({1, 40, 700, 4096, 65536, 65536});
  plan.window_max = plan.window_min * random.Pick<size_t>({1, 4, 16});
  // Windows of a few bytes make a handshake thousands of events long: worth it, but rarely.
  if (plan.window_max < 64 && !random.Chance(0.1)) plan.window_min = plan.window_max = 1500;
  plan.split_segment = DrawChance(random, 0.6);
  plan.short_receive = DrawChance(random, 0.6);
  plan.short_send = DrawChance(random, 0.6);
  plan.stall_receive = DrawChance(random, 0.05);
  plan.late_turn = DrawChance(random, 0.05);
  plan.reuse_descriptors = random.Chance(0.5);
  plan.buffers = random.Pick<size_t>({2, 3, 8, 64});
  plan.buffer_bytes = random.Pick<size_t>({512, 4096, 16384});
  return plan;
}

FaultPlan FaultPlan::Hostile(Random& random) {
  FaultPlan plan = Unruly(random);
  plan.open_socket_error = DrawChance(random, 0.2);
  plan.accept_error = DrawChance(random, 0.3);
  plan.connect_error = DrawChance(random, 0.2);
  plan.recv_error = DrawChance(random, 0.03);
  plan.send_error = DrawChance(random, 0.03);
  return plan;
}

}  // namespace postern::sim
