#include "bench/maildrop/deletions.h"

#include <algorithm>

#include "routing/stable_hash.h"

namespace postern::maildrop {

std::vector<uint32_t> Deletions::Find(absl::string_view user) const {
  // Most stores never delete: no lock then.
  if (messages() == 0) return {};
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = users_.find(routing::StableHash(user));
  return found == users_.end() ? std::vector<uint32_t>() : found->second;
}

bool Deletions::Add(absl::string_view user, const std::vector<uint32_t>& numbers) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (messages() + numbers.size() > messages_max_) return false;
  std::vector<uint32_t>& deleted = users_[routing::StableHash(user)];
  const size_t before = deleted.size();
  deleted.insert(deleted.end(), numbers.begin(), numbers.end());
  std::sort(deleted.begin(), deleted.end());
  // Two sessions of one user may have deleted the same message.
  deleted.erase(std::unique(deleted.begin(), deleted.end()), deleted.end());
  messages_.fetch_add(deleted.size() - before, std::memory_order_relaxed);
  return true;
}

}  // namespace postern::maildrop
