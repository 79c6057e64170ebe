#include "proxy/base/byte_arena.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/base/secret.h"

namespace postern {

BlockPool::~BlockPool() {
  CHECK(blocks_out_ == 0);
  for (std::vector<char*>& list : free_) {
    for (char* data : list) std::free(data);
  }
}

BlockPool::Block BlockPool::Take(size_t bytes_min) {
  ++blocks_out_;
  for (size_t i = 0; i < std::size(kClasses); ++i) {
    if (bytes_min > kClasses[i]) continue;
    Block block{nullptr, static_cast<uint32_t>(kClasses[i])};
    if (free_[i].empty()) {
      block.data = static_cast<char*>(std::malloc(kClasses[i]));
      CHECK(block.data != nullptr);
    } else {
      block.data = free_[i].back();
      free_[i].pop_back();
    }
    return block;
  }
  CHECK(bytes_min <= UINT32_MAX);
  Block block{static_cast<char*>(std::malloc(bytes_min)), static_cast<uint32_t>(bytes_min)};
  CHECK(block.data != nullptr);
  return block;
}

void BlockPool::Return(Block block) {
  CHECK(blocks_out_ > 0);
  --blocks_out_;
  for (size_t i = 0; i < std::size(kClasses); ++i) {
    if (block.capacity == kClasses[i] && free_[i].size() < kKeptPerClass[i]) {
      free_[i].push_back(block.data);
      return;
    }
  }
  std::free(block.data);
}

ByteArena::ByteArena(ByteArena&& other) noexcept
    : pool_(other.pool_),
      block_(std::exchange(other.block_, {})),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)),
      wipe_(other.wipe_) {}

ByteArena& ByteArena::operator=(ByteArena&& other) noexcept {
  if (this != &other) {
    Clear();
    pool_ = other.pool_;
    block_ = std::exchange(other.block_, {});
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    wipe_ = other.wipe_;
  }
  return *this;
}

void ByteArena::Append(absl::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(Reserve(bytes.size()), bytes.data(), bytes.size());
  Commit(bytes.size());
}

char* ByteArena::Reserve(size_t bytes_min) {
  if (block_.capacity - end_ >= bytes_min) return block_.data + end_;
  const size_t used = size();
  if (block_.data != nullptr && block_.capacity - used >= bytes_min) {
    std::memmove(block_.data, block_.data + begin_, used);
    if (wipe_) WipeMemory(block_.data + used, end_ - used);
  } else {
    // Doubling keeps the copies of a long fill linear.
    size_t wanted = used + bytes_min;
    if (block_.data != nullptr && wanted < 2 * size_t{block_.capacity}) {
      wanted = 2 * size_t{block_.capacity};
    }
    BlockPool::Block larger = pool_->Take(wanted);
    if (used != 0) std::memcpy(larger.data, data(), used);
    if (block_.data != nullptr) Release(block_, end_);
    block_ = larger;
  }
  begin_ = 0;
  end_ = static_cast<uint32_t>(used);
  return block_.data + end_;
}

void ByteArena::Consume(size_t bytes) {
  CHECK(bytes <= size());
  begin_ += static_cast<uint32_t>(bytes);
  if (begin_ == end_) Clear();
}

void ByteArena::Clear() {
  const uint32_t used = std::exchange(end_, 0);
  begin_ = 0;
  if (block_.data == nullptr) return;
  Release(std::exchange(block_, {}), used);
}

void ByteArena::Release(BlockPool::Block block, size_t used) {
  if (wipe_) WipeMemory(block.data, used);
  pool_->Return(block);
}

}  // namespace postern
