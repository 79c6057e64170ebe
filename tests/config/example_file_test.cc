// deploy/examples/postern.toml: the defaults that it shows are those of the program.
#include <cstddef>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"
#ifdef POSTERN_AUTH_HTTP
#include "routing/lookup/auth_http_source.h"
#endif

namespace postern::config {
namespace {

constexpr char kExample[] = POSTERN_SOURCE_DIR "/deploy/examples/postern.toml";

// The values of a configuration that a default of the example decides, as one text.
class Description {
 public:
  template <typename... T>
  void Add(absl::string_view what, const T&... values) {
    absl::StrAppend(&text_, what, ":");
    (absl::StrAppend(&text_, " ", Word(values)), ...);
    absl::StrAppend(&text_, "\n");
  }
  const std::string& text() const { return text_; }

 private:
  static std::string Word(const std::vector<std::string>& list) { return absl::StrJoin(list, ","); }
  static std::string Word(const std::string& word) { return word; }
  template <typename T>
  static std::string Word(const T& value) {
    return absl::StrCat(static_cast<long long>(value));  // NOLINT: any number, bool or enum
  }

  std::string text_;
};

void AddClients(const Config& config, Description* out) {
  out->Add("top", config.workers, config.io, config.hostname);
  for (const Listener& listener : config.listeners) {
    out->Add("listener", listener.tls, listener.plaintext_logins, listener.v6only, listener.backlog,
             listener.proxy_protocol, listener.relays_greeting);
  }
  const tls::ServerOptions& tls = config.tls;
  out->Add("tls", tls.version_min, tls.early_greeting, tls.tickets_ecdsa, tls.tickets_rsa);
  const pop3::DialogueOptions& dialogue = config.dialogue;
  out->Add("dialogue", dialogue.user_pass, dialogue.apop, dialogue.line_bytes_max,
           dialogue.sasl_bytes_max, dialogue.bad_commands_max, dialogue.logins_max);
  for (const pop3::Mechanism mechanism : dialogue.mechanisms) out->Add("mechanism", mechanism);
  out->Add("auth", config.auth.refused_reply);
  const Timeouts& t = config.timeouts;
  out->Add("timeouts", t.proxy_header, t.handshake, t.login, t.idle, t.upstream_connect,
           t.upstream_greeting, t.upstream_login, t.refused_delay, t.close_linger, t.drain,
           t.resolve, t.hold);
  const Limits& limits = config.limits;
  out->Add("limits", limits.sessions_max, limits.held_logins, limits.upstream_tries,
           limits.receive_buffer_bytes, limits.receive_buffers);
  const guard::Options& guard = config.guard;
  out->Add("guard", guard.ipv4_prefix, guard.ipv6_prefix, guard.login_delay, guard.known_for,
           guard.deny_unlisted, guard.entries);
  out->Add("users", config.routing.user.lowercase_domain, config.routing.user.lowercase_local);
}

void AddServers(const Config& config, Description* out) {
  for (const routing::PoolOptions& pool : config.routing.pools) {
    out->Add("pool", pool.balance, pool.failover, pool.affinity, pool.eject.failures,
             pool.eject.time, pool.eject.time_max, pool.eject.share_max_percent, pool.queue.wait,
             pool.queue.waiting_max);
    const routing::OutlierRules& rules = pool.eject.outliers;
    out->Add("outliers", rules.slow_floor, rules.window, rules.logins_min);
  }
  for (const routing::BackendOptions& backend : config.routing.backends) {
    out->Add("weight", backend.weight, backend.backup);
  }
  for (const Backend& backend : config.backends) {
    out->Add("backend", backend.tls, backend.tls_options.insecure, backend.login, backend.mechanism,
             backend.pipelining, backend.proxy_protocol, backend.xclient, backend.referrals);
    const Health& health = backend.health;
    out->Add("health", health.probe, health.interval, health.fast_interval, health.timeout,
             health.jitter, health.rise, health.fall, health.end_over);
    out->Add("agent", backend.agent.interval, backend.agent.timeout);
  }
}

void AddSource(const std::monostate&, Description*) {}
void AddSource(const std::shared_ptr<routing::LdapOptions>& ldap, Description* out) {
  out->Add("ldap", ldap->start_tls, ldap->insecure, ldap->scope, ldap->target_attribute);
}
void AddSource(const std::shared_ptr<routing::RedisOptions>& redis, Description* out) {
  out->Add("redis", redis->tls.on, redis->tls.insecure, redis->database);
}
// No [[lookup]] is one.
void AddSource(const std::shared_ptr<routing::PolicyOptions>&, Description*) {}
template <typename Sql>
void AddSource(const std::shared_ptr<Sql>& sql, Description* out) {
  out->Add("sql", sql->tls.on, sql->tls.insecure);
}

std::string Describe(const Config& config) {
  Description out;
  AddClients(config, &out);
  AddServers(config, &out);
  for (const Lookup& lookup : config.lookups) {
    const routing::LookupOptions& options = lookup.options;
    out.Add("lookup", options.timeout, options.connections, options.queue_max, options.ttl,
            options.negative_ttl, options.stale, options.entries, lookup.traits.sees_client);
    std::visit([&out](const auto& source) { AddSource(source, &out); }, lookup.server);
#ifdef POSTERN_AUTH_HTTP
    if (const auto* http = lookup.make.target<routing::AuthHttpFactory>()) {
      out.Add("auth_http", http->options.extras.client_certificate);
    }
#endif
  }
  out.Add("log", config.log.sessions, config.log.format, config.log.level);
  out.Add("admin", config.admin.address);
  return out.text();
}

std::vector<std::string> ExampleLines() {
  std::ifstream file(kExample);
  EXPECT_TRUE(file.is_open());
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(file, line)) lines.push_back(line);
  return lines;
}

// "#key = value" is a default; "# text" is text.
bool IsDefault(const std::string& line) {
  return line.size() > 1 && line[0] == '#' && line[1] != ' ' && line[1] != '#';
}

// "key = VALUE" with another value than this one; "" when nobody has said which.
std::string WithAnother(const std::string& assignment) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(assignment, absl::MaxSplits(" = ", 1));
  const std::string key(parts.first), value(parts.second);
  static const auto* const others = new std::map<std::string, std::string>{
      {"io = \"auto\"", "\"epoll\""},
      {"proxy_protocol = false", "true\nproxy_networks = [\"10.0.0.0/8\"]"},
      {"version_min = \"1.2\"", "\"1.3\""},
      {"mechanisms = [\"plain\", \"login\"]", "[\"plain\"]"},
      {"refused_reply = \"-ERR [AUTH] Authentication failed.\"", "\"-ERR [AUTH] No.\""},
      {"greeting = \"own\"",
       "\"backend\"\nserver_names = [{ name = \"s1.example.net\", backend = \"mail1\" }]"},
      {"unlisted = \"allow\"", "\"deny\"\nallow = [\"l\"]"},
      {"balance = \"user-hash\"", "\"maglev\""},
      {"login = \"password\"", "\"sasl\""},
      {"mechanism = \"user-pass\"", "\"auth-plain\""},
      {"pipelining = \"auto\"", "\"on\""},
      {"proxy_protocol = \"off\"", "\"v1\""},
      {"xclient = \"off\"", "\"auto\""},
      {"tls = \"off\"", "\"implicit\""},
      {"scope = \"sub\"", "\"one\""},
      {"target_attribute = \"mailHost\"", "\"host\""},
      {"sessions = \"-\"", "\"sessions.log\""},
      {"format = \"logfmt\"", "\"json\""},
      {"level = \"info\"", "\"debug\""},
      {"address = \"127.0.0.1:9110\"", "\"127.0.0.1:9111\""},
      {"receive_buffers = 256", "512"},
      {"weight = 100", "99"},
  };
  const auto other = others->find(assignment);
  if (other != others->end()) return absl::StrCat(key, " = ", other->second);
  if (value == "true") return absl::StrCat(key, " = false");
  if (value == "false") return absl::StrCat(key, " = true");
  const bool quoted = value.front() == '"';
  const std::string text = quoted ? value.substr(1, value.size() - 2) : value;
  const size_t digits = text.find_first_not_of("0123456789");
  int number = 0;
  if (!absl::SimpleAtoi(text.substr(0, digits), &number)) return "";
  const std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  const char* const quote = quoted ? "\"" : "";
  return absl::StrCat(key, " = ", quote, number + 1, unit, quote);
}

