// Where each backend can be reached right now. The resolver thread writes, workers read; a worker
// never waits for a name.
#ifndef POSTERN_PROXY_ADDRESS_BOOK_H_
#define POSTERN_PROXY_ADDRESS_BOOK_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "proxy/base/check.h"
#include "proxy/base/socket_address.h"

namespace postern {

using AddressList = std::shared_ptr<const std::vector<SocketAddress>>;

// Thread-safe. The lock is held for a pointer copy only.
class AddressBook {
 public:
  explicit AddressBook(size_t backends) : entries_(backends) {}

  // Null while nothing is known yet.
  AddressList Get(size_t backend) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    CHECK(backend < entries_.size());
    return entries_[backend];
  }
  void Set(size_t backend, AddressList addresses) {
    const std::lock_guard<std::mutex> lock(mutex_);
    CHECK(backend < entries_.size());
    entries_[backend] = std::move(addresses);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<AddressList> entries_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_ADDRESS_BOOK_H_
