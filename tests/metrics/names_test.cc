#include "metrics/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace postern::metrics {
namespace {

using ::testing::HasSubstr;

TEST(MetricNames, FollowThePrometheusRules) {
  std::set<absl::string_view> seen;
  for (const MetricInfo& metric : kMetrics) {
    EXPECT_TRUE(seen.insert(metric.name).second) << metric.name;
    EXPECT_TRUE(absl::StartsWith(metric.name, "postern_") ||
                absl::StartsWith(metric.name, "process_"))
        << metric.name;
    EXPECT_TRUE(std::all_of(metric.name.begin(), metric.name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || c == '_';
    })) << metric.name;
    EXPECT_EQ(absl::EndsWith(metric.name, "_total"), metric.kind == MetricKind::kCounter)
        << metric.name;
    if (metric.kind == MetricKind::kHistogram) {
      EXPECT_TRUE(absl::EndsWith(metric.name, "_seconds")) << metric.name;
    }
    EXPECT_FALSE(metric.help.empty()) << metric.name;
    EXPECT_FALSE(absl::EndsWith(metric.help, ".")) << metric.name;
  }
}

TEST(MetricNames, LabelsAreFromTheAgreedSet) {
  const std::set<absl::string_view> agreed = {
      "version", "compiler", "openssl", "certificate", "listener", "backend",
      "pool",    "result",   "reason",  "direction",   "verb",     "cipher",
      "worker",  "io",       "table",   "list",        "lookup",   "command",
  };
  for (const MetricInfo& metric : kMetrics) {
    bool ended = false;
    std::set<absl::string_view> seen;
    for (absl::string_view label : metric.labels) {
      if (label.empty()) {
        ended = true;
        continue;
      }
      EXPECT_FALSE(ended) << metric.name << ": a hole before " << label;
      EXPECT_TRUE(agreed.count(label)) << metric.name << ": " << label;
      EXPECT_TRUE(seen.insert(label).second) << metric.name << ": " << label;
    }
  }
}

TEST(MetricsTable, HasOneLinePerMetric) {
  const std::string table = MetricsTable();
  const std::vector<std::string> lines = absl::StrSplit(table, '\n');
  ASSERT_EQ(lines.size(), kMetricCount + 3);  // head, rule, and nothing behind the last newline
  EXPECT_EQ(lines.back(), "");
  for (const MetricInfo& metric : kMetrics) {
    EXPECT_THAT(lines[2 + static_cast<size_t>(metric.id)],
                HasSubstr("`" + std::string(metric.name) + "`"));
  }
  EXPECT_THAT(table, HasSubstr("| `postern_backend_errors_total` | counter | `backend`, `pool`, "
                               "`reason` | What went wrong with a backend before"));
  EXPECT_THAT(table, HasSubstr("| `postern_draining` | gauge |  | 1 while"));
}

}  // namespace
}  // namespace postern::metrics
