#include "metrics/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "metrics/names.h"
#include "tests/metrics/promtool.h"

namespace postern::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Series (name and labels as printed) to value.
using Samples = std::map<std::string, double>;

Samples Parse(const std::string& text) {
  Samples samples;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "#")) continue;
    const size_t space = line.rfind(' ');
    if (space == absl::string_view::npos) {
      ADD_FAILURE() << "no value: " << line;
      continue;
    }
    double value = 0;
    EXPECT_TRUE(absl::SimpleAtod(line.substr(space + 1), &value)) << line;
    const std::string series(line.substr(0, space));
    EXPECT_TRUE(samples.emplace(series, value).second) << "twice: " << series;
  }
  return samples;
}

double At(const Samples& samples, const std::string& series) {
  const auto found = samples.find(series);
  if (found == samples.end()) {
    ADD_FAILURE() << "missing: " << series;
    return -1;
  }
  return found->second;
}

// Two workers and a registry, as the server would keep them.
class CollectorTest : public ::testing::Test {
 protected:
  CollectorTest()
      : collector_({"1.2.3", "OpenSSL 3.0.0"}, {&workers_[0], &workers_[1]}, &registry_,
                   [this] { return facts_; }) {}

  size_t AddListener(const std::string& name) {
    const size_t id = registry_.ListenerId(name).value();
    listeners_.push_back(id);
    Apply();
    return id;
  }
  size_t AddBackend(const std::string& name, const std::string& pool) {
    const size_t id = registry_.BackendId(name, pool).value();
    backends_.push_back(id);
    Apply();
    return id;
  }
  void Apply() {
    for (WorkerStats& worker : workers_) {
      worker.Grow(registry_.listener_count(), registry_.backend_count());
    }
    registry_.SetActive(listeners_, backends_);
  }

  WorkerStats workers_[2];
  Registry registry_;
  ServerFacts facts_;
  std::vector<size_t> listeners_;
  std::vector<size_t> backends_;
  Collector collector_;
};

TEST_F(CollectorTest, SumsOverWorkers) {
  const size_t pop3s = AddListener("pop3s");
  const size_t mail1 = AddBackend("mail1", "mail");
  workers_[0].listener(pop3s).connections.Add(3);
  workers_[1].listener(pop3s).connections.Add(4);
  workers_[0].listener(pop3s).sessions_active.Add(2);
  workers_[1].listener(pop3s).logins[static_cast<size_t>(LoginResult::kRefused)].Add(5);
  workers_[1].listener(pop3s).closed[static_cast<size_t>(CloseReason::kQuit)].Add();
  workers_[0].listener(pop3s).tls_versions[static_cast<size_t>(TlsVersion::kTls13)].Add(6);
  workers_[0].listener(pop3s).tls_ciphers[static_cast<size_t>(TlsCipher::kAes256Gcm)].Add(6);
  workers_[0].listener(pop3s).bytes_in.Add(10);
  workers_[1].listener(pop3s).bytes_out.Add(20);
  workers_[0].backend(mail1).connects.Add(1);
  workers_[1].backend(mail1).errors[static_cast<size_t>(UpstreamError::kTls)].Add(9);
  workers_[0].backend(mail1).sessions_active.Add(1);
  workers_[1].backend(mail1).sessions_active.Add(1);
  workers_[1].backend(mail1).commands[static_cast<size_t>(RelayVerb::kRetr)].Add(11);
  workers_[1].backend(mail1).bytes_from_backend.Add(uint64_t{1} << 40);
  workers_[1].loop().turns.Add(12);

  const Samples samples = Parse(collector_.Collect());
  EXPECT_EQ(At(samples, "postern_workers"), 2);
  EXPECT_EQ(At(samples, R"(postern_listener_connections_total{listener="pop3s"})"), 7);
  EXPECT_EQ(At(samples, R"(postern_listener_sessions{listener="pop3s"})"), 2);
  EXPECT_EQ(At(samples, R"(postern_listener_logins_total{listener="pop3s",result="refused"})"), 5);
  EXPECT_EQ(At(samples, R"(postern_listener_logins_total{listener="pop3s",result="accepted"})"), 0);
  EXPECT_EQ(
      At(samples, R"(postern_listener_sessions_closed_total{listener="pop3s",reason="quit"})"), 1);
  EXPECT_EQ(
      At(samples, R"(postern_listener_tls_handshakes_total{listener="pop3s",version="TLSv1.3"})"),
      6);
  EXPECT_EQ(
      At(samples, R"(postern_listener_tls_ciphers_total{listener="pop3s",cipher="AES256-GCM"})"),
      6);
  EXPECT_EQ(At(samples, R"(postern_listener_bytes_total{listener="pop3s",direction="in"})"), 10);
  EXPECT_EQ(At(samples, R"(postern_listener_bytes_total{listener="pop3s",direction="out"})"), 20);
  EXPECT_EQ(At(samples, R"(postern_backend_connects_total{backend="mail1",pool="mail"})"), 1);
  EXPECT_EQ(
      At(samples, R"(postern_backend_errors_total{backend="mail1",pool="mail",reason="tls"})"), 9);
  EXPECT_EQ(At(samples, R"(postern_backend_sessions{backend="mail1",pool="mail"})"), 2);
  EXPECT_EQ(
      At(samples, R"(postern_backend_commands_total{backend="mail1",pool="mail",verb="retr"})"),
      11);
  EXPECT_EQ(
      At(samples, R"(postern_backend_bytes_total{backend="mail1",pool="mail",direction="from"})"),
      1099511627776.0);
  EXPECT_EQ(At(samples, R"(postern_loop_turns_total{worker="0"})"), 0);
  EXPECT_EQ(At(samples, R"(postern_loop_turns_total{worker="1"})"), 12);
}

