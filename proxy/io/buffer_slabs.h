// The memory of numbered, equally large receive buffers, mapped a slab at a time. Who has which
// buffer is the business of BufferRing (the kernel chooses) and BufferPool (we choose).
//
// Under the address sanitizer a buffer that is not lent may not be touched: a session that reads on
// after ReturnBuffer() is caught there and then. Worker thread only.
#ifndef POSTERN_PROXY_IO_BUFFER_SLABS_H_
#define POSTERN_PROXY_IO_BUFFER_SLABS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace postern::io {

class BufferSlabs {
 public:
  // What an owner may ask for: a power of two, at least `count`, at most 32768.
  static uint32_t Rounded(uint32_t count);

  // `few` buffers to a slab, `most` in all; both Rounded(). Maps nothing yet.
  BufferSlabs(uint32_t few, uint32_t most, uint32_t bytes);
  ~BufferSlabs();
  BufferSlabs(const BufferSlabs&) = delete;
  BufferSlabs& operator=(const BufferSlabs&) = delete;

  uint32_t few() const { return few_; }
  uint32_t most() const { return most_; }
  uint32_t bytes() const { return bytes_; }
  // Buffers mapped so far, numbered from 0.
  uint32_t made() const { return static_cast<uint32_t>(slabs_.size()) * few_; }

  // Maps one more slab and appends its numbers to `ids`, lowest last; false when the limit is
  // reached or memory is short.
  bool Make(std::vector<uint16_t>* ids);
  char* Address(uint16_t id) const;
  // Between the two an operation may touch the buffer.
  char* Lend(uint16_t id);
  void TakeBack(uint16_t id);
  // Gives the buffer's pages back to the system until it is used again.
  void Release(uint16_t id);

 private:
  size_t slab_bytes() const { return static_cast<size_t>(few_) * bytes_; }

  const uint32_t few_;
  const uint32_t most_;
  const uint32_t bytes_;
  std::vector<char*> slabs_;
};

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_BUFFER_SLABS_H_
