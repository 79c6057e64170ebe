#include "proxy/io/buffer_slabs.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "proxy/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define POSTERN_POISON_BUFFERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POSTERN_POISON_BUFFERS 1
#endif
#endif
#ifdef POSTERN_POISON_BUFFERS
#include <sanitizer/asan_interface.h>
#endif

namespace postern::io {
namespace {

void Poison([[maybe_unused]] char* buffer, [[maybe_unused]] size_t bytes) {
#ifdef POSTERN_POISON_BUFFERS
  ASAN_POISON_MEMORY_REGION(buffer, bytes);
#endif
}

void Unpoison([[maybe_unused]] char* buffer, [[maybe_unused]] size_t bytes) {
#ifdef POSTERN_POISON_BUFFERS
  ASAN_UNPOISON_MEMORY_REGION(buffer, bytes);
#endif
}

}  // namespace

uint32_t BufferSlabs::Rounded(uint32_t count) {
  return std::bit_ceil(std::clamp<uint32_t>(count, 1, 32768));
}

BufferSlabs::BufferSlabs(uint32_t few, uint32_t most, uint32_t bytes)
    : few_(few), most_(std::max(few, most)), bytes_(std::max<uint32_t>(bytes, 1)) {}

BufferSlabs::~BufferSlabs() {
  for (char* slab : slabs_) {
    Unpoison(slab, slab_bytes());
    munmap(slab, slab_bytes());
  }
}

bool BufferSlabs::Make(std::vector<uint16_t>* ids) {
  if (made() >= most_) return false;
  void* slab =
      mmap(nullptr, slab_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slab == MAP_FAILED) return false;
  Poison(static_cast<char*>(slab), slab_bytes());
  const uint32_t first = made();
  slabs_.push_back(static_cast<char*>(slab));
  for (uint32_t i = few_; i-- > 0;) ids->push_back(static_cast<uint16_t>(first + i));
  return true;
}

char* BufferSlabs::Address(uint16_t id) const {
  return slabs_[id / few_] + static_cast<size_t>(id % few_) * bytes_;
}

char* BufferSlabs::Lend(uint16_t id) {
  CHECK(id < made());
  Unpoison(Address(id), bytes_);
  return Address(id);
}

void BufferSlabs::TakeBack(uint16_t id) { Poison(Address(id), bytes_); }

void BufferSlabs::Release(uint16_t id) {
  // Only whole pages: the kernel rounds the length up, over a neighbour's bytes.
  static const uint32_t page = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  if (bytes_ % page == 0) madvise(Address(id), bytes_, MADV_DONTNEED);
}

}  // namespace postern::io
