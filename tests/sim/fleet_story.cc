#include "tests/sim/fleet_story.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace postern::sim {
namespace {

// From a broken connection to the record of its session: what is under way, and the client's end.
constexpr DurationNs kAftermath = 15 * kSecond;
// Whoever waits is served when a backend has had room for so long: the first in line looks every
// 100 ms, and each login that is answered calls two.
constexpr DurationNs kServedWithin = 3 * kSecond;

std::string Seconds(DurationNs time) {
  return absl::StrCat(static_cast<double>(time / kMillisecond) / 1000, " s");
}

class Judge {
 public:
  explicit Judge(const FleetStory& story) : story_(story) {
    for (const FleetVisit& visit : story.visits) visits_of_[visit.user].push_back(&visit);
    for (const FleetStay& stay : story.stays) stays_of_[stay.user].push_back(&stay);
  }

  std::vector<std::string> Run() {
    if (story_.promises.affinity) CheckAffinity();
    for (const FleetVisit& visit : story_.visits) {
      if (visit.records != 1) {
        Fail(visit.name, " has ", visit.records, " session records");
        continue;
      }
      if (visit.logged_in) {
        CheckEnd(visit);
      } else {
        CheckRefusal(visit);
      }
    }
    for (const FleetReload& reload : story_.reloads) CheckReload(reload);
    for (size_t i = 0; i < story_.backends.size(); ++i) CheckChecks(i);
    return std::move(failures_);
  }

 private:
  template <typename... Parts>
  void Fail(const Parts&... parts) {
    failures_.push_back(absl::StrCat(parts...));
  }
  const FleetPromises& promises() const { return story_.promises; }

  // --- one user, one backend ---

  void CheckAffinity() {
    for (auto& [user, stays] : stays_of_) {
      std::sort(stays.begin(), stays.end(),
                [](const FleetStay* a, const FleetStay* b) { return a->time.from < b->time.from; });
      for (size_t i = 0; i < stays.size(); ++i) {
        for (size_t j = i + 1; j < stays.size(); ++j) {
          if (stays[j]->time.from + promises().on_its_way >= stays[i]->time.until) continue;
          if (stays[j]->backend == stays[i]->backend) continue;
          Fail(user, " came to backend ", stays[j]->backend, " at ", Seconds(stays[j]->time.from),
               " and was at backend ", stays[i]->backend, " from ", Seconds(stays[i]->time.from),
               " to ", Seconds(stays[i]->time.until));
        }
      }
    }
  }

  // --- who was turned away ---

  void CheckRefusal(const FleetVisit& visit) {
    if (visit.gave_up) return;
    if (visit.reason == CloseReason::kHeld) {
      for (const FleetHold& hold : story_.holds) {
        // It is told a little before its session has ended.
        const DurationNs told = visit.ended - promises().on_its_way;
        if (hold.user == visit.user && hold.time.Covers(visit.ended - promises().hold, told)) {
          return;
        }
      }
      return Fail(visit.name, " was told that ", visit.user, " is on hold");
    }
    // A login on its way to the backend that the user is to leave.
    if (visit.reason == CloseReason::kKicked && Moved(visit)) return;
    if (visit.reason != CloseReason::kUpstreamUnavailable &&
        visit.reason != CloseReason::kLoginTimeout) {
      return Fail(visit.name, " was not logged in: ", CloseReasonName(visit.reason), ", \"",
                  visit.reply, "\"");
    }
    DurationNs from = visit.came;
    for (const FleetHold& hold : story_.holds) {
      if (hold.user != visit.user || hold.time.from > visit.ended) continue;
      // It waited for something else, and could not have gone on.
      if (hold.time.until > visit.ended) return;
      from = std::max(from, hold.time.until);
    }
    // That backend was not there all the time, and nobody else would have been right.
    if (HasToldOne(visit)) return;
    if (promises().queue_wait > 0) {
      from = std::max(from, visit.ended - kServedWithin - BusyWithSilence(visit));
    }
    int only = -1;
    if (!PermittedOnly(visit, from, &only)) return;
    if (only < 0 && !MustBeServed(from, visit.ended)) return;
    const bool full = Met(story_.full, from, visit.ended);
    for (size_t i = 0; i < story_.backends.size(); ++i) {
      if (only >= 0 && static_cast<size_t>(only) != i) continue;
      // For whoever came before a reload, too, which may have added or widened what was full.
      const bool maybe_full = full || ReloadedDuring(visit);
      if (only < 0 && story_.backends[i].backup && maybe_full) continue;
      if (!OpenThroughout(story_.backends[i], from, visit.ended)) continue;
      if (Reconfigured(i, visit)) continue;
      return Fail(visit.name, " (", visit.user, ") came at ", Seconds(visit.came),
                  " and was refused at ", Seconds(visit.ended), ", while backend ", i,
                  " would have had it: ", CloseReasonName(visit.reason), ", \"", visit.reply,
                  "\", ", visit.why);
    }
  }

