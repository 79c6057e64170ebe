// An array of a fixed size whose memory comes zeroed from the kernel: what is never touched is
// never there.
//
// Large ones ask for huge pages (Linux distributions give them on request only). A table that is
// read at random otherwise pays a TLB miss for each look, several of them for every login, and a
// page fault for each of its first thousands of keys. They cost little memory: hashed keys touch
// nearly all of a table's pages soon, whatever their size.
#ifndef POSTERN_PROXY_GUARD_ZEROED_ARRAY_H_
#define POSTERN_PROXY_GUARD_ZEROED_ARRAY_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace postern::guard {

// T must be right when all its bytes are zero. The first one begins a page.
template <typename T>
class ZeroedArray {
 public:
  // Where the system has no room for it: see ok().
  explicit ZeroedArray(size_t size) : size_(size) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    static_assert(alignof(T) <= kPageBytes);
    const bool huge = bytes() >= kHugePageBytes;
    // Not every kernel begins a large mapping at a huge page.
    mapped_bytes_ = huge ? bytes() + kHugePageBytes : bytes();
    mapped_ =
        mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped_ == MAP_FAILED) return;
    auto* first = static_cast<char*>(mapped_);
    if (huge) {
      const size_t past = reinterpret_cast<uintptr_t>(first) % kHugePageBytes;
      first += (kHugePageBytes - past) % kHugePageBytes;
      // Where the kernel refuses, ordinary pages serve.
      madvise(first, bytes(), MADV_HUGEPAGE);
    }
    items_ = reinterpret_cast<T*>(first);
  }
  ~ZeroedArray() {
    if (ok()) munmap(mapped_, mapped_bytes_);
  }
  ZeroedArray(const ZeroedArray&) = delete;
  ZeroedArray& operator=(const ZeroedArray&) = delete;

  // Otherwise nothing else may be asked of it but its size.
  bool ok() const { return items_ != nullptr; }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }
  T& operator[](size_t i) { return items_[i]; }
  const T& operator[](size_t i) const { return items_[i]; }

 private:
  static constexpr size_t kPageBytes = 4096;  // the smallest there is
  static constexpr size_t kHugePageBytes = size_t{1} << 21;

  const size_t size_;
  size_t mapped_bytes_ = 0;
  void* mapped_ = nullptr;
  T* items_ = nullptr;
};

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_ZEROED_ARRAY_H_
