#include "proxy/coro/frame_pool.h"

#include <cstdlib>

#include "proxy/base/check.h"

namespace postern::coro {

FramePool& FramePool::ThisThread() {
  static thread_local FramePool pool;
  return pool;
}

FramePool::~FramePool() {
  for (FreeFrame* frame : free_) {
    while (frame != nullptr) {
      FreeFrame* next = frame->next;
      std::free(frame);
      frame = next;
    }
  }
}

void* FramePool::Allocate(size_t size) {
  ++live_;
  const size_t index = (size + kStep - 1) / kStep;
  live_bytes_ += index * kStep;
  if (index < kClasses && free_[index] != nullptr) {
    FreeFrame* frame = free_[index];
    free_[index] = frame->next;
    return frame;
  }
  void* frame = std::malloc(index * kStep);
  CHECK(frame != nullptr);
  return frame;
}

void FramePool::Free(void* frame, size_t size) {
  CHECK(live_ > 0);
  --live_;
  const size_t index = (size + kStep - 1) / kStep;
  live_bytes_ -= index * kStep;
  if (index >= kClasses) {
    std::free(frame);
    return;
  }
  auto* node = static_cast<FreeFrame*>(frame);
  node->next = free_[index];
  free_[index] = node;
}

}  // namespace postern::coro
