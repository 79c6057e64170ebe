#include "metrics/worker_stats.h"

#include <iterator>

#include "proxy/base/check.h"

namespace postern::metrics {
namespace {

// The tables are in the order of the enums; each count is tied to the last enumerator, so that a
// new one without a word does not compile.
constexpr absl::string_view kLoginResultNames[] = {"accepted",    "refused", "unknown_user",
                                                   "unavailable", "limited", "sys"};
static_assert(static_cast<int>(LoginResult::kSys) + 1 == kLoginResultCount);
static_assert(std::size(kLoginResultNames) == kLoginResultCount);

constexpr absl::string_view kUpstreamErrorNames[] = {
    "refused",      "unreachable",   "connect_timeout", "resolve", "greeting_timeout",
    "bad_greeting", "extra_lines",   "closed",          "tls",     "stls_refused",
    "xclient",      "login_timeout", "bad_reply",       "local",   "out",
    "full",
};
static_assert(static_cast<int>(UpstreamError::kFull) + 1 == kUpstreamErrorCount);
static_assert(std::size(kUpstreamErrorNames) == kUpstreamErrorCount);

constexpr absl::string_view kTlsVersionNames[] = {"TLSv1.2", "TLSv1.3", "other"};
static_assert(static_cast<int>(TlsVersion::kOther) + 1 == kTlsVersionCount);
static_assert(std::size(kTlsVersionNames) == kTlsVersionCount);

constexpr absl::string_view kTlsCipherNames[] = {"AES128-GCM", "AES256-GCM", "CHACHA20-POLY1305",
                                                 "other"};
static_assert(static_cast<int>(TlsCipher::kOther) + 1 == kTlsCipherCount);
static_assert(std::size(kTlsCipherNames) == kTlsCipherCount);

constexpr absl::string_view kRelayVerbNames[] = {"stat", "list", "retr", "dele", "noop", "rset",
                                                 "top",  "uidl", "capa", "quit", "other"};
static_assert(static_cast<int>(RelayVerb::kOther) + 1 == kRelayVerbCount);
static_assert(std::size(kRelayVerbNames) == kRelayVerbCount);

constexpr absl::string_view kInUseResultNames[] = {"logged_in", "gave_up", "other"};
static_assert(static_cast<int>(InUseResult::kOther) + 1 == kInUseResultCount);
static_assert(std::size(kInUseResultNames) == kInUseResultCount);

template <typename Enum, size_t kCount>
absl::string_view NameOf(Enum value, const absl::string_view (&names)[kCount]) {
  const auto index = static_cast<size_t>(value);
  CHECK(index < kCount);
  return names[index];
}

// Makes the blocks below `wanted` that are missing. The store is the last step: a reader sees no
// block or a whole one.
template <typename Block, size_t kMax>
void GrowTable(size_t wanted, std::array<std::atomic<Block*>, kMax>& table,
               std::vector<std::unique_ptr<Block>>& owned) {
  CHECK(wanted <= kMax);
  while (owned.size() < wanted) {
    const size_t id = owned.size();
    owned.push_back(std::make_unique<Block>());
    table[id].store(owned.back().get(), std::memory_order_release);
  }
}

template <typename Block, size_t kMax>
Block* Find(size_t id, const std::array<std::atomic<Block*>, kMax>& table) {
  return id < kMax ? table[id].load(std::memory_order_acquire) : nullptr;
}

}  // namespace

absl::string_view LoginResultName(LoginResult result) { return NameOf(result, kLoginResultNames); }

absl::string_view UpstreamErrorName(UpstreamError error) {
  return NameOf(error, kUpstreamErrorNames);
}

absl::string_view TlsVersionName(TlsVersion version) { return NameOf(version, kTlsVersionNames); }

absl::string_view TlsCipherName(TlsCipher cipher) { return NameOf(cipher, kTlsCipherNames); }

absl::string_view RelayVerbName(RelayVerb verb) { return NameOf(verb, kRelayVerbNames); }

absl::string_view InUseResultName(InUseResult result) { return NameOf(result, kInUseResultNames); }

void WorkerStats::Grow(size_t listeners, size_t backends) {
  const std::lock_guard<std::mutex> lock(grow_mutex_);
  GrowTable(listeners, listeners_, owned_listeners_);
  GrowTable(backends, backends_, owned_backends_);
}

ListenerStats& WorkerStats::listener(size_t id) {
  ListenerStats* stats = Find(id, listeners_);
  CHECK(stats != nullptr);
  return *stats;
}

BackendStats& WorkerStats::backend(size_t id) {
  BackendStats* stats = Find(id, backends_);
  CHECK(stats != nullptr);
  return *stats;
}

const ListenerStats* WorkerStats::FindListener(size_t id) const { return Find(id, listeners_); }

const BackendStats* WorkerStats::FindBackend(size_t id) const { return Find(id, backends_); }

}  // namespace postern::metrics
