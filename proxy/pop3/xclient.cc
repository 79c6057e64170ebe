#include "proxy/pop3/xclient.h"

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/pop3/reply.h"

namespace postern::pop3 {

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
  line += "\r\n";
  CHECK(line.size() < kXclientBytesMax);
  return line;
}

}  // namespace postern::pop3
