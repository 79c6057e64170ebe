#include "proxy/guard_facts.h"

#include <utility>

#include "proxy/guard/address_lists.h"

namespace postern {

void DescribeGuard(const Snapshot& snapshot, metrics::ServerFacts* facts) {
  facts->guard = metrics::GuardFacts();
  if (snapshot.guard == nullptr) return;
  for (const guard::TableReport& report : snapshot.guard->Report()) {
    metrics::GuardFacts::Table table;
    table.name = report.name;
    table.entries = report.used;
    table.capacity = report.capacity;
    table.bytes = report.bytes;
    table.evictions = report.evictions;
    facts->guard.tables.push_back(std::move(table));
  }
  if (snapshot.address_lists == nullptr) return;
  facts->guard.lists.push_back({"allow", snapshot.address_lists->allow.size()});
  facts->guard.lists.push_back({"deny", snapshot.address_lists->deny.size()});
}

}  // namespace postern
