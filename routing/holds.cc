#include "routing/holds.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/escape.h"
#include "routing/stable_hash.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

constexpr size_t kDigits = 16;

// The digits, filled up with `filler`; false when they are none.
bool ReadBeginning(absl::string_view text, char filler, uint64_t* value) {
  *value = 0;
  for (size_t i = 0; i < kDigits; ++i) {
    const char c =
        i < text.size() ? absl::ascii_tolower(static_cast<unsigned char>(text[i])) : filler;
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
    const auto digit = static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    *value = *value << 4 | digit;
  }
  return true;
}

}  // namespace

std::string HashRange::Text() const {
  size_t digits = kDigits;
  for (uint64_t low = 0xf; digits > 1 && (first & low) == 0 && (last & low) == low; low <<= 4) {
    --digits;
  }
  const auto beginning = [digits](uint64_t hash) {
    return absl::StrCat(absl::Hex(hash, absl::kZeroPad16)).substr(0, digits);
  };
  return absl::StrCat(beginning(first), "-", beginning(last));
}

absl::StatusOr<HashRange> ParseHashRange(absl::string_view text) {
  const size_t dash = text.find('-');
  HashRange range;
  if (dash != absl::string_view::npos) {
    const absl::string_view first = text.substr(0, dash);
    const absl::string_view last = text.substr(dash + 1);
    if (!first.empty() && first.size() <= kDigits && first.size() == last.size() &&
        ReadBeginning(first, '0', &range.first) && ReadBeginning(last, 'f', &range.last) &&
        range.first <= range.last) {
      return range;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", EscapeForLog(text, 40),
                   "\" is no range of hashes; write the first and the last beginning in as many "
                   "hexadecimal digits each, as \"00-7f\" for the first half"));
}

bool Holds::Look(absl::string_view user) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (moving_.contains(user) || users_.contains(user)) return true;
  if (!domains_.empty() && domains_.contains(DomainOf(user))) return true;
  if (!moving_domains_.empty() && moving_domains_.contains(DomainOf(user))) return true;
  if (ranges_.empty() && moving_ranges_.empty()) return false;
  const uint64_t hash = StableHash(user);
  const auto has = [hash](const auto& range) { return range.hashes.Has(hash); };
  return std::any_of(ranges_.begin(), ranges_.end(), has) ||
         std::any_of(moving_ranges_.begin(), moving_ranges_.end(), has);
}

void Holds::Recount() {
  count_.store(users_.size() + domains_.size() + ranges_.size() + moving_.size() +
                   moving_domains_.size() + moving_ranges_.size(),
               std::memory_order_release);
}

absl::Status Holds::Add(const Hold& hold) {
  HashRange hashes;
  if (hold.kind == Hold::Kind::kHashRange) {
    const absl::StatusOr<HashRange> parsed = ParseHashRange(hold.target);
    if (!parsed.ok()) return parsed.status();
    hashes = *parsed;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (users_.size() + domains_.size() + ranges_.size() >= kHoldsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", kHoldsMax, " holds; hold a domain or a range of hashes"));
  }
  switch (hold.kind) {
    case Hold::Kind::kUser:
      users_[hold.target] = hold;
      break;
    case Hold::Kind::kDomain:
      domains_[hold.target] = hold;
      break;
    case Hold::Kind::kHashRange: {
      const auto same = [&hold](const Range& range) { return range.hold.target == hold.target; };
      ranges_.erase(std::remove_if(ranges_.begin(), ranges_.end(), same), ranges_.end());
      ranges_.push_back({hashes, hold});
      break;
    }
  }
  Recount();
  return absl::OkStatus();
}

bool Holds::Remove(Hold::Kind kind, absl::string_view target) {
  const std::lock_guard<std::mutex> lock(mutex_);
  bool removed = false;
  switch (kind) {
    case Hold::Kind::kUser:
      removed = users_.erase(target) > 0;
      break;
    case Hold::Kind::kDomain:
      removed = domains_.erase(target) > 0;
      break;
    case Hold::Kind::kHashRange: {
      const auto same = [target](const Range& range) { return range.hold.target == target; };
      const auto kept = std::remove_if(ranges_.begin(), ranges_.end(), same);
      removed = kept != ranges_.end();
      ranges_.erase(kept, ranges_.end());
      break;
    }
  }
  Recount();
  return removed;
}

std::vector<Hold> Holds::List() const {
  std::vector<Hold> holds;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    holds.reserve(users_.size() + domains_.size() + ranges_.size());
    for (const auto& [user, hold] : users_) holds.push_back(hold);
    for (const auto& [domain, hold] : domains_) holds.push_back(hold);
    for (const Range& range : ranges_) holds.push_back(range.hold);
  }
  // Without the lock: every login takes it. The tables come in no particular order, a list should.
  std::sort(holds.begin(), holds.end(), [](const Hold& a, const Hold& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.target < b.target;
  });
  return holds;
}

void Holds::AddForMove(absl::string_view user) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++moving_[user];
  Recount();
}

void Holds::RemoveForMove(absl::string_view user) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = moving_.find(user);
  CHECK(found != moving_.end());
  if (--found->second == 0) moving_.erase(found);
  Recount();
}

void Holds::AddForMove(Hold::Kind kind, absl::string_view target) {
  if (kind == Hold::Kind::kUser) return AddForMove(target);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (kind == Hold::Kind::kDomain) {
    ++moving_domains_[target];
  } else {
    const absl::StatusOr<HashRange> hashes = ParseHashRange(target);
    CHECK(hashes.ok());
    moving_ranges_.push_back({*hashes, std::string(target)});
  }
  Recount();
}

void Holds::RemoveForMove(Hold::Kind kind, absl::string_view target) {
  if (kind == Hold::Kind::kUser) return RemoveForMove(target);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (kind == Hold::Kind::kDomain) {
    const auto found = moving_domains_.find(target);
    CHECK(found != moving_domains_.end());
    if (--found->second == 0) moving_domains_.erase(found);
  } else {
    const auto found =
        std::find_if(moving_ranges_.begin(), moving_ranges_.end(),
                     [target](const MovingRange& range) { return range.target == target; });
    CHECK(found != moving_ranges_.end());
    moving_ranges_.erase(found);
  }
  Recount();
}

bool Holds::EnterWait(int max) {
  if (waiting_.fetch_add(1, std::memory_order_relaxed) < max) return true;
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

}  // namespace postern::routing
