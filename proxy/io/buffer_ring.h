// The receive buffers a worker shares among all its sockets: the kernel takes one when bytes have
// arrived, so an idle connection pins none.
//
// A few are offered to the kernel at any time. While operations keep many (peers that do not read),
// more are added up to a limit, so that slow connections do not starve the others; those over the
// few are parked without memory when they come back. Memory in use is thus what is lent, plus the
// few.
//
// Buffers are numbered. One is in exactly one place: offered to the kernel, lent to an operation,
// held back for operations that queue, or parked. Worker thread only.
#ifndef POSTERN_PROXY_IO_BUFFER_RING_H_
#define POSTERN_PROXY_IO_BUFFER_RING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/io/buffer_slabs.h"

struct io_uring;
struct io_uring_buf_ring;

namespace postern::io {

class BufferRing {
 public:
  static constexpr uint16_t kGroup = 0;

  // `offered` and `most` are rounded up to powers of two, at most 32768. The ring `uring` must be
  // gone before this object is.
  static absl::StatusOr<std::unique_ptr<BufferRing>> Create(io_uring* uring, uint32_t offered,
                                                            uint32_t most, uint32_t bytes);
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  // Buffers made so far, in all four places.
  uint32_t made() const { return slabs_.made(); }
  // Buffers in the hands of operations.
  uint32_t lent() const { return lent_; }
  // Buffers the kernel has or may have at once.
  uint32_t available() const { return offered_ + static_cast<uint32_t>(held_.size()); }
  // Whether a crowd can be served; one buffer at a time would wake it for almost nothing.
  bool plenty() const { return available() >= (slabs_.few() + 3) / 4; }

  // The kernel filled buffer `id`.
  char* Take(uint16_t id);
  // Gives a taken buffer back. With `hold`, the kernel gets it only at OfferHeld(): buffers that
  // return while operations queue for them belong to that queue.
  void Return(uint16_t id, bool hold);
  // Offers every held buffer to the kernel.
  void OfferHeld();
  // Offers more buffers, parked or new; false when the limit is reached or memory is short.
  bool Grow();

 private:
  BufferRing(uint32_t few, uint32_t most, uint32_t bytes) : slabs_(few, most, bytes) {}
  size_t ring_bytes() const;
  void Offer(uint16_t id);

  BufferSlabs slabs_;  // few(): offered when all is quiet
  uint32_t lent_ = 0;
  uint32_t offered_ = 0;
  io_uring_buf_ring* ring_ = nullptr;
  std::vector<uint16_t> held_;
  std::vector<uint16_t> parked_;
};

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_BUFFER_RING_H_
