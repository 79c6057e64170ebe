// Reads the [guard] table, and judges it together with the login delays of pools.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

constexpr DurationNs kHour = 3600 * kSecond;
constexpr int kNumberMax = 1'000'000;
// 4 GiB for each table.
constexpr int kEntriesMax = 1 << 28;

// "30/m": a whole number and s, m or h behind a slash.
std::optional<guard::Rate> ParseRate(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const absl::string_view count = text.substr(0, slash);
  const absl::string_view unit = text.substr(slash + 1);
  guard::Rate rate;
  const bool digits = std::all_of(count.begin(), count.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  if (!digits || !absl::SimpleAtoi(count, &rate.count) || rate.count < 1 ||
      rate.count > kNumberMax) {
    return std::nullopt;
  }
  if (unit == "s") {
    rate.period = kSecond;
  } else if (unit == "m") {
    rate.period = 60 * kSecond;
  } else if (unit == "h") {
    rate.period = kHour;
  } else {
    return std::nullopt;
  }
  return rate;
}

void ReadRate(TableReader* reader, absl::string_view key, guard::Rate* rate) {
  std::string text;
  if (!reader->String(key, &text)) return;
  if (const std::optional<guard::Rate> parsed = ParseRate(text); parsed.has_value()) {
    *rate = *parsed;
    return;
  }
  reader->Add(reader->At(key),
              absl::StrCat(key, " = \"", text, "\" is not a rate from 1 to ", kNumberMax,
                           "; write \"30/m\" for thirty in any minute; the units are s, m and h"));
}

void ReadFiles(TableReader* reader, absl::string_view key, const std::string& config_file,
               std::vector<std::string>* files) {
  std::vector<LocatedText> texts;
  if (!reader->Strings(key, &texts)) return;
  for (const LocatedText& text : texts) files->push_back(ResolvePath(config_file, text.text));
}

void ParseSessions(const TomlNode& table, guard::SessionLimits* limits, Diagnostics* diagnostics) {
  TableReader reader(table, "sessions", diagnostics);
  reader.Int("user", 0, kNumberMax, &limits->user);
  reader.Int("ip", 0, kNumberMax, &limits->ip);
  reader.Int("prefix", 0, kNumberMax, &limits->prefix);
  reader.Finish();
}

void ParseConnections(const TomlNode& table, guard::ConnectionRates* rates,
                      Diagnostics* diagnostics) {
  TableReader reader(table, "connections", diagnostics);
  ReadRate(&reader, "ip", &rates->ip);
  ReadRate(&reader, "prefix", &rates->prefix);
  ReadRate(&reader, "listener", &rates->listener);
  reader.Finish();
}

void ParseFailures(const TomlNode& table, guard::FailureRules* rules, Diagnostics* diagnostics) {
  TableReader reader(table, "failures", diagnostics);
  rules->on = true;
  reader.Int("user", 0, kNumberMax, &rules->user);
  reader.Int("ip", 0, kNumberMax, &rules->ip);
  reader.Int("prefix", 0, kNumberMax, &rules->prefix);
  reader.Duration("forget", kSecond, kHour, &rules->forget);
  reader.Duration("delay", 0, 60 * kSecond, &rules->delay);
  const bool max_written = reader.Duration("delay_max", 0, 300 * kSecond, &rules->delay_max);
  if (max_written && rules->delay_max < rules->delay) {
    reader.Add(reader.At("delay_max"),
               absl::StrCat("delay_max is shorter than the delay of ", DurationText(rules->delay),
                            "; make it longer, or leave it out"));
  }
  rules->delay_max = std::max(rules->delay_max, rules->delay);
  reader.Finish();
}

// Whether something outside of the configuration names the backend or pool.
bool LeadsAnywhere(const RouteDraft& route) {
  return route.map.written || route.cdb.written || route.rules.written || route.regex.written ||
         route.lookup.written;
}

// RFC 2449 section 6.5: whole seconds, the most that any user may meet.
pop3::LoginDelay Announced(const std::vector<DurationNs>& delays) {
  const auto [least, most] = std::minmax_element(delays.begin(), delays.end());
  if (most == delays.end()) return {};
  return {static_cast<uint32_t>((*most + kSecond - 1) / kSecond), *least != *most};
}

}  // namespace

