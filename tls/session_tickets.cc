#include "tls/session_tickets.h"

#include <cstring>
#include <utility>

#include "proxy/base/secret.h"
#include "tls/random.h"

namespace postern::tls {

TicketKey::~TicketKey() {
  WipeMemory(cipher_key.data(), cipher_key.size());
  WipeMemory(mac_key.data(), mac_key.size());
}

TicketKeys::TicketKeys(Clock clock) : clock_(std::move(clock)) {
  std::lock_guard<std::mutex> lock(mutex_);
  RotateLocked();
}

TicketKey TicketKeys::Current() {
  std::lock_guard<std::mutex> lock(mutex_);
  RotateLocked();
  return slots_.front().key;
}

std::optional<TicketKeys::Found> TicketKeys::Find(absl::string_view name) {
  std::lock_guard<std::mutex> lock(mutex_);
  RotateLocked();
  for (const Slot& slot : slots_) {
    if (name.size() == slot.key.name.size() &&
        std::memcmp(name.data(), slot.key.name.data(), name.size()) == 0) {
      return Found{slot.key, &slot == &slots_.front()};
    }
  }
  return std::nullopt;
}

void TicketKeys::RotateLocked() {
  const TimeNs now = clock_();
  // A key seals for one period and opens for kOldKeys more, also when nobody came in between.
  while (!slots_.empty() &&
         now - slots_.back().made_at >= kRotation * static_cast<DurationNs>(kOldKeys + 1)) {
    slots_.pop_back();
  }
  if (!slots_.empty() && now - slots_.front().made_at < kRotation) return;
  Slot slot;
  slot.made_at = now;
  RandomBytes(slot.key.name.data(), slot.key.name.size());
  RandomBytes(slot.key.cipher_key.data(), slot.key.cipher_key.size());
  RandomBytes(slot.key.mac_key.data(), slot.key.mac_key.size());
  slots_.insert(slots_.begin(), slot);
  if (slots_.size() > kOldKeys + 1) slots_.pop_back();
}

}  // namespace postern::tls
