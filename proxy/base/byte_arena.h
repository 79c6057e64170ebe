// Bytes on their way out of one side of a session.
//
// A ByteArena is a contiguous buffer that grows while it is filled, is consumed from the front and
// gives its memory back as soon as it is empty, so that an idle session pins nothing. Blocks come
// from a BlockPool shared by all sessions of a worker. Worker thread only.
#ifndef POSTERN_PROXY_BASE_BYTE_ARENA_H_
#define POSTERN_PROXY_BASE_BYTE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace postern {

// Recycles blocks of a few sizes. Larger requests go to the allocator and are not kept.
class BlockPool {
 public:
  struct Block {
    char* data = nullptr;
    uint32_t capacity = 0;
  };

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  // Every block must be back: a missing one is a leak in our own code.
  ~BlockPool();

  // A block of at least `bytes_min` bytes.
  Block Take(size_t bytes_min);
  void Return(Block block);

  // Blocks handed out and not yet returned.
  size_t blocks_out() const { return blocks_out_; }

 private:
  static constexpr size_t kClasses[] = {2048, 8192, 36864, 131072};
  static constexpr size_t kKeptPerClass[] = {256, 128, 64, 16};
  std::vector<char*> free_[4];
  size_t blocks_out_ = 0;
};

class ByteArena {
 public:
  explicit ByteArena(BlockPool* pool) : pool_(pool) {}
  ByteArena(ByteArena&& other) noexcept;
  ByteArena& operator=(ByteArena&& other) noexcept;
  ByteArena(const ByteArena&) = delete;
  ByteArena& operator=(const ByteArena&) = delete;
  ~ByteArena() { Clear(); }

  bool empty() const { return begin_ == end_; }
  size_t size() const { return end_ - begin_; }
  const char* data() const { return block_.data + begin_; }
  absl::string_view view() const { return absl::string_view(data(), size()); }

  void Append(absl::string_view bytes);
  // Room for at least `bytes_min` bytes behind the end; Commit() says how many were written.
  char* Reserve(size_t bytes_min);
  size_t room() const { return block_.capacity - end_; }
  void Commit(size_t bytes) { end_ += static_cast<uint32_t>(bytes); }

  // Drops bytes from the front; gives the block back when none is left.
  void Consume(size_t bytes);
  void Clear();
  // While on, memory is overwritten before it is given back: for credentials.
  void set_wipe(bool wipe) { wipe_ = wipe; }

 private:
  void Release(BlockPool::Block block, size_t used);

  BlockPool* pool_;
  BlockPool::Block block_;
  uint32_t begin_ = 0;
  uint32_t end_ = 0;
  bool wipe_ = false;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_BYTE_ARENA_H_
