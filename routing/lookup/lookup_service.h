// One [[lookup]]: threads that ask its source, a bounded queue in front of them, and the answers
// that are remembered.
//
//   Ask() --> a fresh answer is known: given at once
//         --> the breaker is open, or too many wait: a stale answer, or kTemporary, at once
//         --> the same question is under way: waits for its answer
//         --> queued; one of the threads asks the source; everybody who waits is told
//
// What a source that judges credentials said counts for these credentials only: the key of tables
// is a digest of user and credential together. Whoever shows a digest over a challenge (APOP,
// CRAM-MD5) is never remembered: no such question comes twice. Nor is kWait: each of those who
// hear it waits by itself and asks again, and meanwhile no thread is taken.
#ifndef POSTERN_ROUTING_LOOKUP_LOOKUP_SERVICE_H_
#define POSTERN_ROUTING_LOOKUP_LOOKUP_SERVICE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"
#include "routing/lookup/answer_cache.h"
#include "routing/lookup/lookup_options.h"
#include "routing/lookup/source.h"

namespace postern::routing {

inline constexpr size_t kLookupKindCount = 5;
// "found", "unknown", "temporary", "forbidden", "wait".
absl::string_view LookupKindName(LookupAnswer::Kind kind);

// Upper bounds in seconds of the times that questions take; the last bucket is +Inf.
inline constexpr std::array<double, 16> kLookupSecondsBounds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

// What was counted under one name, also before a reload changed the lookup of that name.
struct LookupCounters {
  using Count = std::atomic<uint64_t>;
  std::array<Count, kLookupKindCount> answers{};  // of the source
  Count hits{0};
  Count misses{0};
  Count stale{0};      // answers used after their time, because there was no new one
  Count coalesced{0};  // waited for somebody else's question
  Count evictions{0};
  Count queue_full{0};  // told to come back because too many waited ...
  Count breaker{0};     // ... because the source is known to be down ...
  Count timed_out{0};   // ... because no answer came in time
  Count expired{0};     // questions that no thread began to ask in time
  std::array<Count, kLookupSecondsBounds.size() + 1> seconds{};  // not cumulative
  Count nanoseconds{0};
};

struct LookupReport {
  size_t waiting = 0;    // who wait for an answer
  size_t queued = 0;     // questions that no thread asks yet
  size_t in_flight = 0;  // questions that are being asked
  size_t entries = 0;
  bool breaker_open = false;
};

// Who waits for an answer.
struct LookupTicket;
using LookupTicketPtr = std::shared_ptr<LookupTicket>;

// Thread-safe.
class LookupService {
 public:
  // Called at most once, on a thread of the service. Must be quick; may be called although the
  // asker has just given up. An answer that would come too late may not be given at all: the asker
  // watches the time.
  using Done = std::function<void(AnswerPtr answer)>;

  // Starts the threads. `clock` is CLOCK_MONOTONIC, but for tests.
  static absl::StatusOr<std::shared_ptr<LookupService>> Start(
      const LookupOptions& options, const LookupTraits& traits, LookupFactory factory,
      LookupDigest digest, std::shared_ptr<LookupCounters> counters,
      std::function<TimeNs()> clock = &MonotonicNow);
  // Whoever still waits is told nothing. Does not wait for a source that is being asked.
  ~LookupService();
  LookupService(const LookupService&) = delete;
  LookupService& operator=(const LookupService&) = delete;

  // The answer, or null: then `done` will be called, and *ticket is for GiveUp(). Never waits for a
  // source.
  AnswerPtr Ask(LookupQuestion question, TimeNs now, Done done, LookupTicketPtr* ticket);
  // The time of the asker is over, which has waited for options().timeout. What there is instead: a
  // stale answer, or kTemporary.
  AnswerPtr GiveUp(const LookupTicketPtr& ticket, TimeNs now);
  // The asker is gone.
  void Forget(const LookupTicketPtr& ticket);

  // Ends the service: no `done` is called any more. Waits at most `patience` for its threads; they
  // end by themselves when their source has answered.
  void Stop(DurationNs patience);

  // An answer cannot be used, and an operator has to mend the source. Whether to say so in the log:
  // how many were not said since the last one; or not. Broken sources break every login.
  std::optional<uint64_t> MayWarn(TimeNs now);

  const LookupOptions& options() const;
  const LookupTraits& traits() const;
  const LookupCounters& counters() const;
  LookupReport Report() const;

 private:
  struct Core;
  explicit LookupService(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;  // shared with the threads
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_LOOKUP_SERVICE_H_
