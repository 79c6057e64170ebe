#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "routing/lookup/lookup_options.h"

namespace postern::routing {

LookupKey KeyOf(const LookupQuestion& question, const LookupTraits& traits,
                const LookupDigest& digest) {
  absl::string_view parts[13] = {question.user};
  std::string proxied_to;
  size_t count = 1;
  const auto add = [&](std::initializer_list<absl::string_view> more) {
    for (const absl::string_view part : more) parts[count++] = part;
  };
  if (traits.judges_credentials) {
    add({question.method, question.password.view(), question.digest.view(), question.challenge});
  }
  if (traits.sees_client) {
    if (!question.proxied_to.empty()) proxied_to = question.proxied_to.ToString();
    const LookupCertificate& certificate = question.certificate;
    add({question.client_ip, question.listener, question.sni, question.tls ? "tls" : "",
         certificate.fingerprint, certificate.serial, certificate.issuer, proxied_to});
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
