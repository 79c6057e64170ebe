// Where each backend can be reached right now. The resolver thread writes, workers read; a worker
// never waits for a name.
#ifndef POSTERN_PROXY_ADDRESS_BOOK_H_
#define POSTERN_PROXY_ADDRESS_BOOK_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "proxy/base/check.h"
#include "proxy/base/socket_address.h"

namespace postern {

using AddressList = std::shared_ptr<const std::vector<SocketAddress>>;
using AddressOrders = std::vector<AddressList>;

// Thread-safe. The lock is held for a pointer copy only.
class AddressBook {
 public:
  explicit AddressBook(size_t backends) : entries_(backends) {}

  // In the order in which to try them; null while nothing is known yet. Where several orders are
  // known (servers with weights), each call gives the next one.
  AddressList Get(size_t backend) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    CHECK(backend < entries_.size());
    const Entry& entry = entries_[backend];
    return entry.orders.empty() ? nullptr : entry.orders[entry.turn++ % entry.orders.size()];
  }
  void Set(size_t backend, AddressList addresses) {
    SetOrders(backend,
              addresses == nullptr ? AddressOrders() : AddressOrders{std::move(addresses)});
  }
  void SetOrders(size_t backend, AddressOrders orders) {
    const std::lock_guard<std::mutex> lock(mutex_);
    CHECK(backend < entries_.size());
    entries_[backend].orders.swap(orders);
  }

 private:
  struct Entry {
    AddressOrders orders;
    mutable size_t turn = 0;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_ADDRESS_BOOK_H_