  // Its last attempt may have begun before there was room anywhere: one try at each backend that
  // did not answer.
  DurationNs BusyWithSilence(const FleetVisit& visit) const {
    const auto silent = std::count_if(story_.backends.begin(), story_.backends.end(),
                                      [&](const FleetBackendStory& backend) {
                                        return Met(backend.tempting, visit.came, visit.ended);
                                      });
    return std::min<DurationNs>(silent, promises().candidates_max) * promises().attempt;
  }

  bool ReloadedDuring(const FleetVisit& visit) const {
    return std::any_of(story_.reloads.begin(), story_.reloads.end(), [&](const auto& reload) {
      return visit.came <= reload.at && reload.at <= visit.ended;
    });
  }

  // A session keeps the configuration that it began with: what another one says of the backend,
  // more room for example, is nothing to it.
  bool Reconfigured(size_t backend, const FleetVisit& visit) const {
    return std::any_of(story_.reloads.begin(), story_.reloads.end(), [&](const auto& reload) {
      return static_cast<size_t>(reload.backend) == backend && visit.came <= reload.at &&
             reload.at <= visit.ended;
    });
  }

  // Whether the login has told its password to a backend that then crashed.
  bool HasToldOne(const FleetVisit& visit) const {
    return std::any_of(story_.told.begin(), story_.told.end(), [&visit](const FleetTold& told) {
      return told.user == visit.user && told.backend == visit.backend &&
             visit.came <= told.time.from && told.time.until <= visit.ended;
    });
  }

  // Where alone the user may go; -1: anywhere. False when that changed meanwhile.
  bool PermittedOnly(const FleetVisit& visit, DurationNs from, int* only) const {
    for (const FleetMove& move : story_.moves) {
      if (move.user != visit.user || move.time.from > visit.ended) continue;
      if (move.time.until > from) return false;
      *only = move.backend;
    }
    bool alone = true;
    for (const FleetVisit* other : visits_of_.at(visit.user)) {
      if (other == &visit || other->came > visit.ended) continue;
      alone = alone && (other->ended >= 0 && other->ended + promises().on_its_way < from);
    }
    if (alone || !promises().affinity) return true;
    const auto stays = stays_of_.find(visit.user);
    if (stays == stays_of_.end()) return false;
    for (const FleetStay* stay : stays->second) {
      if (!stay->time.Covers(from, visit.ended + promises().on_its_way)) continue;
      *only = stay->backend;
      return true;
    }
    return false;
  }

  bool Moved(const FleetVisit& visit) const {
    return std::any_of(story_.moves.begin(), story_.moves.end(), [&visit](const FleetMove& move) {
      return move.user == visit.user && move.time.Meets(visit.came, visit.ended);
    });
  }

