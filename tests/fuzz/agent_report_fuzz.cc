// Any line from an agent is safe, says the same with and without what follows its end, and its
// reason can go to a log.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "routing/agent_report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using postern::routing::AgentReport;
  const absl::string_view line(reinterpret_cast<const char*>(data), size);
  const AgentReport report = postern::routing::ParseAgentLine(line);
  CHECK(!report.percent.has_value() || (*report.percent >= 0 && *report.percent <= 100));
  CHECK(report.reason.empty() || report.up == false);
  CHECK(report.reason.size() <= 120 + 3);
  for (const char c : report.reason) {
    const auto byte = static_cast<unsigned char>(c);
    CHECK(byte >= 0x20 && byte != 0x7F);
  }
  const std::string first(line.substr(0, line.find_first_of("\r\n")));
  const AgentReport again =
      postern::routing::ParseAgentLine(absl::StrCat(first, "\nmaint down 3%"));
  if (first.size() >= postern::routing::kAgentLineBytesMax) return 0;
  CHECK(report.percent == again.percent && report.wish == again.wish && report.up == again.up &&
        report.reason == again.reason);
  return 0;
}
