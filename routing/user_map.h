// Millions of users and where each one lives, compact in memory.
//
//   chunks   [length:2][target:4][name]...  the names, one behind the other, in 2 MiB pieces
//   slots    [place in chunks + 1 : 40][hash : 24]  open addressing, linear probing
//
// A user of 22 bytes costs 22 + 6 for the entry and about 11.4 for its slot (at most 70 % of the
// slots are used). A lookup touches two cache lines it has not seen: one slot, one entry; the 24
// bits of hash spare it the entries of others.
//
// Filled by one thread, then immutable and read by any number.
#ifndef POSTERN_ROUTING_USER_MAP_H_
#define POSTERN_ROUTING_USER_MAP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "routing/huge_page_allocator.h"

namespace postern::routing {

class UserMap {
 public:
  enum class Added {
    kNew,
    kAgain,     // known with the same target
    kConflict,  // known with another target; the first one stays
  };
  struct Hit {
    uint32_t target;
    bool by_domain;  // an entry "*@domain", not the user's own
  };

  // `users_expected` saves rehashing; 0 is fine.
  explicit UserMap(size_t users_expected = 0);
  UserMap(const UserMap&) = delete;
  UserMap& operator=(const UserMap&) = delete;

  // `key` is normalised, or "*@domain"; at most kUserBytesMax octets.
  Added Add(absl::string_view key, uint32_t target);
  // Gives back what was reserved for growth. Call once, when everything is in.
  void Finish();

  // The user's own entry, or else the one for its domain. Never allocates.
  std::optional<Hit> Find(absl::string_view user) const;

  size_t size() const { return size_; }
  // All memory in use, names included.
  size_t memory_bytes() const;

 private:
  // One huge page.
  static constexpr size_t kChunkBytes = size_t{1} << 21;
  using Slots = std::vector<uint64_t, HugePageAllocator<uint64_t>>;
  // The first one of ordinary memory: small maps touch only the pages they need.
  static char* NewChunk(bool first);

  const char* EntryOf(uint64_t slot) const;
  // The slot that holds `key`, or the free one where it belongs.
  size_t SlotFor(absl::string_view key, uint64_t hash) const;
  size_t HomeOf(uint64_t hash) const;
  const char* FindEntry(absl::string_view key) const;
  void Rehash(size_t slot_count);
  uint64_t Append(absl::string_view key, uint32_t target);

  const uint64_t seed_;
  size_t size_ = 0;
  bool has_domains_ = false;
  Slots slots_;
  std::vector<std::unique_ptr<char, void (*)(void*)>> chunks_;
  size_t chunk_used_ = kChunkBytes;  // of the last chunk
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_USER_MAP_H_
