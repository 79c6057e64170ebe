// The dashboard and the alert rules name metrics, labels and label values that exist.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "metrics/names.h"
#include "metrics/worker_stats.h"
#include "tests/metrics/promtool.h"

namespace postern::metrics {
namespace {

using Json = nlohmann::json;

constexpr char kDeploy[] = POSTERN_SOURCE_DIR "/deploy/";
constexpr char kTests[] = POSTERN_SOURCE_DIR "/tests/metrics/";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const MetricInfo* FindMetric(absl::string_view name) {
  for (const MetricInfo& metric : kMetrics) {
    if (metric.name == name) return &metric;
    if (metric.kind != MetricKind::kHistogram) continue;
    for (absl::string_view suffix : {"_bucket", "_sum", "_count"}) {
      absl::string_view base = name;
      if (absl::ConsumeSuffix(&base, suffix) && base == metric.name) return &metric;
    }
  }
  return nullptr;
}

std::set<std::string> ValuesOf(const std::string& label) {
  std::set<std::string> values;
  const auto add = [&values](int count, auto name_of) {
    for (int i = 0; i < count; ++i) values.emplace(name_of(i));
  };
  if (label == "result") {
    values = {"ok", "error"};
    add(kLoginResultCount, [](int i) { return LoginResultName(static_cast<LoginResult>(i)); });
  } else if (label == "reason") {
    add(kUpstreamErrorCount,
        [](int i) { return UpstreamErrorName(static_cast<UpstreamError>(i)); });
    add(kGuardRefusalCount, [](int i) { return GuardRefusalName(static_cast<GuardRefusal>(i)); });
    add(kCloseReasonCount, [](int i) { return CloseReasonName(static_cast<CloseReason>(i)); });
  } else if (label == "direction") {
    values = {"in", "out", "to", "from"};
  } else if (label == "verb") {
    add(kRelayVerbCount, [](int i) { return RelayVerbName(static_cast<RelayVerb>(i)); });
  }
  return values;
}

// Prometheus adds these to every series of a scrape.
bool IsScrapeLabel(const std::string& label) {
  return label == "instance" || label == "job" || label == "le";
}

bool HasLabel(const MetricInfo& metric, const std::string& label) {
  for (absl::string_view own : metric.labels) {
    if (own == label) return true;
  }
  return IsScrapeLabel(label);
}

// Holds one PromQL expression against the table; adds the metrics it uses to `used`.
void CheckExpression(const std::string& expression, std::set<std::string>& used) {
  SCOPED_TRACE(expression);
  static const std::regex kSelector(R"(\b((?:postern|process)_[a-z_]+)\b(?:\{([^}]*)\})?)");
  static const std::regex kMatcher(R"rx(([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)")rx");
  static const std::regex kGrouping(R"(\bby\s*\(([^)]*)\))");
  static const std::regex kWord(R"([a-z_]+)");
  std::set<std::string> labels_of_expression;
  for (std::sregex_iterator i(expression.begin(), expression.end(), kSelector), end; i != end;
       ++i) {
    const std::string name = (*i)[1];
    const MetricInfo* metric = FindMetric(name);
    ASSERT_NE(metric, nullptr) << name << " is not in metrics/names.h";
    if (metric->kind == MetricKind::kHistogram) {
      EXPECT_NE(metric->name, name) << "a histogram is used by _bucket, _sum or _count";
    }
    used.emplace(metric->name);
    for (absl::string_view label : metric->labels) labels_of_expression.emplace(label);
    const std::string matchers = (*i)[2];
    for (std::sregex_iterator m(matchers.begin(), matchers.end(), kMatcher); m != end; ++m) {
      const std::string label = (*m)[1];
      const std::string value = (*m)[3];
      EXPECT_TRUE(HasLabel(*metric, label)) << name << " has no label " << label;
      const std::set<std::string> values = ValuesOf(label);
      // A plain list of words; other patterns have a variable in them.
      static const std::regex kWords("[a-z_]+([|][a-z_]+)*");
      const bool words = (*m)[2] == "=" || std::regex_match(value, kWords);
      if (values.empty() || !words) continue;
      for (const absl::string_view word : absl::StrSplit(value, '|')) {
        EXPECT_TRUE(values.count(std::string(word)))
            << label << "=\"" << word << "\" never happens";
      }
    }
  }
  for (std::sregex_iterator g(expression.begin(), expression.end(), kGrouping), end; g != end;
       ++g) {
    const std::string list = (*g)[1];
    for (std::sregex_iterator w(list.begin(), list.end(), kWord); w != end; ++w) {
      const std::string label = (*w)[0];
      EXPECT_TRUE(labels_of_expression.count(label) || IsScrapeLabel(label)) << "by " << label;
    }
  }
}

std::set<std::string> CheckDashboard() {
  const Json dashboard =
      Json::parse(ReadFile(absl::StrCat(kDeploy, "grafana/postern-dashboard.json")));
  std::set<std::string> used;
  for (const Json& panel : dashboard["panels"]) {
    if (panel["type"] == "row") continue;
    EXPECT_FALSE(panel["targets"].empty()) << panel["title"];
    for (const Json& target : panel["targets"]) CheckExpression(target["expr"], used);
  }
  for (const Json& variable : dashboard["templating"]["list"]) {
    if (variable["type"] == "query") CheckExpression(variable["definition"], used);
  }
  for (const Json& annotation : dashboard["annotations"]["list"]) {
    CheckExpression(annotation["expr"], used);
  }
  return used;
}

TEST(Dashboard, UsesMetricsThatExist) { EXPECT_GT(CheckDashboard().size(), 20u); }

TEST(Dashboard, ShowsEveryMetric) {
  std::set<std::string> used = CheckDashboard();
  // Shown by every dashboard of the machine, not by this one.
  used.insert("process_start_time_seconds");
  // Never changes while the process runs.
  used.insert("postern_workers");
  for (const MetricInfo& metric : kMetrics) {
    EXPECT_TRUE(used.count(std::string(metric.name))) << metric.name;
  }
}

// A metric with a row of its own is shown there, and no row is empty.
TEST(Dashboard, PanelsStandInTheirRows) {
  const Json dashboard =
      Json::parse(ReadFile(absl::StrCat(kDeploy, "grafana/postern-dashboard.json")));
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"postern_pool_waiting_logins", "Weights, and who waits"},
      {"postern_backend_queue_", "Weights, and who waits"},
      {"postern_backend_weight", "Weights, and who waits"},
      {"postern_listener_guard_", "Guard"},
      {"postern_guard_", "Guard"},
      {"postern_lookup_", "Lookups"},
      {"postern_held_", "Users on hold and moved"},
      {"postern_holds", "Users on hold and moved"},
      {"postern_moved_", "Users on hold and moved"},
      {"postern_listener_tls_", "TLS"},
      {"postern_loop_", "Process"},
  };
  std::vector<const Json*> panels;
  for (const Json& panel : dashboard["panels"]) panels.push_back(&panel);
  const auto place_of = [](const Json* panel) {
    const Json& place = (*panel)["gridPos"];
    return std::pair(place["y"].get<int>(), place["x"].get<int>());
  };
  std::sort(panels.begin(), panels.end(),
            [&](const Json* a, const Json* b) { return place_of(a) < place_of(b); });
  std::string row;
  std::map<std::string, int> panels_of_row;
  std::set<std::string> rows_used;
  for (const Json* panel : panels) {
    if ((*panel)["type"] == "row") {
      row = (*panel)["title"].get<std::string>();
      EXPECT_TRUE(panels_of_row.emplace(row, 0).second) << row << " stands twice";
      continue;
    }
    ++panels_of_row[row];
    std::set<std::string> used;
    for (const Json& target : (*panel)["targets"]) CheckExpression(target["expr"], used);
    for (const std::string& metric : used) {
      for (const auto& [prefix, its_row] : rows) {
        if (!absl::StartsWith(metric, prefix)) continue;
        EXPECT_EQ(row, its_row) << metric << " in " << (*panel)["title"];
        rows_used.insert(prefix);
      }
    }
  }
  EXPECT_EQ(rows_used.size(), rows.size());
  for (const auto& [title, count] : panels_of_row) EXPECT_GT(count, 0) << title;
}

