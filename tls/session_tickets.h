// The keys that seal session tickets (RFC 5077, RFC 8446 section 4.6.1).
//
// A ticket is the server's own session state, encrypted and handed to the client, so that nothing
// is stored here. Keys are random at start, never on disk, replaced every 12 hours; two old ones
// still open tickets. One ring serves every worker and survives a reload: a client that returns to
// another worker is recognised. Thread-safe.
#ifndef POSTERN_TLS_SESSION_TICKETS_H_
#define POSTERN_TLS_SESSION_TICKETS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/time.h"

namespace postern::tls {

struct TicketKey {
  std::array<unsigned char, 16> name;        // travels in clear in front of the ticket
  std::array<unsigned char, 32> cipher_key;  // AES-256-CBC
  std::array<unsigned char, 32> mac_key;     // HMAC-SHA256

  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();  // wipes
};

class TicketKeys {
 public:
  static constexpr DurationNs kRotation = 12 * 3600 * kSecond;
  static constexpr size_t kOldKeys = 2;

  using Clock = std::function<TimeNs()>;
  explicit TicketKeys(Clock clock = MonotonicNow);
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  // The key for new tickets.
  TicketKey Current();

  struct Found {
    TicketKey key;
    bool current = false;  // false: still valid, but the client should get a fresh ticket
  };
  // The key a ticket was sealed with, or nothing when it is not ours or too old.
  std::optional<Found> Find(absl::string_view name);

 private:
  struct Slot {
    TicketKey key;
    TimeNs made_at = 0;
  };
  void RotateLocked();

  const Clock clock_;
  std::mutex mutex_;
  std::vector<Slot> slots_;  // newest first
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_SESSION_TICKETS_H_
