// Map files and names: whatever the bytes, an answer or a mistake with its place; what is found was
// written, and normalised names are safe to log and forward.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "routing/user_key.h"
#include "routing/user_map_file.h"

namespace postern::routing {
namespace {

void CheckName(const UserOptions& options, absl::string_view login) {
  std::string key;
  if (!NormaliseUser(options, login, &key).ok()) return;
  CHECK(!key.empty() && key.size() <= kUserBytesMax && key[0] != '@');
  CHECK(std::none_of(key.begin(), key.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  }));
}

void CheckMap(const UserOptions& options, absl::string_view text) {
  const TargetNames targets = {{"mail1", 0}, {"mail2", 1}, {"both", kAmbiguousTarget}};
  const auto map = ParseUserMap(text, "users.map", options, targets);
  if (!map.ok()) {
    CHECK(absl::StartsWith(map.status().message(), "users.map:"));
    return;
  }
  CHECK((*map)->size() <= text.size() / 3 + 1);
  if ((*map)->size() == 0) CHECK(!(*map)->Find("alice@example.org").has_value());
  const auto hit = (*map)->Find(text.substr(0, text.find('\t')));
  CHECK(!hit.has_value() || hit->target <= 1);
}

}  // namespace
}  // namespace postern::routing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  postern::routing::UserOptions options;
  for (const char* strip : {"", "*", "example.org"}) {
    options.strip_domain = strip;
    for (const char* domain : {"", "Example.NET"}) {
      options.default_domain = domain;
      postern::routing::CheckName(options, input);
      postern::routing::CheckMap(options, input);
    }
  }
  return 0;
}
