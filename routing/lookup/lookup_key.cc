#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "routing/lookup/lookup_options.h"

namespace postern::routing {

LookupKey KeyOf(const LookupQuestion& question, const LookupTraits& traits,
                const LookupDigest& digest) {
  absl::string_view parts[10] = {question.user};
  size_t count = 1;
  const auto add = [&](std::initializer_list<absl::string_view> more) {
    for (const absl::string_view part : more) parts[count++] = part;
  };
  if (traits.judges_credentials) {
    add({question.method, question.password.view(), question.digest.view(), question.challenge});
  }
  if (traits.sees_client) {
    add({question.client_ip, question.listener, question.sni, question.tls ? "tls" : ""});
  }
  size_t bytes = 0;
  for (size_t i = 0; i < count; ++i) bytes += sizeof(uint32_t) + parts[i].size();
  // Each part behind its length, so that no two questions run together. In one block that never
  // grows, because a password is in it.
  std::string message(bytes, '\0');
  char* end = message.data();
  for (size_t i = 0; i < count; ++i) {
    const auto size = static_cast<uint32_t>(parts[i].size());
    std::memcpy(end, &size, sizeof(size));
    if (size > 0) std::memcpy(end + sizeof(size), parts[i].data(), size);
    end += sizeof(size) + size;
  }
  const LookupKey key = digest(message);
  WipeMemory(message.data(), message.size());
  return key;
}

}  // namespace postern::routing