TEST(Dashboard, PanelsDoNotOverlap) {
  const Json dashboard =
      Json::parse(ReadFile(absl::StrCat(kDeploy, "grafana/postern-dashboard.json")));
  std::set<int> ids;
  std::set<std::pair<int, int>> taken;
  for (const Json& panel : dashboard["panels"]) {
    EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second) << panel["title"];
    const Json& place = panel["gridPos"];
    const int right = place["x"].get<int>() + place["w"].get<int>();
    EXPECT_LE(right, 24) << panel["title"];
    for (int x = place["x"]; x < right; ++x) {
      for (int y = place["y"]; y < place["y"].get<int>() + place["h"].get<int>(); ++y) {
        EXPECT_TRUE(taken.emplace(x, y).second) << panel["title"];
      }
    }
  }
}

TEST(Dashboard, VariablesInUseAreDefined) {
  const std::string text = ReadFile(absl::StrCat(kDeploy, "grafana/postern-dashboard.json"));
  const Json dashboard = Json::parse(text);
  std::set<std::string> defined = {"__rate_interval", "__all"};
  for (const Json& variable : dashboard["templating"]["list"]) {
    defined.insert(variable["name"].get<std::string>());
  }
  const std::regex use(R"(\$\{?([a-zA-Z_]+))");
  for (std::sregex_iterator i(text.begin(), text.end(), use), end; i != end; ++i) {
    EXPECT_TRUE(defined.count((*i)[1].str())) << (*i)[0].str();
  }
}

