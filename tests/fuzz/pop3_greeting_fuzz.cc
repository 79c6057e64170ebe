// A backend's greeting in the proxy's place: whatever it is, the client gets one clean line, and a
// challenge only as the backend said it and as every client reads it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/relayed_greeting.h"
#include "proxy/pop3/reply.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;
  const absl::string_view line(reinterpret_cast<const char*>(data), size);
  const RelayedGreeting greeting = ReadRelayedGreeting(line);
  CHECK(!postern::pop3::HasControlBytes(greeting.text));
  CHECK(greeting.text.find_first_of("<>") == std::string::npos);
  if (!greeting.challenge.empty()) {
    CHECK(absl::StrContains(line, greeting.challenge));
    CHECK(greeting.challenge.size() <= kRelayedChallengeBytesMax);
    CHECK(FindApopChallenge(line) == greeting.challenge);
    CHECK(std::count(greeting.challenge.begin(), greeting.challenge.end(), '@') == 1);
  }
  for (const absl::string_view front : {"", "[XCLIENT] "}) {
    const std::string said = WriteRelayedGreeting(front, greeting.text, greeting.challenge);
    CHECK(said.size() <= kResponseBytesMax && absl::EndsWith(said, "\r\n"));
    const absl::string_view bare = absl::string_view(said).substr(0, said.size() - 2);
    CHECK(!HasControlBytes(bare) && ParseStatusLine(bare).status == Status::kOk);
    CHECK(FindApopChallenge(bare) == greeting.challenge);
    // Said again, by a proxy in front of this one, it is the same.
    CHECK(ReadRelayedGreeting(bare).challenge == greeting.challenge);
  }
  return 0;
}