  // A login asks few backends, and asks again only where it may wait.
  bool MustBeServed(DurationNs from, DurationNs until) const {
    if (!promises().failover) return false;
    if (promises().queue_wait > 0) return true;
    int misleading = 0;
    for (const FleetBackendStory& backend : story_.backends) {
      const bool met =
          std::any_of(backend.tempting.begin(), backend.tempting.end(),
                      [from, until](const FleetSpan& span) { return span.Meets(from, until); });
      misleading += met ? 1 : 0;
    }
    return misleading < promises().candidates_max;
  }

  // The last moment included: in it somebody else may have taken the last seat.
  static bool OpenThroughout(const FleetBackendStory& backend, DurationNs from, DurationNs until) {
    return std::any_of(
        backend.open.begin(), backend.open.end(),
        [from, until](const FleetSpan& span) { return span.from <= from && until < span.until; });
  }
  static bool Met(const std::vector<FleetSpan>& spans, DurationNs from, DurationNs until) {
    return std::any_of(spans.begin(), spans.end(),
                       [from, until](const FleetSpan& span) { return span.Meets(from, until); });
  }

  // --- why sessions ended ---

  void CheckEnd(const FleetVisit& visit) {
    if (visit.backend < 0) return Fail(visit.name, " was logged in nowhere");
    const FleetBackendStory& backend = story_.backends[static_cast<size_t>(visit.backend)];
    bool allowed = false;
    switch (visit.reason) {
      case CloseReason::kQuit:
        allowed = true;
        break;
      case CloseReason::kClientClosed:
        allowed = visit.goes_at_once;
        break;
      case CloseReason::kUpstreamClosed:
      case CloseReason::kUpstreamTruncated:
        allowed =
            std::any_of(backend.crashes.begin(), backend.crashes.end(), [&visit](DurationNs at) {
              return visit.came <= at && at <= visit.ended && visit.ended <= at + kAftermath;
            });
        break;
      case CloseReason::kBackendDown:
        allowed = promises().end_over > 0 &&
                  Met(backend.down, visit.ended - promises().end_over - kAftermath, visit.ended);
        break;
      case CloseReason::kDrained:
        allowed = Met(backend.drained_over, visit.came, visit.ended) &&
                  Met(backend.drained_over, visit.ended - kAftermath, visit.ended);
        break;
      case CloseReason::kKicked:
        allowed = Moved(visit);
        break;
      default:
        break;
    }
    if (!allowed) {
      Fail(visit.name, " (", visit.user, ") was cut at backend ", visit.backend, " at ",
           Seconds(visit.ended), ": ", CloseReasonName(visit.reason));
    }
    if (visit.reason == CloseReason::kQuit && !visit.heard_all) {
      Fail(visit.name, " said QUIT and did not hear all of it");
    }
  }

  // --- reloads ---

  void CheckReload(const FleetReload& reload) {
    if (static_cast<double>(reload.moved) <=
        static_cast<double>(reload.share) + 0.05 * static_cast<double>(reload.users)) {
      return;
    }
    Fail("the reload at ", Seconds(reload.at), ", ", reload.what, ", gave ", reload.moved, " of ",
         reload.users, " users another home; it was about ", reload.share);
  }

  // --- what the checks found, and when ---

  void CheckChecks(size_t number) {
    if (promises().found_within == 0) return;
    const FleetBackendStory& backend = story_.backends[number];
    for (const FleetSpan& outage : backend.outages) {
      const DurationNs found_by = outage.from + promises().found_within;
      if (found_by <= std::min(outage.until, story_.lasted) &&
          !Met(backend.unasked, outage.from - promises().found_within, found_by) &&
          !Met(backend.down, outage.from, found_by)) {
        Fail("backend ", number, " went at ", Seconds(outage.from),
             " and was not found down until ", Seconds(found_by));
      }
      const DurationNs trusted_by = outage.until + promises().trusted_within;
      if (trusted_by > story_.lasted || Met(backend.unasked, outage.from, trusted_by)) {
        continue;
      }
      const bool again =
          std::any_of(backend.outages.begin(), backend.outages.end(), [&](const FleetSpan& other) {
            return other.from >= outage.until && other.from <= trusted_by;
          });
      if (again || Met(backend.up, outage.until, trusted_by + 1)) continue;
      Fail("backend ", number, " came back at ", Seconds(outage.until),
           " and was not trusted until ", Seconds(trusted_by));
    }
    for (const FleetSpan& down : backend.down) {
      const bool was_away = std::any_of(backend.outages.begin(), backend.outages.end(),
                                        [&down](const FleetSpan& outage) {
                                          return outage.Meets(down.from - kAftermath, down.from);
                                        });
      if (!was_away) Fail("backend ", number, " was well and found down at ", Seconds(down.from));
    }
  }

