// Where each backend can be reached right now. The resolver thread writes, workers read; a worker
// never waits for a name.
#ifndef POSTERN_PROXY_ADDRESS_BOOK_H_
#define POSTERN_PROXY_ADDRESS_BOOK_H_

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/base/own_addresses.h"
#include "proxy/base/socket_address.h"

namespace postern {

using AddressList = std::shared_ptr<const std::vector<SocketAddress>>;
using AddressOrders = std::vector<AddressList>;

// For a backend that has none.
inline absl::string_view WhyNoAddress(const AddressList& addresses) {
  return addresses == nullptr ? "no address for its host name"
                              : "its address is a listener of ours";
}

// Thread-safe. The lock is held for a pointer copy only.
class AddressBook {
 public:
  explicit AddressBook(size_t backends, OwnAddresses own = {})
      : own_(std::move(own)), entries_(backends) {}

  // In the order in which to try them; null while nothing is known yet. Where several orders are
  // known (servers with weights), each call gives the next one.
  AddressList Get(size_t backend) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    CHECK(backend < entries_.size());
    const Entry& entry = entries_[backend];
    return entry.orders.empty() ? nullptr : entry.orders[entry.turn++ % entry.orders.size()];
  }
  // Leaves out whoever leads to ourselves, and returns whether there was one.
  bool Set(size_t backend, AddressList addresses) {
    return SetOrders(backend,
                     addresses == nullptr ? AddressOrders() : AddressOrders{std::move(addresses)});
  }
  bool SetOrders(size_t backend, AddressOrders orders) {
    bool own = false;
    for (AddressList& order : orders) own = LeaveOutOwn(&order) || own;
    const std::lock_guard<std::mutex> lock(mutex_);
    CHECK(backend < entries_.size());
    entries_[backend].orders.swap(orders);
    return own;
  }
  const OwnAddresses& own() const { return own_; }

 private:
  bool LeaveOutOwn(AddressList* order) const {
    const auto ours = [this](const SocketAddress& address) { return own_.Has(address); };
    if (std::none_of((*order)->begin(), (*order)->end(), ours)) return false;
    std::vector<SocketAddress> others;
    std::remove_copy_if((*order)->begin(), (*order)->end(), std::back_inserter(others), ours);
    *order = std::make_shared<const std::vector<SocketAddress>>(std::move(others));
    return true;
  }

  struct Entry {
    AddressOrders orders;
    mutable size_t turn = 0;
  };
  const OwnAddresses own_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_ADDRESS_BOOK_H_
