// What a run is measured against: "p99<200ms,errors=0".
#ifndef POSTERN_BENCH_LOAD_OBJECTIVE_H_
#define POSTERN_BENCH_LOAD_OBJECTIVE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/load/results.h"
#include "proxy/base/time.h"

namespace postern::load {

class Objective {
 public:
  // Conditions with commas between them:
  //   p99<200ms, p99.9<=1s, mean<20ms, max<2s    of whole sessions
  //   login.p99<50ms                             of another span, by its name in the results
  //   errors=0, errors<=5, errors<0.1%           failed and never started, in number or in percent
  // Without a condition on errors none is allowed. Errors quote the condition and show examples.
  static absl::StatusOr<Objective> Parse(absl::string_view text);

  // Why `results` do not meet it, such as "p99 is 312 ms"; empty when they do.
  std::string Problem(const Results& results) const;
  const std::string& text() const { return text_; }

 private:
  struct Latency {
    Span span = Span::kSession;
    std::string name;  // "p99", "mean", "max"
    double percent = 0;
    DurationNs limit = 0;
    bool or_equal = false;
  };
  struct Errors {
    double limit = 0;
    bool percent = false;
    bool or_equal = true;
  };
  static absl::StatusOr<Latency> ParseLatency(absl::string_view name, absl::string_view limit);
  static absl::StatusOr<Errors> ParseErrors(absl::string_view limit);
  static DurationNs Measured(const Latency& latency, const Histogram& histogram);
  std::string ErrorsProblem(const Results& results) const;

  std::string text_;
  std::vector<Latency> latencies_;
  Errors errors_;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_OBJECTIVE_H_
