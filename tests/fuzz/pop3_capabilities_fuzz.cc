// What servers say to CAPA, one after the other: whatever it is, what we promise out of it is a
// good answer and promises no more than each of them does.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/capability.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/common_capabilities.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  std::vector<CapabilityLines> servers;
  std::vector<std::string> names;
  for (const absl::string_view answer : absl::StrSplit(input, '\0')) {
    CapabilityLines lines;
    for (const absl::string_view line : absl::StrSplit(answer, '\n')) {
      if (IsCapabilityText(line)) lines.emplace_back(line);
    }
    servers.push_back(std::move(lines));
    names.push_back("mail" + std::to_string(servers.size()));
    if (servers.size() == 8) break;
  }
  std::vector<const CapabilityLines*> all;
  for (const CapabilityLines& server : servers) all.push_back(&server);

  const CapabilityLines common = CommonCapabilities(all);
  for (const std::string& line : common) {
    const bool numbered =
        absl::StartsWith(line, "EXPIRE ") || absl::StartsWith(line, "LOGIN-DELAY ");
    for (const CapabilityLines& server : servers) {
      bool held = numbered;
      for (const std::string& own : server) held = held || absl::EqualsIgnoreCase(own, line);
      CHECK(held);
    }
  }
  CHECK(DescribeDifferences(std::vector<std::string>(1, "mail1"), {all[0]}).empty());
  CHECK(!HasControlBytes(DescribeDifferences(names, all)));
  for (const CapabilityLines& server : servers) OffersMechanism(server, "SCRAM-SHA-256");
  const std::string reply = CapabilityReply({}, common);
  for (const absl::string_view line : absl::StrSplit(reply, "\r\n")) {
    CHECK(!HasControlBytes(line));
    CHECK(line.size() <= 510);
  }
  CHECK(absl::EndsWith(reply, "\r\n.\r\n"));
  return 0;
}
