#include "routing/group_overrides.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "routing/stable_hash.h"
#include "routing/user_key.h"

namespace postern::routing {

bool UserGroup::Has(absl::string_view user) const {
  if (kind == Hold::Kind::kDomain) return DomainOf(user) == target;
  const absl::StatusOr<HashRange> range = ParseHashRange(target);
  return range.ok() && range->Has(StableHash(user));
}

bool UserGroup::Meets(const UserGroup& other) const {
  if (kind != Hold::Kind::kHashRange || other.kind != kind) return *this == other;
  const absl::StatusOr<HashRange> mine = ParseHashRange(target);
  const absl::StatusOr<HashRange> theirs = ParseHashRange(other.target);
  return mine.ok() && theirs.ok() && mine->Meets(*theirs);
}

std::string UserGroup::Text() const {
  return absl::StrCat(kind == Hold::Kind::kDomain ? "@" : "hash ", target);
}

GroupOverrides::Backend GroupOverrides::Look(absl::string_view user) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!domains_.empty()) {
    const auto found = domains_.find(DomainOf(user));
    if (found != domains_.end()) return found->second;
  }
  if (ranges_.empty()) return nullptr;
  const uint64_t hash = StableHash(user);
  const auto last = std::find_if(ranges_.rbegin(), ranges_.rend(),
                                 [hash](const Range& range) { return range.hashes.Has(hash); });
  return last == ranges_.rend() ? nullptr : last->backend;
}

GroupOverrides::Backend GroupOverrides::Get(const UserGroup& group) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (group.kind == Hold::Kind::kDomain) {
    const auto found = domains_.find(group.target);
    return found == domains_.end() ? nullptr : found->second;
  }
  const auto found = std::find_if(ranges_.begin(), ranges_.end(), [&group](const Range& range) {
    return range.target == group.target;
  });
  return found == ranges_.end() ? nullptr : found->backend;
}

bool GroupOverrides::HasDomainOf(absl::string_view user) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return domains_.contains(DomainOf(user));
}

absl::Status GroupOverrides::Set(const UserGroup& group, const Backend& backend) {
  CHECK(backend != nullptr && group.kind != Hold::Kind::kUser);
  HashRange hashes;
  if (group.kind == Hold::Kind::kHashRange) {
    const absl::StatusOr<HashRange> parsed = ParseHashRange(group.target);
    if (!parsed.ok()) return parsed.status();
    hashes = *parsed;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  RemoveLocked(group);
  if (domains_.size() + ranges_.size() >= kGroupsMax) {
    Recount();
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", kGroupsMax,
                     " moved domains and ranges of hashes; write them into the routes"));
  }
  if (group.kind == Hold::Kind::kDomain) {
    domains_[group.target] = backend;
  } else {
    ranges_.push_back({hashes, group.target, backend});
  }
  Recount();
  return absl::OkStatus();
}

void GroupOverrides::Restore(const std::vector<Entry>& entries) {
  const std::lock_guard<std::mutex> lock(mutex_);
  domains_.clear();
  ranges_.clear();
  for (const auto& [group, backend] : entries) {
    if (group.kind == Hold::Kind::kDomain) {
      domains_[group.target] = backend;
    } else {
      ranges_.push_back({ParseHashRange(group.target).value(), group.target, backend});
    }
  }
  Recount();
}

bool GroupOverrides::Remove(const UserGroup& group) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool removed = RemoveLocked(group);
  Recount();
  return removed;
}

bool GroupOverrides::RemoveLocked(const UserGroup& group) {
  if (group.kind == Hold::Kind::kDomain) return domains_.erase(group.target) > 0;
  const auto kept = std::remove_if(ranges_.begin(), ranges_.end(), [&group](const Range& range) {
    return range.target == group.target;
  });
  const bool removed = kept != ranges_.end();
  ranges_.erase(kept, ranges_.end());
  return removed;
}

std::vector<GroupOverrides::Entry> GroupOverrides::List() const {
  std::vector<Entry> entries;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [domain, backend] : domains_) {
    entries.push_back({{Hold::Kind::kDomain, domain}, backend});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.group.target < b.group.target; });
  for (const Range& range : ranges_) {
    entries.push_back({{Hold::Kind::kHashRange, range.target}, range.backend});
  }
  return entries;
}

}  // namespace postern::routing
