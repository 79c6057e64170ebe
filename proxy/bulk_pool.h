// What a worker lends to relays in the middle of a long transfer: large receive buffers, and kernel
// pipes where both sides are in the clear.
//
// Both are few. A relay that gets none goes on with the shared receive buffers: slower, not worse.
// Worker thread only.
#ifndef POSTERN_PROXY_BULK_POOL_H_
#define POSTERN_PROXY_BULK_POOL_H_

#include <cstddef>
#include <vector>

#include "proxy/io/io.h"

namespace postern {

struct BulkOptions {
  // One large buffer. Seven full TLS records fit into a block of BlockPool's largest class.
  size_t block_bytes = 7 * 16384;
  size_t blocks = 32;
  size_t pipes = 16;
  // A receive of at least so much shows that a long transfer is under way.
  size_t long_receive = 16384;
  // At least so much waits when moving it through a pipe pays.
  size_t move_min = 65536;
};

class BulkPool {
 public:
  BulkPool(io::Io* io, const BulkOptions& options) : io_(io), options_(options) {}
  BulkPool(const BulkPool&) = delete;
  BulkPool& operator=(const BulkPool&) = delete;
  // Everything is back.
  ~BulkPool();

  const BulkOptions& options() const { return options_; }

  // options().block_bytes of memory, or null when all are lent.
  char* TakeBlock();
  void ReturnBlock(char* block);
  // False when all are lent, or none can be had.
  bool TakePipe(io::KernelPipe* pipe);
  // One that still holds bytes is closed: the next session must never see them.
  void ReturnPipe(io::KernelPipe* pipe);

  size_t blocks_lent() const { return blocks_lent_; }
  size_t pipes_lent() const { return pipes_lent_; }

 private:
  io::Io* io_;
  const BulkOptions options_;
  std::vector<char*> blocks_;
  std::vector<io::KernelPipe> pipes_;
  size_t blocks_lent_ = 0;
  size_t pipes_lent_ = 0;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BULK_POOL_H_
