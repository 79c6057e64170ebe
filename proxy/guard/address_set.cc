#include "proxy/guard/address_set.h"

#include <array>

namespace postern::guard {
namespace {

template <typename T>
T NumberOf(const std::array<uint8_t, 16>& bytes) {
  T number = 0;
  for (size_t i = 0; i < sizeof(T); ++i) number = (number << 8) | T(bytes[i]);
  return number;
}

// All ones behind the prefix.
template <typename T>
T Behind(int prefix_bits) {
  return prefix_bits == 0 ? T(~T(0))
                          : T((T(1) << (static_cast<int>(8 * sizeof(T)) - prefix_bits)) - 1);
}

}  // namespace

void AddressSet::Add(const IpNetwork& network) {
  if (network.is_v6()) {
    const auto first = NumberOf<absl::uint128>(network.bytes());
    v6_.Add(first, first | Behind<absl::uint128>(network.prefix_bits()));
  } else {
    const auto first = NumberOf<uint32_t>(network.bytes());
    v4_.Add(first, first | Behind<uint32_t>(network.prefix_bits()));
  }
}

void AddressSet::Finish() {
  v4_.Finish();
  v6_.Finish();
}

bool AddressSet::Contains(const SocketAddress& address) const {
  std::array<uint8_t, 16> bytes{};
  switch (CopyAddress(address, &bytes)) {
    case 4:
      return v4_.Contains(NumberOf<uint32_t>(bytes));
    case 16:
      return v6_.Contains(NumberOf<absl::uint128>(bytes));
    default:
      return false;
  }
}

}  // namespace postern::guard
