#include "routing/agent_report.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"

namespace postern::routing {
namespace {

constexpr size_t kReasonBytesMax = 120;

void TakeWord(absl::string_view word, AgentReport* report) {
  const auto is = [word](absl::string_view name) { return absl::EqualsIgnoreCase(word, name); };
  if (is("up")) {
    report->up = true;
  } else if (is("down") || is("failed") || is("stopped")) {
    report->up = false;
  } else if (is("ready")) {
    report->wish = AgentReport::Wish::kReady;
  } else if (is("drain")) {
    report->wish = AgentReport::Wish::kDrain;
  } else if (is("maint")) {
    report->wish = AgentReport::Wish::kMaintenance;
  } else {
    int percent = 0;
    absl::string_view number = word;
    if (!absl::ConsumeSuffix(&number, "%") || number.empty() ||
        !absl::ascii_isdigit(static_cast<unsigned char>(number.front())) ||
        !absl::SimpleAtoi(number, &percent) || percent > 100) {
      return;
    }
    report->percent = percent;
  }
}

}  // namespace

AgentReport ParseAgentLine(absl::string_view line) {
  AgentReport report;
  line = line.substr(0, kAgentLineBytesMax);
  line = line.substr(0, line.find_first_of("\r\n"));
  const size_t comment = line.find('#');
  absl::string_view words = line.substr(0, comment);
  while (!words.empty()) {
    const size_t end = words.find_first_of(" \t,");
    TakeWord(words.substr(0, end), &report);
    words = end == absl::string_view::npos ? absl::string_view() : words.substr(end + 1);
  }
  if (comment != absl::string_view::npos && report.up == false) {
    report.reason =
        EscapeForLog(absl::StripAsciiWhitespace(line.substr(comment + 1)), kReasonBytesMax);
  }
  return report;
}

}  // namespace postern::routing
