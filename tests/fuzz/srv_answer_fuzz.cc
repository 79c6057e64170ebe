// DNS answers with SRV records: whatever the bytes, records that can be used or an error; and their
// orders hold every server once.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/srv_records.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using postern::SrvServer;
  // No DNS message is longer.
  if (size > 65535) return 0;
  const auto records =
      postern::ParseSrvAnswer(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!records.ok()) return 0;
  CHECK(!records->empty() && records->size() <= postern::kSrvRecordsMax);
  std::vector<SrvServer> servers;
  uint16_t lowest = UINT16_MAX;
  for (const auto& record : *records) {
    CHECK(!record.target.empty() && record.port != 0 && record.ttl >= 0);
    lowest = record.priority < lowest ? record.priority : lowest;
    const auto address =
        postern::SocketAddress::FromIp("192.0.2." + std::to_string(servers.size()), record.port);
    servers.push_back({record.priority, record.weight, {*address}});
  }
  for (const auto& order : postern::OrdersOf(servers)) {
    CHECK(order.size() == servers.size());
    bool found = false;
    for (const SrvServer& server : servers) {
      found = found || (server.priority == lowest && server.addresses[0] == order[0]);
    }
    CHECK(found);
  }
  return 0;
}
