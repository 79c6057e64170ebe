// The lists of a configuration: who is let in whatever else is said, and who is not.
#ifndef POSTERN_PROXY_GUARD_ADDRESS_LISTS_H_
#define POSTERN_PROXY_GUARD_ADDRESS_LISTS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "proxy/guard/address_set.h"
#include "proxy/guard/options.h"

namespace postern::guard {

// Immutable once loaded; any thread.
struct AddressLists {
  AddressSet allow;
  AddressSet deny;
};

// Errors as LoadAddressFile() has them. The lists are let go of by a thread of their own when they
// are large: their last owner may be a worker.
absl::StatusOr<std::shared_ptr<const AddressLists>> LoadAddressLists(const Options& options);

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_ADDRESS_LISTS_H_
