// A backend's greeting and status lines: whatever it sends, a client gets one clean line.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/reply.h"

namespace postern::pop3 {
namespace {

bool IsInside(absl::string_view part, absl::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckLine(absl::string_view line) {
  const StatusLine parsed = ParseStatusLine(line);
  CHECK(IsInside(parsed.text, line) && IsInside(parsed.code, parsed.text));
  CHECK(parsed.code.find_first_of("[] ") == absl::string_view::npos);
  const absl::string_view challenge = FindApopChallenge(parsed.text);
  CHECK(IsInside(challenge, parsed.text));
  if (!challenge.empty()) {
    CHECK(challenge.front() == '<' && challenge.back() == '>');
    CHECK(absl::StrContains(challenge, '@') && !HasControlBytes(challenge));
    CHECK(!absl::StrContains(challenge, ' '));
  }

  const std::string clean = CleanReply(line);
  CHECK(clean.size() <= kResponseBytesMax);
  CHECK(absl::EndsWith(clean, "\r\n"));
  const absl::string_view text = absl::string_view(clean).substr(0, clean.size() - 2);
  CHECK(!HasControlBytes(text));
  CHECK(absl::StartsWith(text, "+OK") || absl::StartsWith(text, "-ERR"));
  // Clean is clean: nothing is left to change.
  CHECK(CleanReply(text) == clean);
  const bool ok = parsed.status == Status::kOk;
  CHECK(ParseStatusLine(text).status == (ok ? Status::kOk : Status::kErr));
}

}  // namespace
}  // namespace postern::pop3

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view input(reinterpret_cast<const char*>(data), size);
  postern::pop3::CheckLine(input);
  absl::string_view line;
  size_t consumed = 0;
  while (postern::pop3::TakeLine(input, &line, &consumed)) {
    CHECK(consumed > line.size() && consumed <= input.size());
    CHECK(!absl::StrContains(line, '\n'));
    postern::pop3::CheckLine(line);
    input.remove_prefix(consumed);
  }
  CHECK(!absl::StrContains(input, '\n'));
  return 0;
}
