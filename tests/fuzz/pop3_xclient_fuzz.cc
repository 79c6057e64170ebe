// XCLIENT: whatever a neighbour says, what is taken from it can be said on in one line, and reads
// the same.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/base/dns_name.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/xclient.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;
  const absl::string_view argument(reinterpret_cast<const char*>(data), size);
  // The dialogue refuses longer lines and control bytes before anybody reads them.
  if (size >= kXclientBytesMax || HasControlBytes(argument)) return 0;
  const std::optional<XclientFacts> facts = ReadXclient(argument);
  if (!facts.has_value()) return 0;
  CHECK(facts->session.empty() || IsSessionName(facts->session));
  CHECK(facts->server_name.empty() || postern::IsDnsName(facts->server_name));
  CHECK(!facts->client.is_unix() && !facts->destination.is_unix());
  if (facts->ttl.has_value()) CHECK(*facts->ttl >= 0 && *facts->ttl <= kTtlMax);

  ClientIdentity identity;
  identity.client = facts->client;
  identity.destination = facts->destination;
  identity.server_name = facts->server_name;
  identity.tls = facts->tls.value_or(false);
  identity.ttl = facts->ttl.value_or(kTtlMax) + 1;
  identity.forward = facts->forward;
  const std::string session = facts->session.empty() ? "s" : facts->session;
  const std::string line = WriteXclient(identity, session);
  CHECK(line.size() < kXclientBytesMax && absl::EndsWith(line, "\r\n"));
  const absl::string_view said = absl::string_view(line).substr(0, line.size() - 2);
  CHECK(!HasControlBytes(said) && absl::StartsWith(said, "XCLIENT "));
  const std::optional<XclientFacts> again = ReadXclient(said.substr(8));
  CHECK(again.has_value());
  CHECK(again->client == facts->client && again->destination == facts->destination);
  CHECK(again->session == session && again->server_name == facts->server_name);
  CHECK(again->tls == identity.tls && again->ttl == identity.ttl - 1);
  // What does not fit in one line is cut.
  CHECK(again->forward.size() <= facts->forward.size());
  return 0;
}
