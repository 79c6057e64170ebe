#include "proxy/io/buffer_ring.h"

#include <liburing.h>
#include <sys/mman.h>

#include <cerrno>

#include "proxy/base/check.h"
#include "proxy/io/uring_setup.h"

namespace postern::io {

absl::StatusOr<std::unique_ptr<BufferRing>> BufferRing::Create(io_uring* uring, uint32_t offered,
                                                               uint32_t most, uint32_t bytes) {
  std::unique_ptr<BufferRing> buffers(
      new BufferRing(BufferSlabs::Rounded(offered), BufferSlabs::Rounded(most), bytes));
  void* ring = mmap(nullptr, buffers->ring_bytes(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (ring != MAP_FAILED) buffers->ring_ = static_cast<io_uring_buf_ring*>(ring);
  if (buffers->ring_ == nullptr || !buffers->slabs_.Make(&buffers->parked_)) {
    return UringError("allocating the receive buffers", ENOMEM);
  }
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffers->ring_);
  registration.ring_entries = buffers->slabs_.most();
  registration.bgid = kGroup;
  if (const int error = -io_uring_register_buf_ring(uring, &registration, 0); error != 0) {
    return UringError("registering the receive buffers", error);
  }
  io_uring_buf_ring_init(buffers->ring_);
  buffers->Grow();
  return buffers;
}

BufferRing::~BufferRing() {
  if (ring_ != nullptr) munmap(ring_, ring_bytes());
}

size_t BufferRing::ring_bytes() const { return slabs_.most() * sizeof(io_uring_buf); }

bool BufferRing::Grow() {
  if (parked_.empty() && !slabs_.Make(&parked_)) return false;
  for (uint32_t i = 0; i < slabs_.few() && !parked_.empty(); ++i) {
    Offer(parked_.back());
    parked_.pop_back();
  }
  return true;
}

char* BufferRing::Take(uint16_t id) {
  char* buffer = slabs_.Lend(id);
  ++lent_;
  --offered_;
  return buffer;
}

void BufferRing::Return(uint16_t id, bool hold) {
  CHECK(lent_ > 0);
  --lent_;
  slabs_.TakeBack(id);
  if (hold) {
    held_.push_back(id);
  } else if (offered_ < slabs_.few()) {
    Offer(id);
  } else {
    slabs_.Release(id);
    parked_.push_back(id);
  }
}

void BufferRing::Offer(uint16_t id) {
  io_uring_buf_ring_add(ring_, slabs_.Address(id), slabs_.bytes(), id,
                        io_uring_buf_ring_mask(slabs_.most()), 0);
  io_uring_buf_ring_advance(ring_, 1);
  ++offered_;
}

void BufferRing::OfferHeld() {
  for (const uint16_t id : held_) Offer(id);
  held_.clear();
}

}  // namespace postern::io
