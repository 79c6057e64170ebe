// What a backend's agent says of it: one line of words, as agents for HAProxy write it.
//
//   75%                   its weight is worth so much, 0 to 100 per cent
//   ready | drain | maint what its administrator wants: all as usual, no new users, nobody
//   up | down | failed | stopped
//                         whether it serves; behind the last three a "#" and words say why not
//
// Words are separated by blanks, tabs or commas, in any case; a word that is not known is passed
// over, and of two about the same thing the last one counts. Sans-I/O; any bytes are safe.
#ifndef POSTERN_ROUTING_AGENT_REPORT_H_
#define POSTERN_ROUTING_AGENT_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::routing {

// What one line says; what it does not mention stays as it was.
struct AgentReport {
  enum class Wish : uint8_t { kReady, kDrain, kMaintenance };

  std::optional<int> percent;  // 0 to 100
  std::optional<Wish> wish;
  std::optional<bool> up;
  std::string reason;  // why it is not up; escaped

  bool empty() const { return !percent.has_value() && !wish.has_value() && !up.has_value(); }
};

// A line may end here or in a line end; longer ones are cut.
inline constexpr size_t kAgentLineBytesMax = 512;

AgentReport ParseAgentLine(absl::string_view line);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_AGENT_REPORT_H_
