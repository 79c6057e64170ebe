// Lists of addresses: whatever the bytes, a set or mistakes with their places; and the set agrees
// with a plain look at each network of the list.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/base/ip_network.h"
#include "proxy/guard/address_file.h"

namespace postern::guard {
namespace {

void CheckList(absl::string_view text) {
  AddressSet set;
  const absl::Status status = ParseAddressList(text, "list", &set);
  set.Finish();
  CHECK(status.ok() || absl::StartsWith(status.message(), "list:"));
  for (const char c : status.message()) CHECK(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  std::vector<IpNetwork> networks;
  std::vector<SocketAddress> addresses;
  for (const absl::string_view word : absl::StrSplit(text, absl::ByAnyChar("\n\r\t #"))) {
    if (networks.size() == 100) return;
    // More than the list holds, where a comment does: then what is in the set must still be here.
    const absl::StatusOr<IpNetwork> network = IpNetwork::Parse(word);
    if (network.ok()) networks.push_back(*network);
    const absl::StatusOr<SocketAddress> address =
        SocketAddress::FromIp(word.substr(0, word.find('/')), 0);
    if (address.ok()) addresses.push_back(*address);
  }
  const bool plain = status.ok() && !absl::StrContains(text, '#');
  for (const SocketAddress& address : addresses) {
    const bool in_a_network = ContainsAddress(networks, address);
    CHECK(plain ? set.Contains(address) == in_a_network : !set.Contains(address) || in_a_network);
  }
}

}  // namespace
}  // namespace postern::guard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  postern::guard::CheckList(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