TEST_F(CollectorTest, TellsWhatTheServerKnows) {
  facts_.io = "epoll";
  facts_.config_generation = 4;
  facts_.reloads_ok = 3;
  facts_.reloads_failed = 2;
  facts_.last_reload_unix_seconds = 1.7e9;
  facts_.draining = true;
  facts_.log_lines_dropped = 8;
  facts_.insecure_upstreams = 1;
  facts_.certificates.push_back({"/etc/postern/tls/\"odd\"\\name.pem", 1.8e9});
  const std::string text = collector_.Collect();
  const Samples samples = Parse(text);
  EXPECT_EQ(At(samples, R"(postern_io_info{io="epoll"})"), 1);
  EXPECT_EQ(At(samples, "postern_config_generation"), 4);
  EXPECT_EQ(At(samples, R"(postern_config_reloads_total{result="ok"})"), 3);
  EXPECT_EQ(At(samples, R"(postern_config_reloads_total{result="error"})"), 2);
  EXPECT_EQ(At(samples, "postern_config_last_reload_timestamp_seconds"), 1.7e9);
  EXPECT_EQ(At(samples, "postern_draining"), 1);
  EXPECT_EQ(At(samples, "postern_log_lines_dropped_total"), 8);
  EXPECT_EQ(At(samples, "postern_insecure_upstreams"), 1);
  EXPECT_EQ(At(samples,
               "postern_certificate_expiry_timestamp_seconds{certificate=\"/etc/postern/"
               "tls/\\\"odd\\\"\\\\name.pem\"}"),
            1.8e9);
  EXPECT_THAT(text, HasSubstr("postern_build_info{version=\"1.2.3\",compiler=\""));
  EXPECT_THAT(text, HasSubstr("openssl=\"OpenSSL 3.0.0\"} 1"));
  EXPECT_GT(At(samples, "process_resident_memory_bytes"), 1e6);
  EXPECT_GE(At(samples, "process_open_fds"), 3);
  EXPECT_GE(At(samples, "process_cpu_seconds_total"), 0);
  EXPECT_GT(At(samples, "process_start_time_seconds"), 1.5e9);
}

TEST_F(CollectorTest, SeriesAppearAsPromised) {
  AddListener("pop3s");
  AddBackend("mail1", "mail");
  std::string text = collector_.Collect();
  // All results, zeros included; reasons, verbs and histograms not before they are counted.
  for (const char* result : {"accepted", "refused", "unknown_user", "unavailable", "limited"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("pool=\"mail\",result=\"", result, "\"} 0")));
  }
  EXPECT_THAT(text, Not(HasSubstr("reason=")));
  EXPECT_THAT(text, Not(HasSubstr("verb=")));
  EXPECT_THAT(text, Not(HasSubstr("_bucket")));
  EXPECT_THAT(text, Not(HasSubstr("# TYPE postern_backend_errors_total")));
  workers_[0].backend(0).errors[0].Add();
  workers_[0].backend(0).connect_seconds.Record(kMillisecond);
  text = collector_.Collect();
  EXPECT_THAT(text, HasSubstr("# TYPE postern_backend_errors_total counter"));
  EXPECT_THAT(text, HasSubstr("# TYPE postern_backend_connect_seconds histogram"));
}

