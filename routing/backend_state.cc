#include "routing/backend_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"

namespace postern::routing {
namespace {

std::string Checks(int count, absl::string_view kind) {
  return absl::StrCat(count, " ", kind, count == 1 ? " check" : " checks in a row");
}

}  // namespace

absl::string_view HealthName(Health health) {
  switch (health) {
    case Health::kUnchecked:
      return "unchecked";
    case Health::kUp:
      return "up";
    case Health::kDown:
      return "down";
  }
  return "";
}

absl::string_view ServiceName(Service service) {
  switch (service) {
    case Service::kEnabled:
      return "enabled";
    case Service::kDraining:
      return "draining";
    case Service::kDisabled:
      return "disabled";
  }
  return "";
}

void BackendState::SetService(Service service, absl::string_view who, absl::string_view why,
                              TimeNs now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const absl::string_view before = ServiceName(report_.service);
  report_.service = service;
  report_.service_at = now;
  report_.service_by = std::string(who);
  report_.service_reason = std::string(why);
  service_.store(service, std::memory_order_relaxed);
  log::Info(absl::StrCat("backend ", name_, ": ", ServiceName(service), ", was ", before, ", by ",
                         who, why.empty() ? "" : ": ", why));
}

std::string BackendState::Why(TimeNs now) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (report_.service != Service::kEnabled) {
    return absl::StrCat(ServiceName(report_.service), report_.service_reason.empty() ? "" : ": ",
                        report_.service_reason);
  }
  if (health() == Health::kDown) return absl::StrCat("down: ", report_.reason);
  if (ejected(now)) return absl::StrCat("ejected: ", report_.eject_reason);
  return "";
}

std::shared_ptr<const std::vector<std::string>> BackendState::capabilities() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return capabilities_;
}

bool BackendState::SetCapabilities(std::vector<std::string> lines) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (capabilities_ != nullptr && *capabilities_ == lines) return false;
  capabilities_ = std::make_shared<const std::vector<std::string>>(std::move(lines));
  return true;
}

void BackendState::BeginChecks(absl::string_view what) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (checked_ == what) return;
  checked_ = std::string(what);
  good_in_a_row_ = bad_in_a_row_ = 0;
  report_.last_failure.clear();
  report_.reason.clear();
  report_.changed_at = 0;
  report_.health = Health::kUnchecked;
  unreachable_.store(false, std::memory_order_relaxed);
  health_.store(Health::kUnchecked, std::memory_order_relaxed);
}

void BackendState::Change(Health health, TimeNs now) {
  report_.health = health;
  report_.changed_at = now;
  ++report_.changes;
  health_.store(health, std::memory_order_relaxed);
}

bool BackendState::OnCheck(const CheckResult& result, const CheckRules& rules, TimeNs now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (result.good) {
    ++report_.checks_good;
    report_.last_failure.clear();
    bad_in_a_row_ = 0;
    if (report_.health == Health::kUp) return false;
    if (report_.health == Health::kDown && ++good_in_a_row_ < rules.rise) return true;
    if (report_.health == Health::kDown) {
      log::Info(absl::StrCat("backend ", name_, ": up again after ", Checks(good_in_a_row_, "good"),
                             "; it was down for ", (now - report_.changed_at) / kSecond, " s"));
    } else {
      log::Info(absl::StrCat("backend ", name_, ": up"));
    }
    report_.reason.clear();
    unreachable_.store(false, std::memory_order_relaxed);
    Change(Health::kUp, now);
    return false;
  }
  ++report_.checks_bad;
  report_.last_failure = result.reason;
  good_in_a_row_ = 0;
  if (report_.health == Health::kDown) {
    report_.reason = result.reason;
    unreachable_.store(!result.reachable, std::memory_order_relaxed);
    return false;
  }
  if (++bad_in_a_row_ < rules.fall) return true;
  log::Warning(absl::StrCat("backend ", name_, ": down after ", Checks(bad_in_a_row_, "bad"), ": ",
                            result.reason));
  report_.reason = result.reason;
  unreachable_.store(!result.reachable, std::memory_order_relaxed);
  Change(Health::kDown, now);
  return false;
}

void BackendState::OnSuccess(TimeNs now) {
  if (failures_.load(std::memory_order_relaxed) == 0) return;
  failures_.store(0, std::memory_order_relaxed);
  // One that began before the ejection proves nothing about now.
  if (ejected(now) || !on_trial_.exchange(false, std::memory_order_relaxed)) return;
  log::Info(absl::StrCat("backend ", name_, ": a login succeeded again after its ejection"));
}

bool BackendState::OnFailure(const EjectRules& rules) {
  if (rules.failures == 0) return false;
  const int failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  return failures >= rules.failures || on_trial_.load(std::memory_order_relaxed);
}

void BackendState::Eject(const EjectRules& rules, absl::string_view reason, TimeNs now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const TimeNs last_end = ejected_until_.load(std::memory_order_relaxed);
  if (now < last_end) return;
  // Well for as long as it was out: the past is forgotten.
  const bool again = ejected_for_ > 0 && now - last_end <= std::max(ejected_for_, rules.time);
  ejected_for_ = again ? std::min(2 * ejected_for_, rules.time_max) : rules.time;
  report_.eject_reason = std::string(reason);
  ++report_.ejections;
  const int failures = failures_.load(std::memory_order_relaxed);
  on_trial_.store(true, std::memory_order_relaxed);
  ejected_until_.store(now + ejected_for_, std::memory_order_relaxed);
  log::Warning(absl::StrCat("backend ", name_, ": ejected for ", ejected_for_ / kMillisecond,
                            " ms after ", failures, " failed login attempts in a row: ", reason));
}

BackendReport BackendState::Report(TimeNs now) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  BackendReport report = report_;
  if (ejected(now)) report.ejected_until = ejected_until_.load(std::memory_order_relaxed);
  return report;
}

std::vector<std::shared_ptr<BackendState>> BackendStates::All() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<BackendState>> all;
  for (const auto& [name, state] : states_) all.push_back(state);
  return all;
}

std::shared_ptr<BackendState> BackendStates::Get(absl::string_view name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = states_.find(name);
  if (found != states_.end()) return found->second;
  auto state = std::make_shared<BackendState>(name);
  states_.emplace(std::string(name), state);
  return state;
}

}  // namespace postern::routing
