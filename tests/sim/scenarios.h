// Small farms with a name: the stories that must go well when nothing goes wrong, and that the
// failure sweep then breaks at every single operation.
#ifndef POSTERN_TESTS_SIM_SCENARIOS_H_
#define POSTERN_TESTS_SIM_SCENARIOS_H_

#include <string>
#include <vector>

#include "proxy/base/close_reason.h"
#include "tests/sim/farm.h"

namespace postern::sim {

struct Scenario {
  std::string name;
  FarmSpec spec;
  // What becomes of its first client when nothing fails.
  bool logged_in = true;
  CloseReason reason = CloseReason::kQuit;
  bool deleted = true;  // the message it marked is gone
  Peer::End end = Peer::End::kCloseNotify;
};

// TLS on the client's side unless the name says otherwise; each session deletes message 1.
const std::vector<Scenario>& Scenarios();

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_SCENARIOS_H_
