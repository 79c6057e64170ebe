#include "routing/outliers.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace postern::routing {
namespace {

LatencyCounts Difference(const LatencyCounts& later, const LatencyCounts& earlier) {
  LatencyCounts counts{};
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = later[i] - earlier[i];
  return counts;
}

// One number about each member, as one kind of judgement sees it.
struct Figure {
  size_t member = 0;
  double value = 0;
  double as_other = 0;  // what the others are compared with
  uint64_t logins = 0;
};

// Of all figures but the one at `except`; the upper one of two, so that in doubt nobody is out.
double MedianOfOthers(const std::vector<Figure>& figures, size_t except) {
  std::vector<double> others;
  for (size_t i = 0; i < figures.size(); ++i) {
    if (i != except) others.push_back(figures[i].as_other);
  }
  const auto middle = others.begin() + static_cast<std::ptrdiff_t>(others.size() / 2);
  std::nth_element(others.begin(), middle, others.end());
  return *middle;
}

// Times are for people: two digits of a long one are enough.
std::string Milliseconds(double ns) {
  const double ms = ns / static_cast<double>(kMillisecond);
  return absl::StrCat(ms < 10 ? std::round(ms * 10) / 10 : std::round(ms), " ms");
}

void FindSlow(const OutlierRules& rules, const std::vector<LoginTally>& recent, EjectCause cause,
              std::vector<Outlier>* found) {
  const bool greeting = cause == EjectCause::kSlowGreeting;
  std::vector<Figure> figures;
  for (size_t i = 0; i < recent.size(); ++i) {
    const LatencyCounts& counts = greeting ? recent[i].greetings : recent[i].accepted;
    const uint64_t logins = Total(counts);
    if (logins < static_cast<uint64_t>(rules.logins_min)) continue;
    figures.push_back({i, static_cast<double>(Quantile(counts, 0.5)),
                       static_cast<double>(Quantile(counts, 0.75)), logins});
  }
  if (figures.size() < 2) return;
  for (size_t i = 0; i < figures.size(); ++i) {
    const Figure& one = figures[i];
    if (one.value <= static_cast<double>(rules.slow_floor)) continue;
    const double others = std::max(MedianOfOthers(figures, i), 1.0);
    if (one.value < others * rules.slow_factor) continue;
    Outlier outlier;
    outlier.member = one.member;
    outlier.cause = cause;
    outlier.ratio = one.value / others;
    outlier.reason = absl::StrCat(
        greeting ? "slow greeting: half of the last " : "slow login: half of the last ", one.logins,
        greeting ? " connections" : " accepted logins", " took more than ", Milliseconds(one.value),
        ", three quarters at the other backends less than ", Milliseconds(others));
    found->push_back(std::move(outlier));
  }
}

void FindRefusing(const OutlierRules& rules, const std::vector<LoginTally>& recent,
                  std::vector<Outlier>* found) {
  std::vector<Figure> figures;
  for (size_t i = 0; i < recent.size(); ++i) {
    // A wrong password is the user's own affair, and neither good nor bad.
    const uint64_t logins = Total(recent[i].accepted) + recent[i].sys_refusals;
    if (logins < static_cast<uint64_t>(rules.logins_min)) continue;
    const double share =
        100 * static_cast<double>(recent[i].sys_refusals) / static_cast<double>(logins);
    figures.push_back({i, share, share, logins});
  }
  if (figures.size() < 2) return;
  for (size_t i = 0; i < figures.size(); ++i) {
    const Figure& one = figures[i];
    if (one.value < rules.sys_percent) continue;
    const double others = MedianOfOthers(figures, i);
    // What all have in common, a user database say, no other backend makes good.
    if (one.value < 2 * others) continue;
    Outlier outlier;
    outlier.member = one.member;
    outlier.cause = EjectCause::kSysRefusals;
    outlier.ratio = one.value / std::max(others, 1.0);
    outlier.reason =
        absl::StrCat("refuses logins: ", std::lround(one.value), " % of the last ", one.logins,
                     " were answered [SYS/...], at the other backends ", std::lround(others), " %");
    found->push_back(std::move(outlier));
  }
}

}  // namespace

void LoginTally::Add(const LoginTally& more) {
  for (size_t i = 0; i < kLatencyBuckets; ++i) {
    greetings[i] += more.greetings[i];
    accepted[i] += more.accepted[i];
  }
  sys_refusals += more.sys_refusals;
}

LoginTally LoginTally::Since(const LoginTally& earlier) const {
  LoginTally between;
  between.greetings = Difference(greetings, earlier.greetings);
  between.accepted = Difference(accepted, earlier.accepted);
  between.sys_refusals = sys_refusals - earlier.sys_refusals;
  return between;
}

void LoginWindow::Note(const LoginTally& total, TimeNs now, DurationNs window) {
  last_ = total;
  if (marks_.empty() || now - marks_.back().at >= window / kMarksMax) {
    marks_.push_back({now, total});
  }
  // The one that is as old as the window is where it begins.
  while (marks_.size() > 1 && now - marks_[1].at >= window) marks_.pop_front();
  if (marks_.size() > kMarksMax + 1) marks_.pop_front();
}

void LoginWindow::Forget(const LoginTally& total, TimeNs now) {
  marks_.clear();
  marks_.push_back({now, total});
  last_ = total;
}

LoginTally LoginWindow::Recent() const {
  return marks_.empty() ? LoginTally() : last_.Since(marks_.front().total);
}

uint64_t Total(const LatencyCounts& counts) {
  uint64_t total = 0;
  for (const uint64_t count : counts) total += count;
  return total;
}

DurationNs Quantile(const LatencyCounts& counts, double share) {
  const uint64_t total = Total(counts);
  if (total == 0) return 0;
  const double wanted = static_cast<double>(total) * share;
  double before = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (here > 0 && before + here >= wanted) {
      const auto begin = static_cast<double>(LatencyBucketBegin(i));
      const auto end = static_cast<double>(LatencyBucketBegin(i + 1));
      return static_cast<DurationNs>(begin + (end - begin) * (wanted - before) / here);
    }
    before += here;
  }
  return LatencyBucketBegin(kLatencyBuckets);
}

std::vector<Outlier> FindOutliers(const OutlierRules& rules,
                                  const std::vector<LoginTally>& recent) {
  std::vector<Outlier> found;
  if (rules.slow_factor > 0) {
    FindSlow(rules, recent, EjectCause::kSlowGreeting, &found);
    FindSlow(rules, recent, EjectCause::kSlowLogin, &found);
  }
  if (rules.sys_percent > 0) FindRefusing(rules, recent, &found);
  std::sort(found.begin(), found.end(), [](const Outlier& a, const Outlier& b) {
    return std::tie(b.ratio, a.member, a.cause) < std::tie(a.ratio, b.member, b.cause);
  });
  return found;
}

}  // namespace postern::routing