TEST_F(CollectorTest, HistogramsAreCumulative) {
  const size_t mail1 = AddBackend("mail1", "mail");
  LatencyHistogram& first = workers_[0].backend(mail1).login_seconds;
  LatencyHistogram& second = workers_[1].backend(mail1).login_seconds;
  first.Record(kMillisecond);
  second.Record(kMillisecond);
  second.Record(40 * kMillisecond);
  first.Record(120 * kSecond);
  const Samples samples = Parse(collector_.Collect());
  const std::string labels = R"(backend="mail1",pool="mail")";
  const auto bucket = [&](const char* bound) {
    return At(samples, absl::StrCat("postern_backend_login_seconds_bucket{", labels, ",le=\"",
                                    bound, "\"}"));
  };
  EXPECT_EQ(bucket("0.0005"), 0);
  EXPECT_EQ(bucket("0.001"), 2);
  EXPECT_EQ(bucket("0.025"), 2);
  EXPECT_EQ(bucket("0.05"), 3);
  EXPECT_EQ(bucket("60"), 3);
  EXPECT_EQ(bucket("+Inf"), 4);
  EXPECT_EQ(At(samples, absl::StrCat("postern_backend_login_seconds_count{", labels, "}")), 4);
  EXPECT_DOUBLE_EQ(At(samples, absl::StrCat("postern_backend_login_seconds_sum{", labels, "}")),
                   120.042);
}

TEST_F(CollectorTest, RemovedBackendStaysWhileItCounted) {
  const size_t kept = AddBackend("kept", "mail");
  const size_t busy = AddBackend("busy", "mail");
  AddBackend("never_used", "mail");
  workers_[0].backend(busy).connects.Add();
  workers_[0].backend(busy).sessions_active.Add(1);
  backends_ = {kept};
  Apply();
  const std::string text = collector_.Collect();
  EXPECT_THAT(text, HasSubstr(R"(postern_backend_sessions{backend="busy",pool="mail"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(postern_backend_sessions{backend="kept",pool="mail"} 0)"));
  EXPECT_THAT(text, Not(HasSubstr("never_used")));
  const StatusSummary summary = collector_.Summary();
  ASSERT_EQ(summary.backends.size(), 2u);
  EXPECT_TRUE(summary.backends[0].active);
  EXPECT_FALSE(summary.backends[1].active);
}

// A name the workers do not know yet (a reload in progress) counts nothing and breaks nothing.
TEST_F(CollectorTest, NameBeforeGrow) {
  const size_t id = registry_.BackendId("new", "mail").value();
  registry_.SetActive({}, {id});
  EXPECT_THAT(collector_.Collect(),
              HasSubstr(R"(postern_backend_connects_total{backend="new",pool="mail"} 0)"));
}

TEST_F(CollectorTest, SummaryHasMeans) {
  const size_t mail1 = AddBackend("mail1", "mail");
  workers_[0].backend(mail1).connect_seconds.Record(10 * kMillisecond);
  workers_[1].backend(mail1).connect_seconds.Record(30 * kMillisecond);
  const StatusSummary summary = collector_.Summary();
  EXPECT_EQ(summary.workers, 2u);
  EXPECT_GE(summary.uptime_seconds, 0);
  ASSERT_EQ(summary.backends.size(), 1u);
  EXPECT_DOUBLE_EQ(summary.backends[0].totals.connect.MeanSeconds(), 0.02);
  EXPECT_EQ(summary.backends[0].totals.login.MeanSeconds(), 0);
}

