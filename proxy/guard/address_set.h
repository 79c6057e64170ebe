// A set of networks, millions of them, for one question: is this address in it?
//
// Networks become sorted ranges that neither meet nor touch. Above their beginnings stand levels
// with every 16th of the level below: a search takes four steps in each, the upper levels stay in
// the cache, and what is not there are a few neighbouring cache lines. 8 bytes for each IPv4 range,
// 32 for each IPv6 one, and a fifteenth of the half of that for the levels.
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
    std::vector<T> firsts;
    for (const auto& [first, last] : raw_) {
      // Behind the last address there is none that could touch.
      if (!firsts.empty() && (lasts_.back() == T(~T(0)) || first <= lasts_.back() + 1)) {
        lasts_.back() = std::max(lasts_.back(), last);
        continue;
      }
      firsts.push_back(first);
      lasts_.push_back(last);
    }
    std::vector<std::pair<T, T>>().swap(raw_);
    firsts.shrink_to_fit();
    lasts_.shrink_to_fit();
    levels_.push_back(std::move(firsts));
    while (levels_.back().size() > kStride) {
      const std::vector<T>& below = levels_.back();
      std::vector<T> level;
      level.reserve(below.size() / kStride + 1);
      for (size_t i = 0; i < below.size(); i += kStride) level.push_back(below[i]);
      levels_.push_back(std::move(level));
    }
  }

  bool Contains(T address) const {
    size_t place = 0;
    for (size_t i = levels_.size(); i-- > 0;) {
      const std::vector<T>& level = levels_[i];
      const auto begin = level.begin() + static_cast<ptrdiff_t>(place * kStride);
      const auto end = level.end() - begin > static_cast<ptrdiff_t>(kStride)
                           ? begin + static_cast<ptrdiff_t>(kStride)
                           : level.end();
      const auto behind = std::upper_bound(begin, end, address);
      // Only in front of the very first range: elsewhere the level above has looked.
      if (behind == begin) return false;
      place = static_cast<size_t>(behind - level.begin()) - 1;
    }
    return !lasts_.empty() && address <= lasts_[place];
  }

  size_t size() const { return lasts_.size(); }
  size_t bytes() const {
    size_t numbers = lasts_.capacity();
    for (const std::vector<T>& level : levels_) numbers += level.capacity();
    return numbers * sizeof(T);
  }

 private:
  static constexpr size_t kStride = 16;

  std::vector<std::pair<T, T>> raw_;    // until Finish()
  std::vector<std::vector<T>> levels_;  // where ranges begin; then every 16th of the level below
  std::vector<T> lasts_;
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
