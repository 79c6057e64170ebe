// Users and their targets from a constant database (CDB), as tinycdb's `cdb -c` makes it.
//
// The key is the user as routes see it (normalised), or "*@domain" for all users of a domain who
// have no record of their own; the value is the name of a backend or pool. The first record of a
// key counts. Immutable after Load(); any number of threads.
#ifndef POSTERN_ROUTING_CDB_MAP_H_
#define POSTERN_ROUTING_CDB_MAP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "routing/options.h"
#include "routing/target_names.h"

namespace postern::routing {

class CdbMap {
 public:
  struct Hit {
    uint32_t target;
    bool by_domain;  // the record "*@domain", not the user's own
  };

  ~CdbMap();
  CdbMap(const CdbMap&) = delete;
  CdbMap& operator=(const CdbMap&) = delete;

  // Takes a copy of the file into memory that belongs to us: a file that somebody overwrites or
  // cuts short later changes no answer and ends no process, and no look-up waits for a disk. Every
  // record is looked at: each must be findable, spelled as logins are and lead somewhere. Errors
  // name the file and the key, at most 20. `targets` is kept.
  static absl::StatusOr<std::unique_ptr<const CdbMap>> Load(
      const std::string& file, const UserOptions& options,
      std::shared_ptr<const TargetNames> targets, const MapProgress& progress = nullptr);

  // The user's own record, or else that of its domain. Never allocates.
  std::optional<Hit> Find(absl::string_view user) const;

  // Users, and domains, in it.
  size_t size() const;
  size_t memory_bytes() const;

 private:
  struct Impl;
  CdbMap();
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_CDB_MAP_H_
