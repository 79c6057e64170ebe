#include "routing/overrides.h"

#include <cstring>
#include <limits>
#include <utility>

#include "proxy/base/check.h"
#include "routing/backend_state.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

// An entry: number of the backend, length of the name, the name.
constexpr size_t kHeaderBytes = 4;
// Less garbage than this is not worth a new arena.
constexpr size_t kGarbageMin = 4096;

uint16_t ReadNumber(const std::string& arena, size_t at) {
  uint16_t number = 0;
  std::memcpy(&number, arena.data() + at, sizeof(number));
  return number;
}

absl::string_view NameAt(const std::string& arena, uint32_t at) {
  return {arena.data() + at + kHeaderBytes, ReadNumber(arena, at + 2)};
}

void AppendEntry(uint16_t backend, absl::string_view user, std::string* arena) {
  const auto length = static_cast<uint16_t>(user.size());
  arena->append(reinterpret_cast<const char*>(&backend), sizeof(backend));
  arena->append(reinterpret_cast<const char*>(&length), sizeof(length));
  arena->append(user.data(), user.size());
}

// The set holds offsets into an arena and is asked with names.
struct EntryHash {
  using is_transparent = void;
  const std::string* arena;
  size_t operator()(uint32_t at) const { return StableHash(NameAt(*arena, at)); }
  size_t operator()(absl::string_view user) const { return StableHash(user); }
};

struct EntryEqual {
  using is_transparent = void;
  const std::string* arena;
  bool operator()(uint32_t a, uint32_t b) const { return a == b; }
  bool operator()(uint32_t a, absl::string_view user) const { return NameAt(*arena, a) == user; }
  bool operator()(absl::string_view user, uint32_t a) const { return NameAt(*arena, a) == user; }
};

using Entries = absl::flat_hash_set<uint32_t, EntryHash, EntryEqual>;

}  // namespace

struct Overrides::Shard {
  Shard() : entries(0, EntryHash{&arena}, EntryEqual{&arena}) {}

  // Leaves the removed entries behind.
  void Compact() {
    std::string live;
    live.reserve(arena.size() - garbage);
    std::vector<uint32_t> places;
    places.reserve(entries.size());
    for (const uint32_t at : entries) {
      places.push_back(static_cast<uint32_t>(live.size()));
      AppendEntry(ReadNumber(arena, at), NameAt(arena, at), &live);
    }
    entries.clear();
    arena = std::move(live);
    garbage = 0;
    entries.insert(places.begin(), places.end());
  }

  mutable std::mutex mutex;
  std::string arena;
  size_t garbage = 0;  // bytes of the arena that belong to no entry any more
  Entries entries;
};

Overrides::Overrides() : shards_(std::make_unique<std::array<Shard, kShards>>()) {}
Overrides::~Overrides() = default;

Overrides::Shard& Overrides::ShardOf(absl::string_view user) const {
  // Other bits than the ones the set sorts by.
  return (*shards_)[(StableHash(user) >> 40) % kShards];
}

int Overrides::NumberOf(const Backend& backend) {
  const std::lock_guard<std::mutex> lock(backends_mutex_);
  for (size_t i = 0; i < backends_.size(); ++i) {
    if (backends_[i] == backend) return static_cast<int>(i);
  }
  if (backends_.size() > std::numeric_limits<uint16_t>::max()) return -1;
  backends_.push_back(backend);
  return static_cast<int>(backends_.size() - 1);
}

Overrides::Backend Overrides::BackendOf(uint16_t number) const {
  const std::lock_guard<std::mutex> lock(backends_mutex_);
  return backends_[number];
}

Overrides::Backend Overrides::Look(absl::string_view user) const {
  uint16_t number = 0;
  {
    const Shard& shard = ShardOf(user);
    const std::lock_guard<std::mutex> lock(shard.mutex);
    const auto found = shard.entries.find(user);
    if (found == shard.entries.end()) return nullptr;
    number = ReadNumber(shard.arena, *found);
  }
  return BackendOf(number);
}

absl::Status Overrides::Set(absl::string_view user, const Backend& backend) {
  CHECK(backend != nullptr && user.size() <= std::numeric_limits<uint16_t>::max());
  const int number = NumberOf(backend);
  if (number < 0) return absl::ResourceExhaustedError("moves name too many different backends");
  const auto stored = static_cast<uint16_t>(number);
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.entries.find(user);
  if (found != shard.entries.end()) {
    std::memcpy(shard.arena.data() + *found, &stored, sizeof(stored));
    return absl::OkStatus();
  }
  const size_t end = shard.arena.size() + kHeaderBytes + user.size();
  if (end > std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError("too many users are moved");
  }
  const auto at = static_cast<uint32_t>(shard.arena.size());
  AppendEntry(stored, user, &shard.arena);
  shard.entries.insert(at);
  count_.fetch_add(1, std::memory_order_release);
  return absl::OkStatus();
}

bool Overrides::Remove(absl::string_view user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.entries.find(user);
  if (found == shard.entries.end()) return false;
  shard.entries.erase(found);
  shard.garbage += kHeaderBytes + user.size();
  count_.fetch_sub(1, std::memory_order_release);
  if (shard.garbage >= kGarbageMin && 2 * shard.garbage > shard.arena.size()) shard.Compact();
  return true;
}

void Overrides::ForEach(const std::function<bool(absl::string_view, const Backend&)>& visit) const {
  for (const Shard& shard : *shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    for (const uint32_t at : shard.entries) {
      if (!visit(NameAt(shard.arena, at), BackendOf(ReadNumber(shard.arena, at)))) return;
    }
  }
}

size_t Overrides::memory_bytes() const {
  size_t bytes = 0;
  for (const Shard& shard : *shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    bytes += shard.arena.capacity() + shard.entries.capacity() * (sizeof(uint32_t) + 1);
  }
  return bytes;
}

}  // namespace postern::routing
