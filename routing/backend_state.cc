#include "routing/backend_state.h"

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

std::string BackendState::Why() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (usable()) return "";
  return absl::StrCat("down: ", report_.reason);
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
    Change(Health::kUp, now);
    return false;
  }
  ++report_.checks_bad;
  report_.last_failure = result.reason;
  good_in_a_row_ = 0;
  if (report_.health == Health::kDown) {
    report_.reason = result.reason;
    return false;
  }
  if (++bad_in_a_row_ < rules.fall) return true;
  log::Warning(absl::StrCat("backend ", name_, ": down after ", Checks(bad_in_a_row_, "bad"), ": ",
                            result.reason));
  report_.reason = result.reason;
  Change(Health::kDown, now);
  return false;
}

BackendReport BackendState::Report() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return report_;
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