// Whoever takes the mark away gets a key that exists, and changes nothing; with another value
// behind it something does change, so the one that is shown is the default.
TEST(ExampleFile, ShowsTheDefaults) {
  const std::vector<std::string> lines = ExampleLines();
  const absl::StatusOr<Config> plain = LoadConfig(kExample);
  ASSERT_TRUE(plain.ok()) << plain.status().message();
  const std::string before = Describe(*plain);
  // These are inside the source, where only itself sees them.
  const std::set<std::string> unseen = {"#strict = false", "#decode = \"off\""};
  int tried = 0, refused = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!IsDefault(lines[i])) continue;
    ++tried;
    SCOPED_TRACE(absl::StrCat(kExample, ":", i + 1, ": ", lines[i]));
    std::vector<std::string> changed = lines;
    changed[i] = lines[i].substr(1);
    const absl::StatusOr<Config> same = ParseConfig(absl::StrJoin(changed, "\n"), kExample);
    ASSERT_TRUE(same.ok()) << same.status().message();
    EXPECT_EQ(Describe(*same), before);
    if (unseen.count(lines[i]) == 1) continue;
    changed[i] = WithAnother(lines[i].substr(1));
    ASSERT_NE(changed[i], "") << "say what else it could be";
    const absl::StatusOr<Config> other = ParseConfig(absl::StrJoin(changed, "\n"), kExample);
    if (other.ok()) {
      EXPECT_NE(Describe(*other), before) << changed[i];
      continue;
    }
    // insecure beside the ca of the example.
    EXPECT_TRUE(absl::StrContains(other.status().message(), "insecure")) << other.status();
    ++refused;
  }
  EXPECT_GT(tried, 70);
  EXPECT_LE(refused, 3);
}

