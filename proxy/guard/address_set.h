// A set of networks, millions of them, for one question: is this address in it?
//
// Networks become sorted ranges that neither meet nor touch. A search looks first among every 64th
// beginning, which stay in the cache, then among 64 neighbours. 8 bytes for each IPv4 range, 32 for
// each IPv6 one.
#ifndef POSTERN_PROXY_GUARD_ADDRESS_SET_H_
#define POSTERN_PROXY_GUARD_ADDRESS_SET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/numeric/int128.h"
#include "proxy/base/ip_network.h"
#include "proxy/base/socket_address.h"

namespace postern::guard {

// T is an unsigned number as wide as the addresses.
template <typename T>
class RangeSet {
 public:
  // Both ends belong to it. In any order, before Finish().
  void Add(T first, T last) { raw_.emplace_back(first, last); }

  void Finish() {
    std::sort(raw_.begin(), raw_.end());
    for (const auto& [first, last] : raw_) {
      // Behind the last address there is none that could touch.
      if (!firsts_.empty() && (lasts_.back() == T(~T(0)) || first <= lasts_.back() + 1)) {
        lasts_.back() = std::max(lasts_.back(), last);
        continue;
      }
      firsts_.push_back(first);
      lasts_.push_back(last);
    }
    firsts_.shrink_to_fit();
    lasts_.shrink_to_fit();
    std::vector<std::pair<T, T>>().swap(raw_);
    for (size_t i = 0; i < firsts_.size(); i += kStride) sample_.push_back(firsts_[i]);
  }

  bool Contains(T address) const {
    const auto block = std::upper_bound(sample_.begin(), sample_.end(), address);
    if (block == sample_.begin()) return false;
    const auto begin =
        firsts_.begin() + (block - sample_.begin() - 1) * static_cast<ptrdiff_t>(kStride);
    const auto end = firsts_.end() - begin > static_cast<ptrdiff_t>(kStride)
                         ? begin + static_cast<ptrdiff_t>(kStride)
                         : firsts_.end();
    const auto behind = std::upper_bound(begin, end, address);
    return address <= lasts_[static_cast<size_t>(behind - firsts_.begin()) - 1];
  }

  size_t size() const { return firsts_.size(); }
  size_t bytes() const { return (2 * firsts_.capacity() + sample_.capacity()) * sizeof(T); }

 private:
  static constexpr size_t kStride = 64;

  std::vector<std::pair<T, T>> raw_;  // until Finish()
  std::vector<T> firsts_;
  std::vector<T> lasts_;
  std::vector<T> sample_;
};

// Immutable after Finish(); then any thread may ask.
class AddressSet {
 public:
  void Add(const IpNetwork& network);
  void Finish();

  // False for what is no IP address.
  bool Contains(const SocketAddress& address) const;
  // Ranges that are left of the networks.
  size_t size() const { return v4_.size() + v6_.size(); }
  size_t bytes() const { return v4_.bytes() + v6_.bytes(); }

 private:
  RangeSet<uint32_t> v4_;
  RangeSet<absl::uint128> v6_;
};

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_ADDRESS_SET_H_