  const FleetStory& story_;
  std::map<std::string, std::vector<const FleetVisit*>> visits_of_;
  std::map<std::string, std::vector<const FleetStay*>> stays_of_;
  std::vector<std::string> failures_;
};

}  // namespace

std::vector<std::string> CheckFleet(const FleetStory& story) { return Judge(story).Run(); }

std::vector<std::string> CheckEvenness(const std::vector<int64_t>& sessions,
                                       const std::vector<uint32_t>& weights, FleetEvenness evenness,
                                       int bound_percent) {
  std::vector<std::string> failures;
  const auto all =
      static_cast<double>(std::accumulate(sessions.begin(), sessions.end(), int64_t{0}));
  const double whole = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i < sessions.size(); ++i) {
    const double share = weights[i] / whole;
    const double due = all * share;
    const auto has = static_cast<double>(sessions[i]);
    double most = 0;
    double least = 0;
    switch (evenness) {
      case FleetEvenness::kByUser: {
        const double margin = 6 * std::sqrt(due * (1 - share)) + 0.02 * due + 1;
        most = due + margin;
        least = due - margin;
        break;
      }
      case FleetEvenness::kBounded:
        most = std::ceil(due * bound_percent / 100 - 1e-9);
        break;
      case FleetEvenness::kFewest: {
        // The last one that came here was better off than anywhere else.
        most = all;
        for (size_t other = 0; other < sessions.size(); ++other) {
          if (weights[other] == 0) continue;
          most = std::min(most,
                          static_cast<double>(sessions[other] + 1) * weights[i] / weights[other]);
        }
        break;
      }
      case FleetEvenness::kFewestOfSome:
        most = due + 6;
        break;
      case FleetEvenness::kInTurn: {
        // Exact with equal weights; else each round leaves out some by a sequence that falls
        // evenly.
        const bool equal = std::all_of(weights.begin(), weights.end(), [&weights](uint32_t weight) {
          return weight == weights[0];
        });
        most = equal ? std::ceil(due) : due * 1.1 + 6;
        least = equal ? std::floor(due) : due * 0.9 - 6;
        break;
      }
    }
    if (has >= least && has <= most) continue;
    failures.push_back(absl::StrCat("backend ", i, " got ", sessions[i], " sessions of ", all,
                                    ", by its weight ", due, "; allowed are ", least, " to ",
                                    most));
  }
  return failures;
}

std::vector<std::string> CheckSpreadEnds(std::vector<DurationNs> ends, const FleetSpan& time,
                                         int slack_percent) {
  std::vector<std::string> failures;
  std::sort(ends.begin(), ends.end());
  const auto all = static_cast<double>(ends.size());
  const double slack = all * slack_percent / 100 + 2;
  const auto over = static_cast<double>(time.until - time.from);
  for (size_t i = 0; i < ends.size() && failures.size() < 3; ++i) {
    const double due = std::clamp(static_cast<double>(ends[i] - time.from) / over, 0.0, 1.0) * all;
    if (std::abs(static_cast<double>(i + 1) - due) <= slack) continue;
    failures.push_back(absl::StrCat(i + 1, " of ", ends.size(), " sessions had ended after ",
                                    Seconds(ends[i] - time.from), " of ",
                                    Seconds(time.until - time.from)));
  }
  return failures;
}

}  // namespace postern::sim