// The tables on one line say that their values are the defaults where the table stands at all.
TEST(ExampleFile, ShowsTheDefaultsOfTables) {
  const absl::StatusOr<Config> plain = LoadConfig(kExample);
  ASSERT_TRUE(plain.ok()) << plain.status().message();
  std::string text = absl::StrJoin(ExampleLines(), "\n");
  for (const char* const shown :
       {"eject = { failures = 5,", "queue = { wait = ", "health = { probe = \"greeting\"",
        ", interval = \"5s\", timeout = \"2s\" } },"}) {
    const size_t begin = text.find(shown);
    ASSERT_NE(begin, std::string::npos) << shown;
    const bool member = shown[0] == ',';
    const size_t open = member ? begin : text.find('{', begin) + 1;
    text.erase(open, text.find('}', begin) - open);
  }
  const std::string marked_keys[] = {", slow_floor = \"500ms\"",
                                     ", window = \"30s\", logins_min = 20"};
  for (const std::string& keys : marked_keys) {
    const size_t begin = text.find(keys);
    ASSERT_NE(begin, std::string::npos) << keys;
    text.erase(begin, keys.size());
  }
  const absl::StatusOr<Config> empty = ParseConfig(text, kExample);
  ASSERT_TRUE(empty.ok()) << empty.status().message();
  EXPECT_EQ(Describe(*empty), Describe(*plain));
  EXPECT_EQ(plain->routing.pools[1].queue.wait, 10 * kSecond);

  // The same for [guard] failures, which is no part of the file's own configuration.
  const std::string smallest = absl::StrJoin(ExampleLines(), "\n");
  const std::string marked = "# failures = { user = 20,";
  const size_t failures = smallest.find(marked);
  ASSERT_NE(failures, std::string::npos);
  const absl::StatusOr<Config> guarded =
      ParseConfig(std::string(smallest).erase(failures, 2), kExample);
  ASSERT_TRUE(guarded.ok()) << guarded.status().message();
  const guard::FailureRules& rules = guarded->guard.failures;
  const guard::FailureRules standard;
  EXPECT_TRUE(rules.on);
  EXPECT_EQ(rules.user, standard.user);
  EXPECT_EQ(rules.ip, standard.ip);
  EXPECT_EQ(rules.prefix, standard.prefix);
  EXPECT_EQ(rules.forget, standard.forget);
  EXPECT_EQ(rules.delay, standard.delay);
  EXPECT_EQ(rules.delay_max, standard.delay_max);
}

}  // namespace
}  // namespace postern::config
