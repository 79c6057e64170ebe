// Which messages were deleted, for the life of the process.
//
// Only users who deleted something are remembered, and at most so many of them and of their
// messages: memory stays bounded whatever clients do. What does not fit is refused at QUIT, and the
// client is told. Thread-safe: a user's next session may run on another thread.
#ifndef POSTERN_BENCH_MAILDROP_DELETIONS_H_
#define POSTERN_BENCH_MAILDROP_DELETIONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace postern::maildrop {

class Deletions {
 public:
  // `messages_max` counts deleted messages of all users together.
  explicit Deletions(size_t messages_max) : messages_max_(messages_max) {}

  // The numbers of `user`'s deleted messages, in order.
  std::vector<uint32_t> Find(absl::string_view user) const;
  // Adds `numbers` (in any order). False, and nothing is added, when the table is full.
  bool Add(absl::string_view user, const std::vector<uint32_t>& numbers);

  size_t messages() const { return messages_.load(std::memory_order_relaxed); }

 private:
  const size_t messages_max_;
  std::atomic<size_t> messages_{0};
  mutable std::mutex mutex_;
  absl::flat_hash_map<uint64_t, std::vector<uint32_t>> users_;  // by hash of the name
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_DELETIONS_H_
