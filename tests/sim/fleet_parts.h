// What the files of a fleet share and nobody else needs.
#ifndef POSTERN_TESTS_SIM_FLEET_PARTS_H_
#define POSTERN_TESTS_SIM_FLEET_PARTS_H_

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/socket_address.h"
#include "tests/sim/fleet.h"

namespace postern::sim {

SocketAddress FleetAddress(size_t backend);
SocketAddress FleetListener(size_t worker);

// What was seen of one backend the last time, and since when.
struct Fleet::Seen {
  struct Condition {
    bool holds = false;
    DurationNs since = 0;

    void Note(bool now_holds, DurationNs now, std::vector<FleetSpan>* spans) {
      if (now_holds == holds) return;
      if (holds) spans->push_back({since, now});
      holds = now_holds;
      since = now;
    }
    void Finish(std::vector<FleetSpan>* spans) const {
      if (holds) spans->push_back({since, kNever});
    }
  };

  void Finish(FleetBackendStory* story) const {
    open.Finish(&story->open);
    tempting.Finish(&story->tempting);
    unasked.Finish(&story->unasked);
    up.Finish(&story->up);
    down.Finish(&story->down);
  }

  std::shared_ptr<routing::BackendState> state;
  Condition open;
  Condition tempting;
  Condition unasked;
  Condition up;
  Condition down;
};

// As Mover::Job, for one user.
struct Fleet::Move {
  std::string user;
  size_t to = 0;
  size_t workers_seen = 0;  // since the hold
  DurationNs began = 0;
  DurationNs deadline = 0;
  DurationNs next_kick = 0;
  bool over = false;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_FLEET_PARTS_H_
