#include "proxy/srv_records.h"

#include <arpa/nameser.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <random>
#include <utility>

#include "absl/status/status.h"

namespace postern {
namespace {

// Priority, weight, port; the target follows.
constexpr size_t kFixedBytes = 6;
constexpr size_t kOrders = 64;

uint16_t Number(const unsigned char* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

// Takes the next server of one priority: with `point` in [0, 1) on the line of their weights. Those
// of weight 0 come when no other is left.
size_t PickByWeight(const std::vector<const SrvServer*>& group, double point) {
  uint64_t total = 0;
  for (const SrvServer* server : group) total += server->weight;
  if (total == 0)
    return std::min(group.size() - 1,
                    static_cast<size_t>(point * static_cast<double>(group.size())));
  auto left = static_cast<uint64_t>(point * static_cast<double>(total));
  for (size_t i = 0; i < group.size(); ++i) {
    if (left < group[i]->weight) return i;
    left -= group[i]->weight;
  }
  return group.size() - 1;
}

}  // namespace

absl::StatusOr<std::vector<SrvRecord>> ParseSrvAnswer(absl::string_view message) {
  ns_msg parsed;
  if (ns_initparse(reinterpret_cast<const unsigned char*>(message.data()),
                   static_cast<int>(message.size()), &parsed) != 0) {
    return absl::InvalidArgumentError("a malformed answer");
  }
  std::vector<SrvRecord> records;
  bool refused = false;
  for (int i = 0; i < ns_msg_count(parsed, ns_s_an) && records.size() < kSrvRecordsMax; ++i) {
    ns_rr entry;
    if (ns_parserr(&parsed, ns_s_an, i, &entry) != 0) {
      return absl::InvalidArgumentError("a malformed answer");
    }
    if (ns_rr_type(entry) != ns_t_srv || ns_rr_class(entry) != ns_c_in) continue;
    if (ns_rr_rdlen(entry) <= kFixedBytes) {
      return absl::InvalidArgumentError("a malformed SRV record");
    }
    const unsigned char* data = ns_rr_rdata(entry);
    std::array<char, NS_MAXDNAME> name;
    if (dn_expand(ns_msg_base(parsed), ns_msg_end(parsed), data + kFixedBytes, name.data(),
                  static_cast<int>(name.size())) < 0) {
      return absl::InvalidArgumentError("a malformed SRV record");
    }
    SrvRecord record;
    record.priority = Number(data);
    record.weight = Number(data + 2);
    record.port = Number(data + 4);
    record.target = name.data();
    record.ttl = static_cast<DurationNs>(ns_rr_ttl(entry)) * kSecond;
    if (record.target.empty() || record.target == "." || record.port == 0) {
      refused = true;
      continue;
    }
    records.push_back(std::move(record));
  }
  if (records.empty()) {
    return absl::NotFoundError(refused ? "the service is not offered" : "no SRV record");
  }
  return records;
}

std::vector<std::vector<SocketAddress>> OrdersOf(std::vector<SrvServer> servers) {
  // Not std::stable_sort: clang calls a part of libstdc++'s deprecated.
  std::map<uint16_t, std::vector<SrvServer>> by_priority;
  for (SrvServer& server : servers) by_priority[server.priority].push_back(std::move(server));
  servers.clear();
  for (auto& [priority, equals] : by_priority) {
    std::move(equals.begin(), equals.end(), std::back_inserter(servers));
  }
  std::vector<std::vector<SocketAddress>> orders;
  for (size_t number = 0; number < kOrders; ++number) {
    std::minstd_rand random(static_cast<unsigned>(number) + 1);
    std::uniform_real_distribution<double> anywhere(0, 1);
    // Neighbours are used one after the other: far apart on the line of weights.
    double point = (static_cast<double>(number * 39 % kOrders) + 0.5) / kOrders;
    std::vector<SocketAddress> order;
    for (auto begin = servers.begin(); begin != servers.end();) {
      const auto end = std::find_if(begin, servers.end(), [&](const SrvServer& server) {
        return server.priority != begin->priority;
      });
      std::vector<const SrvServer*> group;
      for (; begin != end; ++begin) group.push_back(&*begin);
      while (!group.empty()) {
        const size_t pick = PickByWeight(group, point);
        order.insert(order.end(), group[pick]->addresses.begin(), group[pick]->addresses.end());
        group.erase(group.begin() + static_cast<ptrdiff_t>(pick));
        point = anywhere(random);
      }
    }
    orders.push_back(std::move(order));
    if (servers.size() == 1) break;
  }
  return orders;
}

}  // namespace postern
