// An array of a fixed size whose memory comes zeroed from the kernel: what is never touched is
// never there.
#ifndef POSTERN_PROXY_GUARD_ZEROED_ARRAY_H_
#define POSTERN_PROXY_GUARD_ZEROED_ARRAY_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <type_traits>

#include "proxy/base/check.h"

namespace postern::guard {

// T must be right when all its bytes are zero.
template <typename T>
class ZeroedArray {
 public:
  explicit ZeroedArray(size_t size)
      : size_(size), items_(static_cast<T*>(std::calloc(size, sizeof(T)))) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    CHECK(items_ != nullptr);
  }

  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }
  T& operator[](size_t i) { return items_.get()[i]; }
  const T& operator[](size_t i) const { return items_.get()[i]; }

 private:
  struct Free {
    void operator()(T* items) const { std::free(items); }
  };

  size_t size_;
  std::unique_ptr<T, Free> items_;
};

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_ZEROED_ARRAY_H_
