#include "proxy/pop3/command.h"

#include <cstddef>

#include "absl/strings/match.h"

namespace postern::pop3 {
namespace {

struct VerbName {
  absl::string_view name;
  Verb verb;
};

constexpr VerbName kVerbs[] = {
    {"USER", Verb::kUser},        {"PASS", Verb::kPass},        {"APOP", Verb::kApop},
    {"AUTH", Verb::kAuth},        {"CAPA", Verb::kCapa},        {"STLS", Verb::kStls},
    {"NOOP", Verb::kNoop},        {"QUIT", Verb::kQuit},        {"STAT", Verb::kTransaction},
    {"LIST", Verb::kTransaction}, {"RETR", Verb::kTransaction}, {"DELE", Verb::kTransaction},
    {"XCLIENT", Verb::kXclient},  {"RSET", Verb::kTransaction}, {"TOP", Verb::kTransaction},
    {"UIDL", Verb::kTransaction},
};

constexpr absl::string_view kHttpMethods[] = {
    "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH",
};

}  // namespace

Command ParseCommand(absl::string_view line) {
  Command command;
  const size_t space = line.find(' ');
  const absl::string_view word = line.substr(0, space);
  if (space != absl::string_view::npos) command.argument = line.substr(space + 1);
  for (const VerbName& entry : kVerbs) {
    if (absl::EqualsIgnoreCase(word, entry.name)) command.verb = entry.verb;
  }
  return command;
}

bool HasControlBytes(absl::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) return true;
  }
  return false;
}

bool StartsWithHttpMethod(absl::string_view line, bool line_is_whole) {
  const size_t space = line.find(' ');
  if (space == absl::string_view::npos && !line_is_whole) return false;
  const absl::string_view word = line.substr(0, space);
  for (const absl::string_view method : kHttpMethods) {
    // Any case: fetch() sends "patch" as the page spelled it.
    if (absl::EqualsIgnoreCase(word, method)) return true;
  }
  return false;
}

absl::string_view WithoutTrailingSpaces(absl::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace postern::pop3
