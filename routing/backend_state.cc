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

absl::string_view EjectCauseName(EjectCause cause) {
  switch (cause) {
    case EjectCause::kFailures:
      return "failures";
    case EjectCause::kSlowGreeting:
      return "slow_greeting";
    case EjectCause::kSlowLogin:
      return "slow_login";
    case EjectCause::kSysRefusals:
      return "sys_refusals";
  }
  return "";
}

void BackendState::SetService(Service service, absl::string_view who, absl::string_view why,
                              TimeNs now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const absl::string_view before = ServiceName(report_.service);
  const bool back = service == Service::kEnabled && report_.service != Service::kEnabled;
  report_.service = service;
  report_.service_at = now;
  report_.service_by = std::string(who);
  report_.service_reason = std::string(why);
  if (back) weight_.ComesBack(now);
  service_.store(service, std::memory_order_relaxed);
  log::Info(absl::StrCat("backend ", name_, ": ", ServiceName(service), ", was ", before, ", by ",
                         who, why.empty() ? "" : ": ", why));
}

void BackendState::SetWeight(int weight, absl::string_view who, absl::string_view why, TimeNs now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  report_.weight = weight;
  report_.weight_at = now;
  report_.weight_by = std::string(who);
  report_.weight_reason = std::string(why);
  weight_.Set(weight);
  log::Info(absl::StrCat("backend ", name_, ": weight ",
                         weight < 0 ? "as configured" : absl::StrCat(weight), ", by ", who,
                         why.empty() ? "" : ": ", why));
}

std::string BackendState::Why(TimeNs now) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (report_.service != Service::kEnabled) {
    return absl::StrCat(ServiceName(report_.service), report_.service_reason.empty() ? "" : ": ",
                        report_.service_reason);
  }
  if (agent() != AgentVerdict::kServe) return absl::StrCat("its agent says ", AgentWords());
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

std::string BackendState::AgentWords() const {
  std::string words;
  const auto add = [&words](absl::string_view word) {
    absl::StrAppend(&words, words.empty() ? "" : ", ", word);
  };
  if (agent_said_.percent.has_value()) add(absl::StrCat(*agent_said_.percent, "%"));
  if (agent_said_.wish == AgentReport::Wish::kReady) add("ready");
  if (agent_said_.wish == AgentReport::Wish::kDrain) add("drain");
  if (agent_said_.wish == AgentReport::Wish::kMaintenance) add("maint");
  if (agent_said_.up == true) add("up");
  if (agent_said_.up == false) {
    add(agent_said_.reason.empty() ? "down" : absl::StrCat("down: ", agent_said_.reason));
  }
  return words;
}

void BackendState::BeginAgent(absl::string_view address, TimeNs now) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (agent_address_ == address) return;
    agent_address_ = std::string(address);
    agent_said_ = AgentReport();
  }
  OnAgent(AgentReport(), now);
}

void BackendState::OnAgent(const AgentReport& report, TimeNs now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string before = AgentWords();
  if (report.percent.has_value()) agent_said_.percent = report.percent;
  if (report.wish.has_value()) agent_said_.wish = report.wish;
  if (report.up.has_value()) {
    agent_said_.up = report.up;
    agent_said_.reason = report.reason;
  }
  const std::string after = AgentWords();
  if (before != after) log::Info(absl::StrCat("backend ", name_, ": its agent says ", after));
  AgentVerdict verdict = AgentVerdict::kServe;
  if (agent_said_.wish == AgentReport::Wish::kDrain) verdict = AgentVerdict::kDrain;
  if (agent_said_.wish == AgentReport::Wish::kMaintenance || agent_said_.up == false) {
    verdict = AgentVerdict::kOut;
  }
  // A share of nothing takes no new users, and is no reason to keep away those who have a session.
  if (verdict == AgentVerdict::kServe && agent_said_.percent == 0) verdict = AgentVerdict::kDrain;
  if (verdict == AgentVerdict::kServe && agent() != verdict) weight_.ComesBack(now);
  weight_.SetAgentPercent(std::max(1, agent_said_.percent.value_or(100)));
  agent_.store(verdict, std::memory_order_relaxed);
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
    if (report_.health == Health::kDown) weight_.ComesBack(now);
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
  // Both: a failure that is noted at this moment may have got to the second one only.
  if (failures_.load(std::memory_order_relaxed) == 0 &&
      next_trial_.load(std::memory_order_relaxed) == 0) {
    return;
  }
  failures_.store(0, std::memory_order_relaxed);
  next_trial_.store(0, std::memory_order_relaxed);
  // One that began before the ejection proves nothing about now.
  if (ejected(now) || !on_trial_.exchange(false, std::memory_order_relaxed)) return;
  log::Info(absl::StrCat("backend ", name_, ": a login succeeded again after its ejection"));
}

