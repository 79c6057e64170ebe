// Which backends of a pool are not like the others: that greet or log in much more slowly, or say
// [SYS/...] to many logins.
//
// Numbers in, verdicts out; no clock, no threads. Whoever has the numbers looks at regular times.
#ifndef POSTERN_ROUTING_OUTLIERS_H_
#define POSTERN_ROUTING_OUTLIERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "proxy/base/latency_scale.h"
#include "proxy/base/time.h"
#include "routing/options.h"

namespace postern::routing {

// What the logins at one backend have met.
struct LoginTally {
  LatencyCounts greetings{};  // from the connection to the greeting
  LatencyCounts accepted{};   // from USER or AUTH to the +OK. Refusals are late on purpose
  uint64_t sys_refusals = 0;  // answered -ERR [SYS/...]

  void Add(const LoginTally& more);
  // What came between the two; *this is the later one.
  LoginTally Since(const LoginTally& earlier) const;
};

// The last while of one backend, out of numbers that only grow. Takes at most
// kMarksMax + 1 copies of them.
class LoginWindow {
 public:
  // `total` at `now`; what is older than `window` falls out, in tenths of it. Times never go back.
  void Note(const LoginTally& total, TimeNs now, DurationNs window);
  // The past does not count: only what comes after `total` does.
  void Forget(const LoginTally& total, TimeNs now);
  LoginTally Recent() const;

 private:
  static constexpr int kMarksMax = 10;
  struct Mark {
    TimeNs at = 0;
    LoginTally total;
  };

  std::deque<Mark> marks_;  // a tenth of the window apart
  LoginTally last_;
};

// How long such a share of them (above 0, at most 1) took at most, within a sixth or so; 0 of none.
DurationNs Quantile(const LatencyCounts& counts, double share);
uint64_t Total(const LatencyCounts& counts);

struct Outlier {
  size_t member = 0;  // index into what was asked about
  EjectCause cause = EjectCause::kSlowLogin;
  double ratio = 0;    // how many times the others; the worst is first
  std::string reason;  // for people
};

// Compares each member with the median of the others: its median latency with their upper
// quartiles, so that when a whole pool becomes slow the first one to show it is not taken for the
// only one. Who has had fewer logins than the rules want is neither judged nor compared with, so
// where there is nobody to compare with, nobody is found.
std::vector<Outlier> FindOutliers(const OutlierRules& rules, const std::vector<LoginTally>& recent);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_OUTLIERS_H_
