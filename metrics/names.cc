#include "metrics/names.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace postern::metrics {

absl::string_view MetricKindName(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return "counter";
    case MetricKind::kGauge:
      return "gauge";
    case MetricKind::kHistogram:
      return "histogram";
  }
  return "unknown";
}

std::string MetricsTable() {
  std::string table = "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n";
  for (const MetricInfo& metric : kMetrics) {
    std::string labels;
    for (absl::string_view label : metric.labels) {
      if (!label.empty()) absl::StrAppend(&labels, labels.empty() ? "" : ", ", "`", label, "`");
    }
    absl::StrAppend(&table, "| `", metric.name, "` | ", MetricKindName(metric.kind), " | ", labels,
                    " | ", metric.help, " |\n");
  }
  return table;
}

}  // namespace postern::metrics