// Workers count while somebody scrapes without pause: sums never go back, buckets always add up.
// TSan is the judge of the rest.
TEST_F(CollectorTest, ScrapesWhileWorkersCount) {
  const size_t pop3s = AddListener("pop3s");
  const size_t mail1 = AddBackend("mail1", "mail");
  constexpr uint64_t kSessions = 5000;
  std::atomic<int> finished{0};
  const auto count = [&](WorkerStats& worker) {
    for (uint64_t i = 0; i < kSessions; ++i) {
      worker.listener(pop3s).connections.Add();
      worker.listener(pop3s).sessions_active.Add(1);
      worker.backend(mail1).connect_seconds.Record(static_cast<DurationNs>(i) * kMicrosecond);
      worker.listener(pop3s).sessions_active.Add(-1);
      worker.loop().turns.Add();
    }
    finished.fetch_add(1);
  };
  std::thread first(count, std::ref(workers_[0]));
  std::thread second(count, std::ref(workers_[1]));
  double last = 0;
  bool more = true;
  while (more) {
    more = finished.load() < 2;  // one whole scrape after the last add
    const Samples samples = Parse(collector_.Collect());
    const double now = At(samples, R"(postern_listener_connections_total{listener="pop3s"})");
    EXPECT_GE(now, last);
    last = now;
    EXPECT_GE(At(samples, R"(postern_listener_sessions{listener="pop3s"})"), 0);
    const auto total = samples.find(
        R"(postern_backend_connect_seconds_bucket{backend="mail1",pool="mail",le="+Inf"})");
    if (total != samples.end()) {
      EXPECT_EQ(
          total->second,
          At(samples, R"(postern_backend_connect_seconds_count{backend="mail1",pool="mail"})"));
    }
  }
  first.join();
  second.join();
  const Samples samples = Parse(collector_.Collect());
  EXPECT_EQ(At(samples, R"(postern_listener_connections_total{listener="pop3s"})"), 2 * kSessions);
  EXPECT_EQ(At(samples, R"(postern_listener_sessions{listener="pop3s"})"), 0);
  EXPECT_EQ(At(samples, R"(postern_backend_connect_seconds_count{backend="mail1",pool="mail"})"),
            2 * kSessions);
}

TEST_F(CollectorTest, PolicyService) {
  LookupFacts asker;
  asker.name = "allow";
  asker.answers = {1, 2, 3, 4};
  asker.queue_full = 5;
  asker.breaker = 6;
  asker.timed_out = 7;
  asker.queued = 8;
  asker.in_flight = 9;
  asker.breaker_open = true;
  asker.seconds.buckets[0] = 2;
  asker.seconds.sum_seconds = 0.0005;
  facts_.policy.push_back(asker);
  const std::string text = collector_.Collect();
  for (const char* line : {
           R"(requests_total{command="allow",result="answered"} 1)",
           R"(requests_total{command="allow",result="failed"} 3)",
           R"(requests_total{command="allow",result="refused"} 4)",
           R"(dropped_total{command="allow",reason="queue_full"} 5)",
           R"(dropped_total{command="allow",reason="breaker"} 6)",
           R"(dropped_total{command="allow",reason="timeout"} 7)",
           R"(queued{command="allow"} 8)",
           R"(in_flight{command="allow"} 9)",
           R"(breaker_open{command="allow"} 1)",
           R"(seconds_count{command="allow"} 2)",
       }) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\npostern_policy_", line, "\n")));
  }
}

TEST_F(CollectorTest, Lookups) {
  LookupFacts lookup;
  lookup.name = "auth";
  lookup.answers = {1, 2, 3, 4, 15};
  lookup.hits = 5;
  lookup.misses = 6;
  lookup.stale = 7;
  lookup.coalesced = 8;
  lookup.evictions = 9;
  lookup.queue_full = 10;
  lookup.breaker = 11;
  lookup.timed_out = 12;
  lookup.waiting = 13;
  lookup.queued = 14;
  lookup.in_flight = 15;
  lookup.entries = 16;
  lookup.breaker_open = true;
  lookup.seconds.buckets[0] = 2;
  lookup.seconds.sum_seconds = 0.0005;
  facts_.lookups.push_back(lookup);
  const std::string text = collector_.Collect();
  for (const char* line : {
           R"(questions_total{lookup="auth",result="found"} 1)",
           R"(questions_total{lookup="auth",result="unknown"} 2)",
           R"(questions_total{lookup="auth",result="temporary"} 3)",
           R"(questions_total{lookup="auth",result="forbidden"} 4)",
           R"(questions_total{lookup="auth",result="wait"} 15)",
           R"(cache_total{lookup="auth",result="hit"} 5)",
           R"(cache_total{lookup="auth",result="miss"} 6)",
           R"(cache_total{lookup="auth",result="stale"} 7)",
           R"(cache_total{lookup="auth",result="coalesced"} 8)",
           R"(cache_evictions_total{lookup="auth"} 9)",
           R"(rejected_total{lookup="auth",reason="queue_full"} 10)",
           R"(rejected_total{lookup="auth",reason="breaker"} 11)",
           R"(rejected_total{lookup="auth",reason="timeout"} 12)",
           R"(waiting{lookup="auth"} 13)",
           R"(queued{lookup="auth"} 14)",
           R"(in_flight{lookup="auth"} 15)",
           R"(cache_entries{lookup="auth"} 16)",
           R"(breaker_open{lookup="auth"} 1)",
           R"(seconds_count{lookup="auth"} 2)",
       }) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\npostern_lookup_", line, "\n")));
  }
}

