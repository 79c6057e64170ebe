// Backends that say where the user's mail is instead of letting the user in.
#include "proxy/pop3/referral.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/session.h"

namespace postern {
namespace {

// Whether the backend can be reached at the place that was named.
bool IsAt(const config::Backend& backend, const AddressList& addresses,
          const pop3::Referral& referral, uint16_t port) {
  if (backend.address.is_unix()) return false;
  if (backend.address.port == port && absl::EqualsIgnoreCase(backend.address.host, referral.host)) {
    return true;
  }
  const absl::StatusOr<SocketAddress> literal = SocketAddress::FromIp(referral.host, port);
  if (!literal.ok() || addresses == nullptr) return false;
  return std::find(addresses->begin(), addresses->end(), *literal) != addresses->end();
}

}  // namespace

// Only backends of the configuration are gone to: a password goes nowhere that the operator has not
// named, and there with the TLS that was written for it. -1: none of them, or not for this login.
int Session::ReferredBackend(size_t from, const pop3::Referral& referral) const {
  const std::vector<config::Backend>& backends = config().backends;
  const uint16_t port = referral.port != 0 ? referral.port : backends[from].address.port;
  // What we have logged and limited is this user, so nobody else is logged in. The backend may know
  // the user by the name that a lookup has given.
  const bool same = referral.user == user_ || referral.user == LoginUser();
  if (!referral.user.empty() && !same) return -1;
  for (size_t i = 0; i < backends.size(); ++i) {
    if (!IsAt(backends[i], snapshot_->shared->addresses->Get(i), referral, port)) continue;
    // Whoever was verified for one way of logging in was not for another.
    if (backends[i].login == backends[from].login) return static_cast<int>(i);
  }
  return -1;
}

// After a refusal by `backend`, which may refer to others; it is in refusal_. kRefused: it does
// not, or the last one asked refused for good. kUnavailable: it does, and we cannot follow.
coro::Task<Session::Attempt> Session::FollowReferrals(const routing::Decision* route,
                                                      size_t backend,
                                                      const pop3::Credentials* credentials,
                                                      absl::string_view password, LoginWait* wait) {
  int left = config().backends[backend].referrals;
  std::vector<size_t> asked;
  for (;;) {
    const std::optional<pop3::Referral> referral = pop3::ReadReferral(refusal_);
    if (!referral.has_value()) co_return Attempt::kRefused;
    asked.push_back(backend);
    const int next = ReferredBackend(backend, *referral);
    absl::string_view trouble;
    if (next < 0) {
      trouble = "is no backend of the configuration that takes this user in the same way";
    } else if (std::find(asked.begin(), asked.end(), static_cast<size_t>(next)) != asked.end()) {
      trouble = "has been asked already";
    } else if (left-- <= 0) {
      trouble = "would be one referral too many";
    } else if (credentials->carried()) {
      trouble = "cannot be told what the client has said to this one";
    } else if (affine_ &&
               !snapshot_->shared->affinity->Move(
                   user_, snapshot_->shared->backend_states[static_cast<size_t>(next)])) {
      trouble = "is not where the user's other sessions are";
    }
    if (!trouble.empty()) {
      upstream_error_ =
          absl::StrCat(config().backends[backend].name, " refers to ",
                       EscapeForLog(referral->host, 80), ":", referral->port, ", which ", trouble);
      password_sent_ = true;  // so that no other candidate is tried
      co_return Attempt::kUnavailable;
    }
    backend = static_cast<size_t>(next);
    // It was the lookup's own server that referred, if any: this is another one.
    if (lookup_ != nullptr) lookup_->addresses = nullptr;
    LeaveSeat(/*call_next=*/true);
    if (!TakeSeat(backend)) {
      password_sent_ = true;  // somebody has seen it, so nobody waits with it
      co_return Attempt::kUnavailable;
    }
    const Attempt attempt = co_await TryBackend(route, backend, credentials, password, wait);
    if (attempt != Attempt::kRefused) co_return attempt;
  }
}

}  // namespace postern
