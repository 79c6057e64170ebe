#include "routing/user_map.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "absl/numeric/int128.h"
#include "proxy/base/check.h"
#include "routing/stable_hash.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

constexpr int kHashBits = 24;
constexpr uint64_t kHashMask = (uint64_t{1} << kHashBits) - 1;
constexpr uint64_t kPlacesMax = (uint64_t{1} << (64 - kHashBits)) - 1;

// An entry: length, target, name. Unaligned, so it is copied out.
constexpr size_t kLengthBytes = sizeof(uint16_t);
constexpr size_t kHeaderBytes = kLengthBytes + sizeof(uint32_t);

constexpr size_t kSlotsMin = 16;

size_t SlotsFor(size_t users) { return users + users * 3 / 7 + kSlotsMin; }  // 70 % used

absl::string_view NameOf(const char* entry) {
  uint16_t length;
  memcpy(&length, entry, sizeof(length));
  return absl::string_view(entry + kHeaderBytes, length);
}

uint32_t TargetOf(const char* entry) {
  uint32_t target;
  memcpy(&target, entry + kLengthBytes, sizeof(target));
  return target;
}

uint64_t RandomSeed() {
  uint64_t seed = 0;
  // Before the kernel's pool is ready this may fail; the place of the stack will do then.
  if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != static_cast<ssize_t>(sizeof(seed))) {
    seed = MixBits(reinterpret_cast<uintptr_t>(&seed));
  }
  return seed;
}

}  // namespace

UserMap::UserMap(size_t users_expected) : seed_(RandomSeed()), slots_(SlotsFor(users_expected)) {}

const char* UserMap::EntryOf(uint64_t slot) const {
  const uint64_t place = (slot >> kHashBits) - 1;
  return chunks_[place / kChunkBytes].get() + place % kChunkBytes;
}

// The high bits choose the place, the low ones are kept in the slot.
size_t UserMap::HomeOf(uint64_t hash) const {
  return static_cast<size_t>(absl::Uint128High64(absl::uint128(hash) * slots_.size()));
}

size_t UserMap::SlotFor(absl::string_view key, uint64_t hash) const {
  size_t i = HomeOf(hash);
  while (slots_[i] != 0) {
    if ((slots_[i] & kHashMask) == (hash & kHashMask) && NameOf(EntryOf(slots_[i])) == key) break;
    if (++i == slots_.size()) i = 0;
  }
  return i;
}

char* UserMap::NewChunk(bool first) {
  if (!first) return HugePageAllocator<char>().allocate(kChunkBytes);
  void* chunk = malloc(kChunkBytes);
  if (chunk == nullptr) throw std::bad_alloc();
  return static_cast<char*>(chunk);
}

uint64_t UserMap::Append(absl::string_view key, uint32_t target) {
  CHECK(key.size() <= kUserBytesMax);
  const size_t bytes = kHeaderBytes + key.size();
  if (chunk_used_ + bytes > kChunkBytes) {
    chunks_.emplace_back(NewChunk(chunks_.empty()), &free);
    chunk_used_ = 0;
  }
  char* entry = chunks_.back().get() + chunk_used_;
  const auto length = static_cast<uint16_t>(key.size());
  memcpy(entry, &length, sizeof(length));
  memcpy(entry + kLengthBytes, &target, sizeof(target));
  memcpy(entry + kHeaderBytes, key.data(), key.size());
  const uint64_t place = (chunks_.size() - 1) * kChunkBytes + chunk_used_;
  CHECK(place < kPlacesMax);
  chunk_used_ += bytes;
  return place + 1;
}

UserMap::Added UserMap::Add(absl::string_view key, uint32_t target) {
  const uint64_t hash = SeededHash(key, seed_);
  size_t slot = SlotFor(key, hash);
  if (slots_[slot] != 0) {
    return TargetOf(EntryOf(slots_[slot])) == target ? Added::kAgain : Added::kConflict;
  }
  if ((size_ + 1) * 4 > slots_.size() * 3) {
    Rehash(SlotsFor(size_ * 2));
    slot = SlotFor(key, hash);
  }
  slots_[slot] = Append(key, target) << kHashBits | (hash & kHashMask);
  ++size_;
  if (IsDomainPattern(key)) has_domains_ = true;
  return Added::kNew;
}

void UserMap::Rehash(size_t slot_count) {
  const Slots old = std::exchange(slots_, Slots(slot_count));
  for (const uint64_t slot : old) {
    if (slot == 0) continue;
    size_t i = HomeOf(SeededHash(NameOf(EntryOf(slot)), seed_));
    while (slots_[i] != 0) {
      if (++i == slots_.size()) i = 0;
    }
    slots_[i] = slot;
  }
}

void UserMap::Finish() {
  // Up to an eighth too much is not worth a second pass over millions of names.
  const size_t wanted = SlotsFor(size_);
  if (slots_.size() > wanted + wanted / 8) Rehash(wanted);
  chunks_.shrink_to_fit();
}

const char* UserMap::FindEntry(absl::string_view key) const {
  const uint64_t slot = slots_[SlotFor(key, SeededHash(key, seed_))];
  return slot == 0 ? nullptr : EntryOf(slot);
}

std::optional<UserMap::Hit> UserMap::Find(absl::string_view user) const {
  if (const char* entry = FindEntry(user)) return Hit{TargetOf(entry), IsDomainPattern(user)};
  if (!has_domains_) return std::nullopt;
  const absl::string_view domain = DomainOf(user);
  std::array<char, kUserBytesMax> key;
  if (domain.empty() || domain.size() + 2 > key.size()) return std::nullopt;
  key[0] = '*';
  key[1] = '@';
  memcpy(key.data() + 2, domain.data(), domain.size());
  const char* entry = FindEntry(absl::string_view(key.data(), domain.size() + 2));
  if (entry == nullptr) return std::nullopt;
  return Hit{TargetOf(entry), true};
}

size_t UserMap::memory_bytes() const {
  return sizeof(*this) + slots_.capacity() * sizeof(slots_[0]) +
         chunks_.capacity() * sizeof(chunks_[0]) +
         (chunks_.empty() ? 0 : (chunks_.size() - 1) * kChunkBytes + chunk_used_);
}

}  // namespace postern::routing
