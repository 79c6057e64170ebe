// The small languages inside strings of the configuration: durations, sizes, names, words.
#ifndef POSTERN_PROXY_CONFIG_VALUE_SYNTAX_H_
#define POSTERN_PROXY_CONFIG_VALUE_SYNTAX_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/dns_name.h"
#include "proxy/base/time.h"

namespace postern::config {

// A whole number and a unit, ms, s, m or h: "500ms", "15s", "11m", "1h". No sign, no fraction.
std::optional<DurationNs> ParseDuration(absl::string_view text);
// The shortest text that ParseDuration() reads as `duration`, which is whole milliseconds.
std::string DurationText(DurationNs duration);

// A whole number and a unit, B, KiB or MiB: "512B", "16KiB", "1MiB".
std::optional<int64_t> ParseByteSize(absl::string_view text);

using postern::IsDnsName;

// What may stand behind the @ of a login name. Mail systems put more there than DNS names, so only
// what could not be one domain is refused: nothing, '@', '*', spaces, more than 253 bytes.
bool IsUserDomain(absl::string_view text);

// 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or a digit: names of
// pools and backends, which stand in map files, logs and metric labels.
bool IsEntityName(absl::string_view text);

// Words of printable ASCII with one space between them, as a line of a CAPA answer.
bool IsCapabilityLine(absl::string_view text);

// No byte 0x00-0x1F and no 0x7F.
bool HasNoControlBytes(absl::string_view text);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_VALUE_SYNTAX_H_
