#include "routing/cdb_map.h"

#ifdef POSTERN_CDB
#include <cdb.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/base/escape.h"
#include "proxy/base/file_error.h"
#include "proxy/base/status_macros.h"
#include "routing/user_key.h"

namespace postern::routing {

#ifdef POSTERN_CDB

namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr size_t kProgressBytes = size_t{1} << 24;
constexpr size_t kMistakesMax = 20;

// Where tinycdb found a value; its cursor is in the struct, so each look-up has a copy.
std::optional<absl::string_view> ValueOf(const struct cdb& database, absl::string_view key) {
  struct cdb cursor = database;
  if (cdb_find(&cursor, key.data(), static_cast<unsigned>(key.size())) <= 0) return std::nullopt;
  const void* value = cdb_get(&cursor, cdb_datalen(&cursor), cdb_datapos(&cursor));
  if (value == nullptr) return std::nullopt;
  return absl::string_view(static_cast<const char*>(value), cdb_datalen(&cursor));
}

// The content of `file` in memory without a name; the descriptor is the caller's.
absl::StatusOr<int> CopyToMemory(const std::string& file, const MapProgress& progress) {
  // Without O_NONBLOCK a FIFO would hold us until somebody writes to it.
  const int from = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (from < 0) return FileError(file, "cannot be opened", errno);
  const auto close_from = absl::MakeCleanup([from] { close(from); });
  struct stat status;
  if (fstat(from, &status) != 0) {
    return FileError(file, "cannot be read", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(file, ": is not a regular file"));
  }
  const int to = memfd_create("postern-cdb", MFD_CLOEXEC);
  if (to < 0) return absl::ErrnoToStatus(errno, absl::StrCat(file, ": no memory for it"));
  auto close_to = absl::MakeCleanup([to] { close(to); });
  std::vector<char> piece(kPieceBytes);
  size_t done = 0;
  size_t told = 0;
  const auto total = static_cast<size_t>(status.st_size);
  while (true) {
    const ssize_t got = read(from, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError(file, "cannot be read", errno);
    for (ssize_t put = 0; put < got;) {
      const ssize_t wrote =
          write(to, piece.data() + put, static_cast<size_t>(got) - static_cast<size_t>(put));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return absl::ErrnoToStatus(errno, absl::StrCat(file, ": no memory for it"));
      put += wrote;
    }
    done += static_cast<size_t>(got);
    if (progress != nullptr && (got == 0 || done - told >= kProgressBytes)) {
      told = done;
      progress(file, done, std::max(done, total));
    }
    if (got == 0) break;
  }
  std::move(close_to).Cancel();
  return to;
}

}  // namespace

struct CdbMap::Impl {
  ~Impl() {
    if (open) {
      cdb_free(&database);
      close(cdb_fileno(&database));
    }
  }

  // What is wrong with the record that stands at `cursor`; empty when it is good.
  std::string CheckRecord(const UserOptions& options, absl::string_view key,
                          absl::string_view value) {
    if (IsDomainPattern(key)) {
      const absl::Status usable = NormaliseDomainPattern(options, key, &spelled);
      if (!usable.ok()) return std::string(usable.message());
      spelled.insert(0, "*@");
      has_domains = true;
    } else if (key == "*") {
      return "is not a user; for everybody else put a route with users = \"*\" behind this one";
    } else {
      const absl::Status usable = routing::NormaliseUser(options, key, &spelled);
      if (!usable.ok()) return std::string(usable.message());
    }
    if (spelled != key) {
      return absl::StrCat("would never be found, because [users] makes \"", EscapeForLog(spelled),
                          "\" of it; write the key like that");
    }
    const std::optional<absl::string_view> found = ValueOf(database, key);
    if (!found.has_value()) return "cannot be found by its key; make the file again";
    if (*found != value) return "already has another target; keep one of the records";
    std::string why;
    if (!FindTarget(*targets, value, &why).has_value()) return why;
    ++records;
    return {};
  }

  // Whether the 256 hash tables are whole and hold as many records as were read: each has two slots
  // for a record. Of a file that was cut short the library tells only what is left.
  bool TablesAgree() const {
    uint64_t slots = 0;
    for (unsigned i = 0; i < 256; ++i) {
      const auto* entry = static_cast<const unsigned char*>(cdb_get(&database, 8, i * 8));
      if (entry == nullptr) return false;
      const uint64_t place = cdb_unpack(entry);
      const uint64_t length = cdb_unpack(entry + 4);
      if (place + length * 8 > database.cdb_fsize) return false;
      slots += length;
    }
    return slots == 2 * uint64_t{records};
  }