bool ReadLoginDelay(TableReader* reader, DurationNs* delay) {
  return reader->Duration("login_delay", 0, kHour, delay);
}

void ParseGuard(TableReader* top, Draft* draft, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("guard");
  if (table == nullptr) return;
  TableReader reader(*table, "[guard]", diagnostics, &TopLevelKeys());
  guard::Options* options = &draft->config.guard;
  const std::string& file = draft->config.file;
  reader.Int("ipv4_prefix", 8, 32, &options->ipv4_prefix);
  reader.Int("ipv6_prefix", 16, 128, &options->ipv6_prefix);
  ReadNetworks(&reader, "exempt", &options->exempt);
  if (const TomlNode* node = reader.Table("sessions")) {
    ParseSessions(*node, &options->sessions, diagnostics);
  }
  if (const TomlNode* node = reader.Table("connections")) {
    ParseConnections(*node, &options->connections, diagnostics);
  }
  if (const TomlNode* node = reader.Table("failures")) {
    ParseFailures(*node, &options->failures, diagnostics);
  }
  if (const TomlNode* node = reader.Table("policy")) {
    ParsePolicy(*node, file, diagnostics, &draft->config.policy);
  }
  ReadLoginDelay(&reader, &options->login_delay);
  reader.Duration("known_for", 60 * kSecond, 8760 * kHour, &options->known_for);
  ReadFiles(&reader, "allow", file, &options->allow_files);
  ReadFiles(&reader, "deny", file, &options->deny_files);
  reader.Word<bool>("unlisted", {{"allow", false}, {"deny", true}}, &options->deny_unlisted);
  if (options->deny_unlisted && !reader.Has("allow")) {
    reader.Add(reader.At("unlisted"),
               "unlisted = \"deny\" lets nobody in but those on a list; write allow = "
               "[\"/etc/postern/allow\"]");
  }
  int entries = static_cast<int>(options->entries);
  reader.Int("entries", 1024, kEntriesMax, &entries);
  options->entries = static_cast<size_t>(entries);
  reader.Finish();
}

void ValidateGuard(Draft* draft) {
  Config* config = &draft->config;
  const DurationNs general = config->guard.login_delay;
  for (const PoolDraft& pool : draft->pools) {
    config->login_delays.push_back(pool.login_delay.value_or(general));
  }
  const std::vector<DurationNs>& of_pools = config->login_delays;
  std::vector<DurationNs> delays;  // what users may meet
  for (const RouteDraft& route : draft->routes) {
    config->route_login_delays.push_back(route.login_delay.value_or(-1));
    if (route.login_delay.has_value()) {
      delays.push_back(*route.login_delay);
      continue;
    }
    const bool anywhere = LeadsAnywhere(route);
    if (anywhere) delays.insert(delays.end(), of_pools.begin(), of_pools.end());
    if (anywhere || route.backend.written) delays.push_back(general);
    for (size_t i = 0; i < draft->pools.size(); ++i) {
      if (route.pool.written && draft->pools[i].name.value == route.pool.value) {
        delays.push_back(of_pools[i]);
      }
    }
  }
  const auto is_delay = [](DurationNs delay) { return delay > 0; };
  // Users who are moved by hand meet the pool of their new home, to which no route need lead.
  config->guard.login_delays = std::any_of(delays.begin(), delays.end(), is_delay) ||
                               std::any_of(of_pools.begin(), of_pools.end(), is_delay);
  for (size_t i = 0; i < draft->listeners.size(); ++i) {
    const ListenerDraft& listener = draft->listeners[i];
    std::vector<DurationNs> here;
    if (!listener.backend.written) here = delays;
    if (listener.backend.written || !listener.server_names.empty()) {
      here.push_back(general);
      if (general > 0) config->guard.login_delays = true;
    }
    config->listeners[i].login_delay = Announced(here);
  }
}

}  // namespace postern::config
