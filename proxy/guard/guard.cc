#include "proxy/guard/guard.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <utility>

#include "absl/container/fixed_array.h"
#include "absl/strings/ascii.h"
#include "proxy/base/check.h"
#include "proxy/guard/address_lists.h"

namespace postern::guard {
namespace {

// Of the limit: delays begin here.
constexpr double kDelayFrom = 0.25;
// Listeners are at most 64; nothing of them is ever evicted.
constexpr size_t kListenerEntries = 4096;
// A session takes the places of an address, a network, a user and an attempt.
constexpr size_t kPlacesPerSession = 4;

absl::string_view View(const std::array<uint8_t, 16>& bytes, size_t count) {
  return absl::string_view(reinterpret_cast<const char*>(bytes.data()), count);
}

// Under which the attempts of an account are counted. A user's stand beside the user's sessions:
// one cache line for both, and no hash of their own.
uint64_t AttemptsKey(uint64_t key) {
  constexpr uint64_t kAttempts = uint64_t{1} << 63;  // above what the table's places look at
  return key == kAttempts ? 1 : key ^ kAttempts;     // 0 is an empty place
}

// From `delay` at a quarter of the limit to `delay_max` at the whole, by the same factor each time.
DurationNs DelayAt(double share, const FailureRules& rules) {
  if (share < kDelayFrom) return 0;
  const double way = (share - kDelayFrom) / (1 - kDelayFrom);
  const auto least = static_cast<double>(rules.delay);
  const auto most = static_cast<double>(rules.delay_max);
  if (least <= 0) return static_cast<DurationNs>(most * way);
  return static_cast<DurationNs>(least * std::pow(most / least, way));
}

}  // namespace

Visit::~Visit() { guard_->Leave(this); }

Guard::Guard(const HashKey& key, size_t sessions_max) : key_(key), sessions_max_(sessions_max) {}

absl::Status Guard::Prepare(const Options& options) {
  const std::lock_guard<std::mutex> lock(mutex_);
  bool ok = true;
  const auto make = [&ok](auto* table, size_t size) {
    if (*table != nullptr) return;
    using Table = typename std::remove_reference_t<decltype(*table)>::element_type;
    auto made = std::make_unique<Table>(size);
    ok = ok && made->ok();
    if (made->ok()) *table = std::move(made);
  };
  if (options.limits_places() || options.guards_logins()) {
    make(&places_, kPlacesPerSession * sessions_max_);
  }
  if (options.failures.on) make(&failures_, options.entries);
  if (options.guards_logins()) make(&known_, options.entries);
  if (options.login_delays) make(&polls_, options.entries);
  if (options.limits_rates()) {
    make(&rates_, options.entries);
    make(&listeners_, kListenerEntries);
  }
  if (ok) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "guard: the system has no memory for its tables; try fewer entries, or fewer sessions");
}

uint64_t Guard::Key(Kind kind, absl::string_view bytes) const {
  const uint64_t hash =
      KeyedHash(HashKey{key_.k0, key_.k1 ^ (static_cast<uint64_t>(kind) + 1)}, bytes);
  return hash == 0 ? 1 : hash;  // 0 is an empty place
}

// By kPrefix the network, by any other kind the address itself.
uint64_t Guard::AddressKey(Kind kind, const Options& options, const SocketAddress& client) const {
  std::array<uint8_t, 16> bytes{};
  const size_t count = CopyAddress(client, &bytes);
  if (kind == Kind::kPrefix) {
    MaskAddress(count == 4 ? options.ipv4_prefix : options.ipv6_prefix, &bytes);
  }
  return Key(kind, View(bytes, count));
}

GuardRefusal Guard::LetIn(const Options& options, const AddressLists* lists,
                          const SocketAddress& client, absl::string_view listener, TimeNs now) {
  if (lists != nullptr && !lists->allow.Contains(client) &&
      (options.deny_unlisted || lists->deny.Contains(client))) {
    return GuardRefusal::kDenied;
  }
  if (!options.limits_rates() || IsExempt(options, client)) return GuardRefusal::kNone;
  const auto charge = [now](FadeTable* table, uint64_t key, const Rate& rate) {
    return rate.count == 0 || table->Charge(key, rate.interval(), rate.count, now);
  };
  const ConnectionRates& rates = options.connections;
  if (!charge(rates_.get(), AddressKey(Kind::kIp, options, client), rates.ip)) {
    return GuardRefusal::kRateIp;
  }
  if (!charge(rates_.get(), AddressKey(Kind::kPrefix, options, client), rates.prefix)) {
    return GuardRefusal::kRatePrefix;
  }
  if (!charge(listeners_.get(), Key(Kind::kListener, listener), rates.listener)) {
    return GuardRefusal::kRateListener;
  }
  return GuardRefusal::kNone;
}

