// Runs Prometheus' own checker over what we produce, where it is installed.
#ifndef POSTERN_TESTS_METRICS_PROMTOOL_H_
#define POSTERN_TESTS_METRICS_PROMTOOL_H_

#include <string>

#include "absl/strings/string_view.h"

namespace postern::metrics {

struct CommandResult {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

bool HavePromtool();

// `arguments` go through the shell; `input` is its standard input.
CommandResult RunPromtool(const std::string& arguments, absl::string_view input);

}  // namespace postern::metrics

#endif  // POSTERN_TESTS_METRICS_PROMTOOL_H_