TEST(Alerts, UseMetricsThatExist) {
  const std::string text = ReadFile(absl::StrCat(kDeploy, "prometheus/alerts.yml"));
  // From "expr:" to the next key of the rule.
  const std::regex rule(R"(\n {8}expr:([^]*?)\n {8}(?:for|labels):)");
  std::set<std::string> used;
  size_t rules = 0;
  for (std::sregex_iterator i(text.begin(), text.end(), rule), end; i != end; ++i, ++rules) {
    CheckExpression((*i)[1], used);
  }
  EXPECT_GE(rules, 8u);
  for (const char* name : {"postern_backend_errors_total", "postern_listener_logins_total",
                           "postern_certificate_expiry_timestamp_seconds",
                           "postern_config_reloads_total", "postern_log_lines_dropped_total"}) {
    EXPECT_TRUE(used.count(name)) << name;
  }
}

class Promtool : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HavePromtool()) GTEST_SKIP() << "promtool (package prometheus) is not installed";
  }
  static void ExpectGood(const std::string& arguments) {
    const CommandResult result = RunPromtool(arguments, "");
    EXPECT_EQ(result.exit_code, 0) << result.output;
  }
};

TEST_F(Promtool, AcceptsTheRules) {
  ExpectGood(absl::StrCat("check rules '", kDeploy, "prometheus/alerts.yml'"));
}

TEST_F(Promtool, AcceptsTheScrapeConfiguration) {
  ExpectGood(absl::StrCat("check config '", kDeploy, "prometheus/scrape.yml'"));
}

// Made-up series, and which alerts they must and must not raise.
TEST_F(Promtool, RulesFireWhenTheyShould) {
  ExpectGood(absl::StrCat("test rules '", kTests, "alerts_test.yml'"));
}

}  // namespace
}  // namespace postern::metrics