bool Guard::AddPlace(uint64_t key, int limit, uint64_t* place, uint32_t* count) {
  switch (places_->Add(key, static_cast<uint32_t>(std::max(limit, 0)), count)) {
    case CountTable::Added::kYes:
      *place = key;
      return true;
    case CountTable::Added::kLimit:
      return false;
    case CountTable::Added::kFull:
      // There is room for as many sessions as there may be; better let one in uncounted than none.
      uncounted_.fetch_add(1, std::memory_order_relaxed);
      return true;
  }
  return true;
}

void Guard::GiveBack(uint64_t* place) {
  const uint64_t key = std::exchange(*place, 0);
  if (key != 0) places_->Remove(key);
}

GuardRefusal Guard::TakePlace(const Options& options, const SocketAddress& client, Visit* visit) {
  CHECK(!visit->has_place_);
  const SessionLimits& limits = options.sessions;
  if (!options.limits_places() || IsExempt(options, client)) {
    visit->has_place_ = true;
    return GuardRefusal::kNone;
  }
  if (limits.ip > 0 &&
      !AddPlace(AddressKey(Kind::kIp, options, client), limits.ip, &visit->ip_place_)) {
    return GuardRefusal::kSessionsIp;
  }
  if (limits.prefix > 0 &&
      !AddPlace(AddressKey(Kind::kPrefix, options, client), limits.prefix, &visit->prefix_place_)) {
    GiveBack(&visit->ip_place_);
    return GuardRefusal::kSessionsPrefix;
  }
  visit->has_place_ = true;
  return GuardRefusal::kNone;
}

bool Guard::IsExhausted(uint64_t key, int limit, const FailureRules& rules, TimeNs now,
                        double* share) const {
  if (limit == 0) return false;
  const int level = failures_->Level(key, rules.forget, now);
  *share = std::max(*share, static_cast<double>(level) / limit);
  return level >= limit;
}

uint64_t Guard::LoginKeys(const Options& options, const SocketAddress& client,
                          absl::string_view user, Visit* visit) const {
  std::array<uint8_t, 16> network{};
  const size_t count = CopyAddress(client, &network);
  MaskAddress(count == 4 ? options.ipv4_prefix : options.ipv6_prefix, &network);
  const absl::string_view address = View(network, count);
  // Most backends take "Alice" and "alice" for one user; then spelling the name in another way must
  // not give an attacker a fresh account.
  absl::FixedArray<char, 128> pair(1 + count + user.size());
  pair[0] = static_cast<char>(count);
  char* const name = std::copy(address.begin(), address.end(), pair.data() + 1);
  std::transform(user.begin(), user.end(), name, absl::ascii_tolower);
  visit->pair_ = Key(Kind::kPair, absl::string_view(pair.data(), pair.size()));
  known_->Prefetch(visit->pair_);
  return Key(Kind::kUser, absl::string_view(name, user.size()));
}

GuardRefusal Guard::BeginLogin(const Options& options, const SocketAddress& client,
                               absl::string_view user, TimeNs now, Visit* visit) {
  CHECK(!visit->in_login());
  visit->delay_ = 0;
  if (!options.guards_logins() || IsExempt(options, client)) return GuardRefusal::kNone;
  const FailureRules& rules = options.failures;
  const uint64_t key = LoginKeys(options, client, user, visit);
  visit->ip_ = AddressKey(Kind::kIp, options, client);
  visit->prefix_ = AddressKey(Kind::kPrefix, options, client);
  visit->known_ = known_->kept(visit->pair_, now);
  if (!rules.on) {
    visit->user_ = key;
    return GuardRefusal::kNone;
  }
  double share = 0;
  // Where users have no limit, a known network would have none at all: it is then one like others.
  const bool own_account = visit->known_ && rules.user > 0;
  const uint64_t account = own_account ? visit->pair_ : key;
  // Each of these is somewhere in megabytes: fetched together, they are waited for once.
  places_->Prefetch(AttemptsKey(account));
  failures_->Prefetch(account);
  if (!own_account) {
    failures_->Prefetch(visit->ip_);
    failures_->Prefetch(visit->prefix_);
  }
  if (IsExhausted(account, rules.user, rules, now, &share)) return GuardRefusal::kFailuresUser;
  if (!own_account) {
    if (IsExhausted(visit->ip_, rules.ip, rules, now, &share)) return GuardRefusal::kFailuresIp;
    if (IsExhausted(visit->prefix_, rules.prefix, rules, now, &share)) {
      return GuardRefusal::kFailuresPrefix;
    }
  }
  if (rules.user > 0 && !TakeAttempt(account, rules, now, visit)) {
    return GuardRefusal::kFailuresUser;
  }
  visit->user_ = key;
  visit->delay_ = DelayAt(share, rules);
  return GuardRefusal::kNone;
}

