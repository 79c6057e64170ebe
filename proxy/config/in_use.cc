// What a pool does for logins whose maildrop is in use: reads these keys and compares them with how
// long a session may take.
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {

void ParseInUse(TableReader* reader, Diagnostics* diagnostics,
                Setting<routing::InUseRules>* setting) {
  ReadSetting(*reader, "in_use", setting, [&](routing::InUseRules* out) {
    const TomlNode* node = reader->Table("in_use");
    if (node == nullptr) return false;
    TableReader table(*node, "in_use", diagnostics);
    out->wait = 10 * kSecond;
    table.Duration("wait", 100 * kMillisecond, 600 * kSecond, &out->wait);
    table.Duration("end_idle", kSecond, 24 * 3600 * kSecond, &out->end_idle);
    table.Finish();
    return true;
  });
}

void ValidateInUse(const Setting<routing::InUseRules>& setting, const Timeouts& timeouts,
                   Diagnostics* diagnostics) {
  if (!setting.good) return;
  if (setting.value.wait > timeouts.login) {
    diagnostics->Add(
        setting.position,
        absl::StrCat("nobody waits ", DurationText(setting.value.wait),
                     " for a maildrop: a login is given up after ", DurationText(timeouts.login),
                     "; make wait shorter, or login in [timeouts] longer"));
  }
  if (setting.value.end_idle >= timeouts.idle) {
    diagnostics->Add(
        setting.position,
        absl::StrCat("end_idle = \"", DurationText(setting.value.end_idle),
                     "\" does nothing: a session that is idle is ended after ",
                     DurationText(timeouts.idle), " anyway; make end_idle shorter, or remove it"));
  }
}

}  // namespace postern::config
