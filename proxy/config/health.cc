// Reads and judges the `health` table of a pool or a backend, and the `eject` table of a pool.
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

constexpr DurationNs kHour = 3600 * kSecond;

// What is true for every backend that the table speaks for.
void CheckLogin(const TomlNode& table, const HealthDraft& health, Diagnostics* diagnostics) {
  if (health.value.probe == Probe::kLogin) {
    if (health.user.written) return;
    diagnostics->Add(table.position,
                     "probe = \"login\" needs a user of its own; write user = "
                     "\"canary@example.net\"");
    return;
  }
  const auto useless = [diagnostics](absl::string_view key, Position where) {
    diagnostics->Add(where, absl::StrCat(key,
                                         " means nothing without probe = \"login\"; set it, or "
                                         "remove this"));
  };
  if (health.user.written) useless("user", health.user.position);
  if (health.password_file.written) useless("password_file", health.password_file.position);
}

// The keys of `eject` about backends that answer, but worse than others.
void ParseOutliers(TableReader* reader, routing::OutlierRules* rules) {
  reader->Decimal("slow_factor", 2, 100, &rules->slow_factor);
  reader->Duration("slow_floor", 5 * kMillisecond, 60 * kSecond, &rules->slow_floor);
  reader->Int("sys_percent", 5, 100, &rules->sys_percent);
  reader->Duration("window", 5 * kSecond, kHour / 6, &rules->window);
  reader->Int("logins_min", 5, 100000, &rules->logins_min);
  const bool slow_wanted = reader->Has("slow_factor");
  if (!slow_wanted && reader->Has("slow_floor")) {
    reader->Add(reader->At("slow_floor"),
                "slow_floor means nothing without slow_factor; add slow_factor = 3, or remove it");
  }
  if (slow_wanted || reader->Has("sys_percent")) return;
  for (const char* key : {"window", "logins_min"}) {
    if (!reader->Has(key)) continue;
    reader->Add(reader->At(key),
                absl::StrCat(key,
                             " means nothing without slow_factor or sys_percent; add one of "
                             "them, or remove it"));
  }
}

}  // namespace

absl::string_view ProbeName(Probe probe) {
  switch (probe) {
    case Probe::kNone:
      return "none";
    case Probe::kTcp:
      return "tcp";
    case Probe::kGreeting:
      return "greeting";
    case Probe::kTls:
      return "tls";
    case Probe::kCapa:
      return "capa";
    case Probe::kLogin:
      return "login";
  }
  return "";
}

bool ParseHealth(const TomlNode& table, const std::string& file_name, Diagnostics* diagnostics,
                 HealthDraft* health) {
  TableReader reader(table, "health", diagnostics);
  Health& value = health->value;
  value.probe = Probe::kGreeting;
  reader.Word<Probe>("probe",
                     {{"none", Probe::kNone},
                      {"tcp", Probe::kTcp},
                      {"greeting", Probe::kGreeting},
                      {"tls", Probe::kTls},
                      {"capa", Probe::kCapa},
                      {"login", Probe::kLogin}},
                     &value.probe);
  reader.Duration("interval", 100 * kMillisecond, kHour, &value.interval);
  const bool fast_written =
      reader.Duration("fast_interval", 100 * kMillisecond, kHour, &value.fast_interval);
  if (fast_written && value.fast_interval > value.interval) {
    reader.Add(reader.At("fast_interval"),
               absl::StrCat("fast_interval is longer than the interval of ",
                            DurationText(value.interval), "; make it shorter, or leave it out"));
  }
  if (!fast_written && value.fast_interval > value.interval) value.fast_interval = value.interval;
  reader.Duration("timeout", 100 * kMillisecond, 60 * kSecond, &value.timeout);
  if (!reader.Duration("jitter", 0, kHour, &value.jitter)) value.jitter = value.interval / 10;
  reader.Duration("end_over", 0, 24 * kHour, &value.end_over);
  reader.Int("rise", 1, 100, &value.rise);
  reader.Int("fall", 1, 100, &value.fall);
  ReadSetting(reader, "user", &health->user,
              [&](std::string* out) { return reader.String("user", out); });
  ReadSetting(reader, "password_file", &health->password_file,
              [&](std::string* out) { return reader.String("password_file", out); });
  value.user = health->user.value;
  if (health->password_file.good) {
    value.password_file = ResolvePath(file_name, health->password_file.value);
  }
  reader.Finish();
  CheckLogin(table, *health, diagnostics);
  return true;
}

void ParseEject(const TomlNode& table, Diagnostics* diagnostics, PoolDraft* pool) {
  TableReader reader(table, "eject", diagnostics);
  routing::EjectRules* rules = &pool->eject;
  rules->failures = 5;
  reader.Int("failures", 1, 1000, &rules->failures);
  reader.Duration("time", 100 * kMillisecond, kHour, &rules->time);
  const bool max_written =
      reader.Duration("time_max", 100 * kMillisecond, 24 * kHour, &rules->time_max);
  if (max_written && rules->time_max < rules->time) {
    reader.Add(reader.At("time_max"),
               absl::StrCat("time_max is shorter than the time of ", DurationText(rules->time),
                            "; make it longer, or leave it out"));
  }
  if (!max_written && rules->time_max < rules->time) rules->time_max = rules->time;
  reader.Int("share_max_percent", 1, 100, &rules->share_max_percent);
  ParseOutliers(&reader, &rules->outliers);
  if (rules->outliers.on()) {
    pool->outliers = reader.At(reader.Has("slow_factor") ? "slow_factor" : "sys_percent");
  }
  reader.Finish();
}

// Elsewhere an ejection would turn slow logins into none.
void ValidateEject(const PoolDraft& pool, Diagnostics* diagnostics) {
  const Setting<bool>& failover = pool.balance.failover;
  if (!pool.eject.outliers.on() || failover.value || (failover.written && !failover.good)) return;
  diagnostics->Add(pool.outliers,
                   "a backend that is slow or refuses much can only be ejected where its users can "
                   "go to another one; write failover = true if every backend sees the same mail, "
                   "or remove this");
}

void ValidateHealth(const Setting<HealthDraft>& setting, bool tls_used, bool master_used,
                    Backend* backend, Diagnostics* diagnostics) {
  if (!setting.good) return;
  const HealthDraft& draft = setting.value;
  backend->health = draft.value;
  const Probe probe = draft.value.probe;
  if (probe == Probe::kTls && !tls_used) {
    diagnostics->Add(setting.position,
                     absl::StrCat("probe = \"tls\" of backend \"", backend->name,
                                  "\", which has tls = \"off\"; use probe = \"greeting\", or "
                                  "set tls"));
  }
  if (probe != Probe::kLogin) return;
  if (master_used && draft.password_file.written) {
    diagnostics->Add(draft.password_file.position,
                     absl::StrCat("password_file means nothing for backend \"", backend->name,
                                  "\", where the master user logs in; remove it"));
  }
  if (!master_used && !draft.password_file.written) {
    diagnostics->Add(setting.position,
                     absl::StrCat("probe = \"login\" of backend \"", backend->name,
                                  "\" needs the user's password; write password_file = "
                                  "\"/etc/postern/canary-password\""));
  }
}

}  // namespace postern::config
