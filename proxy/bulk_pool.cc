#include "proxy/bulk_pool.h"

#include <cstdlib>
#include <utility>

#include "proxy/base/check.h"

namespace postern {

BulkPool::~BulkPool() {
  CHECK(blocks_lent_ == 0 && pipes_lent_ == 0);
  for (char* block : blocks_) std::free(block);
  for (io::KernelPipe& pipe : pipes_) io_->ClosePipe(&pipe);
}

char* BulkPool::TakeBlock() {
  if (blocks_lent_ == options_.blocks) return nullptr;
  char* block = nullptr;
  if (blocks_.empty()) {
    block = static_cast<char*>(std::malloc(options_.block_bytes));
    if (block == nullptr) return nullptr;
  } else {
    block = blocks_.back();
    blocks_.pop_back();
  }
  ++blocks_lent_;
  return block;
}

void BulkPool::ReturnBlock(char* block) {
  CHECK(block != nullptr && blocks_lent_ > 0);
  --blocks_lent_;
  blocks_.push_back(block);
}

bool BulkPool::TakePipe(io::KernelPipe* pipe) {
  CHECK(!pipe->open());
  if (pipes_lent_ == options_.pipes) return false;
  if (!pipes_.empty()) {
    *pipe = pipes_.back();
    pipes_.pop_back();
  } else if (!io_->OpenPipe(pipe)) {
    return false;
  }
  ++pipes_lent_;
  return true;
}

void BulkPool::ReturnPipe(io::KernelPipe* pipe) {
  CHECK(pipe->open() && pipes_lent_ > 0);
  --pipes_lent_;
  if (pipe->bytes > 0) {
    io_->ClosePipe(pipe);
  } else {
    pipes_.push_back(std::exchange(*pipe, {}));
  }
}

}  // namespace postern
