// Memory for tables of many megabytes that are read at random: aligned for huge pages, and the
// kernel is asked for them (the default setting of Linux distributions, `madvise`, gives them only
// on request). Spares most of the page faults while loading and a TLB miss for each look later.
// Where the kernel refuses, ordinary pages serve.
#ifndef POSTERN_ROUTING_HUGE_PAGE_ALLOCATOR_H_
#define POSTERN_ROUTING_HUGE_PAGE_ALLOCATOR_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace postern::routing {

// For std::vector. Less than one huge page comes from the ordinary heap.
template <typename T>
struct HugePageAllocator {
  using value_type = T;
  static constexpr size_t kHugePageBytes = size_t{1} << 21;

  HugePageAllocator() = default;
  template <typename U>
  HugePageAllocator(const HugePageAllocator<U>&) {}

  T* allocate(size_t count) {
    size_t bytes = count * sizeof(T);
    const bool huge = bytes >= kHugePageBytes;
    if (huge) bytes = (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
    void* memory = huge ? aligned_alloc(kHugePageBytes, bytes) : malloc(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    if (huge) madvise(memory, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) { free(memory); }

  template <typename U>
  bool operator==(const HugePageAllocator<U>&) const {
    return true;
  }
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_HUGE_PAGE_ALLOCATOR_H_
