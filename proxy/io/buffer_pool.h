// The receive buffers a worker shares among all its sockets when we, and not the kernel, choose
// one: at the moment of the recv(2), so an idle connection pins none.
//
// A few stay warm; more are made up to a limit while operations keep many (peers that do not read),
// and give up their memory when they come back. Worker thread only.
#ifndef POSTERN_PROXY_IO_BUFFER_POOL_H_
#define POSTERN_PROXY_IO_BUFFER_POOL_H_

#include <cstdint>
#include <vector>

#include "proxy/base/check.h"
#include "proxy/io/buffer_slabs.h"

namespace postern::io {

class BufferPool {
 public:
  // `few` and `most` are rounded up to powers of two, at most 32768.
  BufferPool(uint32_t few, uint32_t most, uint32_t bytes)
      : slabs_(BufferSlabs::Rounded(few), BufferSlabs::Rounded(most), bytes) {}

  uint32_t bytes() const { return slabs_.bytes(); }
  // Buffers made so far, and those of them in the hands of operations.
  uint32_t made() const { return slabs_.made(); }
  uint32_t lent() const { return lent_; }
  // How many Lend() can give. When the system had no memory for more, only what there is, until one
  // comes back: nobody need try in vain meanwhile.
  uint32_t available() const { return (out_of_memory_ ? made() : slabs_.most()) - lent_; }

  // Makes the first buffers; false when memory is short.
  bool Prepare() { return slabs_.Make(&cold_); }

  // Null when all are lent out, or memory is short.
  char* Lend(uint16_t* id) {
    std::vector<uint16_t>& from = warm_.empty() ? cold_ : warm_;
    if (from.empty() && !slabs_.Make(&from)) {
      out_of_memory_ = made() < slabs_.most();
      return nullptr;
    }
    *id = from.back();
    from.pop_back();
    ++lent_;
    return slabs_.Lend(*id);
  }

  void Return(uint16_t id) {
    CHECK(lent_ > 0);
    --lent_;
    out_of_memory_ = false;
    slabs_.TakeBack(id);
    if (warm_.size() < slabs_.few()) {
      warm_.push_back(id);
    } else {
      slabs_.Release(id);
      cold_.push_back(id);
    }
  }

 private:
  BufferSlabs slabs_;
  uint32_t lent_ = 0;
  bool out_of_memory_ = false;
  std::vector<uint16_t> warm_;
  std::vector<uint16_t> cold_;
};

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_BUFFER_POOL_H_