bool Guard::TakeAttempt(uint64_t account, const FailureRules& rules, TimeNs now, Visit* visit) {
  uint32_t under_way = 0;
  if (!AddPlace(AttemptsKey(account), rules.user, &visit->attempt_place_, &under_way)) {
    return false;
  }
  // In this order, and EndLogin() in the other: an attempt that ends meanwhile is seen twice
  // rather than not at all.
  const int level = failures_->Level(account, rules.forget, now);
  if (static_cast<int>(under_way) + level <= rules.user) return true;
  GiveBack(&visit->attempt_place_);
  return false;
}

void Guard::PauseLogin(Visit* visit) { GiveBack(&visit->attempt_place_); }

bool Guard::ResumeLogin(const Options& options, TimeNs now, Visit* visit) {
  const FailureRules& rules = options.failures;
  if (!visit->in_login() || !rules.on || rules.user == 0) return true;
  if (visit->attempt_place_ != 0) return true;
  return TakeAttempt(visit->known_ ? visit->pair_ : visit->user_, rules, now, visit);
}

void Guard::EndLogin(const Options& options, bool wrong, TimeNs now, Visit* visit) {
  if (!visit->in_login()) return;
  const FailureRules& rules = options.failures;
  if (wrong && rules.on) {
    const auto note = [&](uint64_t key, int limit) {
      if (limit > 0) failures_->Add(key, rules.forget, limit, now);
    };
    // Without limits of users a known network has no account of its own: see BeginLogin().
    if (visit->known_ && rules.user > 0) {
      note(visit->pair_, rules.user);
    } else {
      note(visit->user_, rules.user);
      note(visit->ip_, rules.ip);
      note(visit->prefix_, rules.prefix);
    }
  }
  // After the failure was noted, see BeginLogin().
  GiveBack(&visit->attempt_place_);
  visit->user_ = 0;
}

GuardRefusal Guard::MayLogIn(const Options& options, DurationNs login_delay, TimeNs now,
                             const Visit& visit) const {
  if (!visit.in_login() || !visit.known_) return GuardRefusal::kNone;
  if (options.sessions.user > 0 &&
      places_->Count(visit.user_) >= static_cast<uint32_t>(options.sessions.user)) {
    return GuardRefusal::kSessionsUser;
  }
  if (options.login_delays && login_delay > 0 && polls_->kept(visit.user_, now)) {
    return GuardRefusal::kLoginDelay;
  }
  return GuardRefusal::kNone;
}

GuardRefusal Guard::Accept(const Options& options, DurationNs login_delay, TimeNs now,
                           Visit* visit) {
  if (!visit->in_login()) return GuardRefusal::kNone;
  // While it waits for known_.
  if (options.sessions.user > 0) places_->Prefetch(visit->user_);
  if (options.login_delays && login_delay > 0) polls_->Prefetch(visit->user_);
  known_->KeepUntil(visit->pair_, now + options.known_for, now);
  CHECK(visit->user_place_ == 0);
  if (options.sessions.user > 0 &&
      !AddPlace(visit->user_, options.sessions.user, &visit->user_place_)) {
    return GuardRefusal::kSessionsUser;
  }
  if (options.login_delays && login_delay > 0 &&
      !polls_->KeepUnlessKept(visit->user_, now + login_delay, now)) {
    GiveBack(&visit->user_place_);
    return GuardRefusal::kLoginDelay;
  }
  return GuardRefusal::kNone;
}

void Guard::Leave(Visit* visit) {
  GiveBack(&visit->ip_place_);
  GiveBack(&visit->prefix_place_);
  GiveBack(&visit->user_place_);
  GiveBack(&visit->attempt_place_);
  visit->has_place_ = false;
  visit->user_ = 0;
}

std::vector<TableReport> Guard::Report() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<TableReport> reports;
  if (places_ != nullptr) {
    reports.push_back({"sessions", places_->size(), places_->capacity(), places_->bytes(), 0});
  }
  const auto add = [&reports](const char* name, const std::unique_ptr<FadeTable>& table) {
    if (table == nullptr) return;
    reports.push_back({name, table->size(), table->capacity(), table->bytes(), table->evictions()});
  };
  add("failures", failures_);
  add("known", known_);
  add("logins", polls_);
  add("connections", rates_);
  return reports;
}

}  // namespace postern::guard
