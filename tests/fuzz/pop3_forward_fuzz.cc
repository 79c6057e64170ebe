// FORWARD of XCLIENT: whatever a neighbour says, what is carried on says the same and fits.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/forward_fields.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const std::optional<ForwardFields> fields = ReadForward(text);
  if (!fields.has_value()) return 0;
  for (const auto& [name, value] : *fields) CHECK(IsForwardName(name));
  CHECK(ReadForward(WriteForward(*fields, 4 * size + 8)) == fields);
  for (const size_t room : {size_t{0}, size_t{7}, size_t{80}}) {
    const std::string cut = WriteForward(*fields, room);
    CHECK(cut.size() <= room && !HasControlBytes(cut));
    const std::optional<ForwardFields> kept = ReadForward(cut);
    CHECK(kept.has_value() && kept->size() <= fields->size());
  }
  CHECK(JoinForward(*fields, *fields) == *fields);
  return 0;
}