  absl::Status CheckAll(const std::string& file, const UserOptions& options) {
    std::vector<std::string> mistakes;
    struct cdb cursor = database;
    unsigned place = 0;
    cdb_seqinit(&place, &cursor);
    int more;
    while ((more = cdb_seqnext(&place, &cursor)) > 0 && mistakes.size() < kMistakesMax) {
      const void* key = cdb_get(&cursor, cdb_keylen(&cursor), cdb_keypos(&cursor));
      const void* value = cdb_get(&cursor, cdb_datalen(&cursor), cdb_datapos(&cursor));
      if (key == nullptr || value == nullptr) break;
      const absl::string_view name(static_cast<const char*>(key), cdb_keylen(&cursor));
      const std::string mistake = CheckRecord(
          options, name, absl::string_view(static_cast<const char*>(value), cdb_datalen(&cursor)));
      if (!mistake.empty()) {
        mistakes.push_back(
            absl::StrCat(file, ": key \"", EscapeForLog(name, kUserBytesMax), "\": ", mistake));
      }
    }
    if (!mistakes.empty()) return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
    if (more != 0 || !TablesAgree()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": is damaged or no CDB; make it again, as with cdb -c"));
    }
    return absl::OkStatus();
  }

  struct cdb database {};
  bool open = false;
  size_t records = 0;
  bool has_domains = false;
  std::shared_ptr<const TargetNames> targets;
  std::string spelled;  // while loading
};

CdbMap::CdbMap() : impl_(std::make_unique<Impl>()) {}
CdbMap::~CdbMap() = default;

absl::StatusOr<std::unique_ptr<const CdbMap>> CdbMap::Load(
    const std::string& file, const UserOptions& options, std::shared_ptr<const TargetNames> targets,
    const MapProgress& progress) {
  ASSIGN_OR_RETURN(const int memory, CopyToMemory(file, progress));
  std::unique_ptr<CdbMap> map(new CdbMap());
  if (cdb_init(&map->impl_->database, memory) != 0) {
    close(memory);
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": is no CDB, or empty; make it as with cdb -c"));
  }
  map->impl_->open = true;
  map->impl_->targets = std::move(targets);
  RETURN_IF_ERROR(map->impl_->CheckAll(file, options));
  return std::unique_ptr<const CdbMap>(std::move(map));
}

std::optional<CdbMap::Hit> CdbMap::Find(absl::string_view user) const {
  const auto hit = [this](absl::string_view name, bool by_domain) -> std::optional<Hit> {
    const std::optional<uint32_t> target = FindTarget(*impl_->targets, name, nullptr);
    if (!target.has_value()) return std::nullopt;
    return Hit{*target, by_domain};
  };
  if (const auto name = ValueOf(impl_->database, user)) return hit(*name, IsDomainPattern(user));
  if (!impl_->has_domains) return std::nullopt;
  const absl::string_view domain = DomainOf(user);
  std::array<char, kUserBytesMax> key;
  if (domain.empty() || domain.size() + 2 > key.size()) return std::nullopt;
  key[0] = '*';
  key[1] = '@';
  memcpy(key.data() + 2, domain.data(), domain.size());
  const auto name = ValueOf(impl_->database, absl::string_view(key.data(), domain.size() + 2));
  if (!name.has_value()) return std::nullopt;
  return hit(*name, true);
}

size_t CdbMap::size() const { return impl_->records; }

size_t CdbMap::memory_bytes() const { return impl_->database.cdb_fsize; }

#else  // POSTERN_CDB

struct CdbMap::Impl {};

CdbMap::CdbMap() = default;
CdbMap::~CdbMap() = default;

absl::StatusOr<std::unique_ptr<const CdbMap>> CdbMap::Load(const std::string& file,
                                                           const UserOptions&,
                                                           std::shared_ptr<const TargetNames>,
                                                           const MapProgress&) {
  return absl::UnimplementedError(absl::StrCat(
      file, ": this postern was built without CDB; build it with POSTERN_CDB, or use a map"));
}

std::optional<CdbMap::Hit> CdbMap::Find(absl::string_view) const { return std::nullopt; }
size_t CdbMap::size() const { return 0; }
size_t CdbMap::memory_bytes() const { return 0; }

#endif  // POSTERN_CDB

}  // namespace postern::routing
