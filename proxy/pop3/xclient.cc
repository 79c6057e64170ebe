#include "proxy/pop3/xclient.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/base/check.h"
#include "proxy/base/dns_name.h"
#include "proxy/pop3/reply.h"

namespace postern::pop3 {
namespace {

// One end as its two keys say it.
struct End {
  absl::string_view ip;
  std::optional<uint16_t> port;
};

bool ReadPort(absl::string_view text, std::optional<uint16_t>* port) {
  uint32_t value = 0;
  if (text.find_first_not_of("0123456789") != absl::string_view::npos) return false;
  if (!absl::SimpleAtoi(text, &value) || value > 65535) return false;
  *port = static_cast<uint16_t>(value);
  return true;
}

bool ReadTtl(absl::string_view text, std::optional<int>* ttl) {
  int value = 0;
  if (text.find_first_not_of("0123456789") != absl::string_view::npos) return false;
  if (!absl::SimpleAtoi(text, &value) || value > kTtlMax) return false;
  *ttl = value;
  return true;
}

// A port alone says nothing.
bool ToAddress(const End& end, SocketAddress* address) {
  if (end.ip.empty()) return true;
  const absl::StatusOr<SocketAddress> parsed = SocketAddress::FromIp(end.ip, end.port.value_or(0));
  if (!parsed.ok()) return false;
  *address = *parsed;
  return true;
}

bool ReadPair(absl::string_view key, absl::string_view value, End* client, End* destination,
              XclientFacts* facts) {
  const auto is = [key](absl::string_view name) { return absl::EqualsIgnoreCase(key, name); };
  if (is("ADDR")) {
    client->ip = value;
    return !value.empty();
  }
  if (is("DESTADDR")) {
    destination->ip = value;
    return !value.empty();
  }
  if (is("PORT")) return ReadPort(value, &client->port);
  if (is("DESTPORT")) return ReadPort(value, &destination->port);
  if (is("TTL")) return ReadTtl(value, &facts->ttl);
  if (is("SESSION") && IsSessionName(value)) facts->session = std::string(value);
  if (is("DESTNAME")) {
    // As Dovecot does: it stands in logs, and chooses backends.
    facts->server_name = std::string(value);
    return IsDnsName(value);
  }
  if (is("FORWARD")) {
    std::optional<ForwardFields> fields = ReadForward(value);
    if (!fields.has_value()) return false;
    facts->forward = *std::move(fields);
  }
  // "TLS", and whatever a later version adds to it; all else is "insecure".
  if (is("CLIENT-TRANSPORT")) facts->tls = absl::StartsWith(value, "TLS");
  return true;
}

}  // namespace

bool AnnouncesXclient(absl::string_view greeting_line) {
  const StatusLine status = ParseStatusLine(greeting_line);
  return status.status == Status::kOk && status.code == "XCLIENT";
}

std::string WriteXclient(const ClientIdentity& identity, absl::string_view session) {
  std::string line = "XCLIENT";
  const auto add_end = [&line](absl::string_view prefix, const SocketAddress& end) {
    if (end.empty() || end.is_unix()) return;
    absl::StrAppend(&line, " ", prefix, "ADDR=", end.IpText(), " ", prefix, "PORT=", end.port());
  };
  add_end("", identity.client);
  absl::StrAppend(&line, " SESSION=", session, " TTL=", identity.ttl - 1,
                  " CLIENT-TRANSPORT=", identity.tls ? "TLS" : "insecure");
  if (!identity.server_name.empty()) absl::StrAppend(&line, " DESTNAME=", identity.server_name);
  add_end("DEST", identity.destination);
  if (!identity.forward.empty()) {
    constexpr absl::string_view kKey = " FORWARD=";
    const size_t used = line.size() + kKey.size() + 2;
    CHECK(used < kXclientBytesMax);
    const std::string forward = WriteForward(identity.forward, kXclientBytesMax - 1 - used);
    if (!forward.empty()) absl::StrAppend(&line, kKey, forward);
  }
  line += "\r\n";
  CHECK(line.size() < kXclientBytesMax);
  return line;
}

std::optional<XclientFacts> ReadXclient(absl::string_view argument) {
  XclientFacts facts;
  End client, destination;
  for (const absl::string_view word : absl::StrSplit(argument, ' ')) {
    const size_t equals = word.find('=');
    if (equals == absl::string_view::npos) return std::nullopt;
    if (!ReadPair(word.substr(0, equals), word.substr(equals + 1), &client, &destination, &facts)) {
      return std::nullopt;
    }
  }
  if (!ToAddress(client, &facts.client) || !ToAddress(destination, &facts.destination)) {
    return std::nullopt;
  }
  return facts;
}

bool IsSessionName(absl::string_view text) {
  return !text.empty() && text.size() <= kSessionBytesMax &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
}

}  // namespace postern::pop3
