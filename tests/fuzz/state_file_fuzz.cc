// The state file, whatever happened to it: all of it or a mistake with its place, and what was read
// is written again as it stood.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "proxy/state_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  postern::log::Configure(postern::log::Level::kError);
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<postern::SavedState> saved = postern::ParseState(input, "state");
  if (!saved.ok()) {
    CHECK(absl::StartsWith(saved.status().message(), "state:"));
    return 0;
  }
  postern::routing::BackendStates states;
  CHECK(postern::ApplyState(*saved, &states).ok());
  const std::string text = postern::WriteState(states, saved->overlay);
  const absl::StatusOr<postern::SavedState> again = postern::ParseState(text, "state");
  CHECK(again.ok());
  CHECK(again->moves.size() == states.overrides()->size());
  CHECK(again->group_moves.size() == states.overrides()->groups().size());
  CHECK(again->holds.size() == states.holds()->size());
  CHECK(again->overlay.added.size() == saved->overlay.added.size());
  CHECK(again->overlay.removed.size() == saved->overlay.removed.size());
  return 0;
}