// Everything non-zero once: each metric of the table appears, with its type, and promtool agrees.
TEST_F(CollectorTest, EveryMetricOfTheTableIsExported) {
  const size_t pop3s = AddListener("pop3s");
  const size_t mail1 = AddBackend("mail1", "mail");
  ListenerStats& listener = workers_[0].listener(pop3s);
  BackendStats& backend = workers_[0].backend(mail1);
  for (Counter& counter : listener.closed) counter.Add();
  for (Counter& counter : listener.tls_versions) counter.Add();
  for (Counter& counter : listener.tls_ciphers) counter.Add();
  for (Counter& counter : listener.guard_refusals) counter.Add();
  listener.handshake_seconds.Record(kMillisecond);
  listener.login_seconds.Record(kSecond);
  for (Counter& counter : backend.errors) counter.Add();
  for (Counter& counter : backend.closed) counter.Add();
  for (Counter& counter : backend.commands) counter.Add();
  backend.connect_seconds.Record(kMillisecond);
  backend.greeting_seconds.Record(kMillisecond);
  backend.login_seconds.Record(kMillisecond);
  backend.queue_seconds.Record(kMillisecond);
  for (Counter& counter : backend.in_use) counter.Add();
  backend.in_use_seconds.Record(kMillisecond);
  facts_.certificates.push_back({"mail.pem", 1.8e9});
  facts_.io = "uring";
  BackendHealth health;
  health.name = "mail1";
  health.pool = "mail";
  health.ejections_by = {{"failures", 1}, {"slow_login", 2}};
  facts_.backends.push_back(health);
  facts_.pools.push_back(PoolHealth{"mail", 1, 1, false, 1, 10});
  facts_.guard.tables.push_back({"failures", 1, 2, 32, 3});
  facts_.guard.lists.push_back({"deny", 4});
  LookupFacts lookup;
  lookup.name = "auth";
  lookup.seconds.buckets[3] = 1;
  lookup.seconds.sum_seconds = 0.004;
  facts_.lookups.push_back(lookup);
  lookup.name = "allow";
  facts_.policy.push_back(lookup);
  const std::string text = collector_.Collect();
  EXPECT_THAT(text,
              HasSubstr(R"(ejections_total{backend="mail1",pool="mail",reason="slow_login"} 2)"));
  for (const MetricInfo& metric : kMetrics) {
    if (metric.id == MetricId::kProcessMaxFds) continue;  // absent when unlimited
    EXPECT_THAT(text, HasSubstr(absl::StrCat("# TYPE ", metric.name, " ",
                                             MetricKindName(metric.kind), "\n")));
    EXPECT_THAT(text, HasSubstr(absl::StrCat("# HELP ", metric.name, " ")));
  }
  if (!HavePromtool()) GTEST_SKIP() << "promtool (package prometheus) is not installed";
  const CommandResult result = RunPromtool("check metrics", text);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "");
}

TEST_F(CollectorTest, ThousandBackendsStayAffordable) {
  constexpr size_t kBackends = 1000;
  for (size_t i = 0; i < kBackends; ++i) {
    backends_.push_back(registry_.BackendId(absl::StrCat("mail", i), "mail").value());
  }
  Apply();
  const std::string idle = collector_.Collect();
  const auto lines = [](const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  };
  EXPECT_LT(lines(idle), kBackends * 13 + 200);
  EXPECT_LT(idle.size(), kBackends * 1000 + 20000);
  // The usual traffic of a good day on each.
  for (size_t i = 0; i < kBackends; ++i) {
    BackendStats& backend = workers_[i % 2].backend(i);
    backend.connects.Add();
    backend.connect_seconds.Record(kMillisecond);
    backend.greeting_seconds.Record(kMillisecond);
    backend.login_seconds.Record(kMillisecond);
    backend.closed[static_cast<size_t>(CloseReason::kQuit)].Add();
    for (Counter& counter : backend.commands) counter.Add();
  }
  const std::string busy = collector_.Collect();
  EXPECT_LT(lines(busy), kBackends * 85 + 200);
  EXPECT_LT(busy.size(), kBackends * 8000);
}

}  // namespace
}  // namespace postern::metrics