bool BackendState::OnFailure(const EjectRules& rules, TimeNs now) {
  if (rules.failures == 0) return false;
  const int failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (failures >= rules.failures) {
    next_trial_.store(now + kTrialEvery, std::memory_order_relaxed);
  }
  return failures >= rules.failures || on_trial_.load(std::memory_order_relaxed);
}

bool BackendState::TakeTrial(TimeNs now) {
  TimeNs next = next_trial_.load(std::memory_order_relaxed);
  if (next == 0) return true;
  if (now < next) return false;
  return next_trial_.compare_exchange_strong(next, now + kTrialEvery, std::memory_order_relaxed) ||
         next == 0;
}

void BackendState::Eject(const EjectRules& rules, EjectCause cause, absl::string_view reason,
                         TimeNs now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const TimeNs last_end = ejected_until_.load(std::memory_order_relaxed);
  if (now < last_end) return;
  // Well for as long as it was out: the past is forgotten.
  const bool soft = cause != EjectCause::kFailures;
  // That it is slow again takes a while to know.
  const DurationNs memory =
      std::max(ejected_for_, rules.time) + (soft ? 2 * rules.outliers.window : 0);
  const bool again = ejected_for_ > 0 && now - last_end <= memory;
  ejected_for_ = again ? std::min(2 * ejected_for_, rules.time_max) : rules.time;
  report_.eject_reason = std::string(reason);
  ++report_.ejections;
  ++report_.ejections_by[static_cast<size_t>(cause)];
  const int failures = failures_.load(std::memory_order_relaxed);
  if (!soft) on_trial_.store(true, std::memory_order_relaxed);
  soft_.store(soft, std::memory_order_relaxed);
  weight_.ComesBack(now + ejected_for_);
  ejected_until_.store(now + ejected_for_, std::memory_order_relaxed);
  log::Warning(
      absl::StrCat("backend ", name_, ": ejected for ", ejected_for_ / kMillisecond, " ms",
                   soft ? "" : absl::StrCat(" after ", failures, " failed login attempts in a row"),
                   ": ", reason));
}

void BackendState::EndEjection(TimeNs now) {
  if (ejected_softly()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!ejected(now)) return;
  ejected_until_.store(now, std::memory_order_relaxed);
  failures_.store(0, std::memory_order_relaxed);
  next_trial_.store(0, std::memory_order_relaxed);
  on_trial_.store(false, std::memory_order_relaxed);
  weight_.ComesBack(now);
  log::Info(
      absl::StrCat("backend ", name_, ": a waiting login got an answer; its ejection is over"));
}

BackendReport BackendState::Report(TimeNs now) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  BackendReport report = report_;
  report.agent = AgentWords();
  report.ramp_percent = weight_.RampPercent(now);
  report.seats = load_.seats();
  report.logins = load_.logins();
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
  auto state = std::make_shared<BackendState>(name, changes_);
  states_.emplace(std::string(name), state);
  return state;
}

std::shared_ptr<PoolQueue> BackendStates::Queue(absl::string_view pool) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<PoolQueue>& queue = queues_[std::string(pool)];
  if (queue == nullptr) queue = std::make_shared<PoolQueue>();
  return queue;
}

}  // namespace postern::routing
