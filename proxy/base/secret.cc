#include "proxy/base/secret.h"

#include <strings.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "proxy/base/check.h"

namespace postern {

void WipeMemory(void* data, size_t size) {
  if (size != 0) explicit_bzero(data, size);
}

Secret::Secret(absl::string_view text) : size_(text.size()) {
  if (size_ == 0) return;
  data_ = static_cast<char*>(std::malloc(size_));
  CHECK(data_ != nullptr);
  std::memcpy(data_, text.data(), size_);
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    Wipe();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Secret::Wipe() {
  if (data_ == nullptr) return;
  WipeMemory(data_, size_);
  std::free(data_);
  data_ = nullptr;
  size_ = 0;
}

bool ConstantTimeEquals(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(static_cast<unsigned char>(a[i]) ^
                                             static_cast<unsigned char>(b[i]));
  }
  // The volatile read keeps the compiler from turning the loop into an early exit.
  volatile unsigned char result = difference;
  return result == 0;
}

}  // namespace postern
