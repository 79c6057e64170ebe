// Text that is wiped from memory when it is no longer needed: passwords, SASL responses, keys.
#ifndef POSTERN_PROXY_BASE_SECRET_H_
#define POSTERN_PROXY_BASE_SECRET_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace postern {

// Overwrites `size` bytes so that the compiler cannot drop the store.
void WipeMemory(void* data, size_t size);

// An owned byte string that lives in exactly one heap block and overwrites it before freeing.
// Movable, never copyable by accident (Clone() says it aloud). It has no stream or format operator
// on purpose: a Secret cannot be logged without calling view().
class Secret {
 public:
  Secret() = default;
  explicit Secret(absl::string_view text);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Wipe(); }

  Secret Clone() const { return Secret(view()); }
  absl::string_view view() const { return absl::string_view(data_, size_); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Overwrites and releases the text; the secret is empty afterwards.
  void Wipe();

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Compares in time that depends only on the lengths.
bool ConstantTimeEquals(absl::string_view a, absl::string_view b);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_SECRET_H_
