// What happened to one simulated fleet (fleet.h), and the rules it must have kept.
//
// All of it is plain data, so that the checker itself is tested with stories that lie. Times are
// counted from the beginning of the world. Backends are numbered as in FleetSpec::backends, whether
// they are configured at the moment or not.
#ifndef POSTERN_TESTS_SIM_FLEET_STORY_H_
#define POSTERN_TESTS_SIM_FLEET_STORY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/close_reason.h"
#include "proxy/base/time.h"

namespace postern::sim {

// From a moment on, up to another one, which does not belong to it.
struct FleetSpan {
  DurationNs from = 0;
  DurationNs until = kNever;

  bool Covers(DurationNs begin, DurationNs end) const { return from <= begin && end <= until; }
  bool Meets(DurationNs begin, DurationNs end) const { return from < end && begin < until; }
};

// One client.
struct FleetVisit {
  std::string name;
  std::string user;
  DurationNs came = 0;
  DurationNs ended = -1;  // its session record was written
  int records = 0;
  bool logged_in = false;     // it heard +OK
  bool gave_up = false;       // it went by its own wish while it was waiting for the answer
  bool goes_at_once = false;  // after the login it ends the connection without QUIT
  std::string reply;          // the answer to its login
  std::string why;            // the record's upstream_error
  CloseReason reason = CloseReason::kNone;
  int backend = -1;              // of the record; -1: none
  DurationNs client_ended = -1;  // when it saw the end of the connection
  bool heard_all = true;         // its script came to its end
  size_t heard_bytes = 0;        // behind the login
};

// One login that a backend took.
struct FleetStay {
  std::string user;
  int backend = 0;
  FleetSpan time;
  bool quit = false;                // a whole QUIT line arrived
  std::vector<size_t> answer_ends;  // of what the backend said behind the login, in bytes
};

// A backend crashed behind the password of a login, or under the write that held it. It may have
// arrived, so nobody else may be told it (ARCHITECTURE.md, invariant 6).
struct FleetTold {
  std::string user;
  int backend = 0;
  FleetSpan time;  // from the connection to the crash
};

// How a backend was.
struct FleetBackendStory {
  // In the configuration in one and the same way, reachable, usable by what the proxy knows, with a
  // weight and with room, and not so that a login failed there a moment ago and others are kept
  // from the same timeout (BackendState::TakeTrial).
  std::vector<FleetSpan> open;
  // As far as the proxy knows it can be used, and it cannot be reached, or nobody may try at the
  // moment.
  std::vector<FleetSpan> tempting;
  std::vector<FleetSpan> outages;
  // Not configured or disabled: nobody asks how it is.
  std::vector<FleetSpan> unasked;
  // What the checks say.
  std::vector<FleetSpan> up;
  std::vector<FleetSpan> down;
  // Its live connections were broken.
  std::vector<DurationNs> crashes;
  // Sessions are to end over this time, by an operator's order.
  std::vector<FleetSpan> drained_over;
  uint32_t weight = 100;  // at the end
  bool backup = false;
};

// One backend more, less, or with another weight or limit.
struct FleetReload {
  DurationNs at = 0;
  std::string what;
  size_t users = 0;
  size_t moved = 0;  // have another home than before
  size_t share = 0;  // whose home it was, or is now
  int backend = 0;   // the one
};

struct FleetHold {
  std::string user;
  FleetSpan time;
};

struct FleetMove {
  std::string user;
  int backend = 0;
  FleetSpan time;  // from the order to the end of the move
};

// What was promised.
struct FleetPromises {
  bool affinity = true;
  bool failover = true;
  DurationNs queue_wait = 0;  // 0: nobody waits
  int candidates_max = 4;     // asked for one login that does not wait
  // So long a login is busy with one backend that is silent, and looks at no other.
  DurationNs attempt = 7 * kSecond;
  DurationNs hold = 30 * kSecond;
  // An end is on its way for so long when the proxy has closed a connection already.
  DurationNs on_its_way = 5 * kMillisecond;
  DurationNs found_within = 0;    // of an outage by the checks; 0: there are none
  DurationNs trusted_within = 0;  // of its end
  DurationNs end_over = 0;        // sessions of a backend that is found down
};

struct FleetStory {
  FleetPromises promises;
  std::vector<FleetVisit> visits;
  std::vector<FleetStay> stays;
  std::vector<FleetTold> told;
  std::vector<FleetBackendStory> backends;
  // Backends that are no backups can be used as far as the proxy knows, and none of them has room:
  // then logins wait or are turned away, and backups stay idle.
  std::vector<FleetSpan> full;
  std::vector<FleetReload> reloads;
  std::vector<FleetHold> holds;
  std::vector<FleetMove> moves;
  DurationNs lasted = 0;  // as long as backends were checked
};

// One sentence per broken rule; empty when all is well.
std::vector<std::string> CheckFleet(const FleetStory& story);

// How evenly a pool without any trouble, in which every user came once and nobody left before all
// were there, has to have spread them.
enum class FleetEvenness {
  kByUser,        // shares are random: six standard deviations, and 2 % for the tables of Maglev
  kBounded,       // nobody has more than `bound_percent` of its share
  kFewest,        // whoever was chosen had the fewest sessions by its weight
  kFewestOfSome,  // likewise among a few that are drawn
  kInTurn,        // round robin
};
std::vector<std::string> CheckEvenness(const std::vector<int64_t>& sessions,
                                       const std::vector<uint32_t>& weights, FleetEvenness evenness,
                                       int bound_percent);

// That sessions ended evenly over a time: at each moment the share that has ended is, but for
// `slack_percent` of all and two sessions, the share of the time that has passed.
std::vector<std::string> CheckSpreadEnds(std::vector<DurationNs> ends, const FleetSpan& time,
                                         int slack_percent);

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_FLEET_STORY_H_
