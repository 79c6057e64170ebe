// The relay's counter. Byte 0 seeds the cuts; the rest is a session in which the byte 0x01 changes
// the speaker, the client first. However each side's bytes are cut, the counter says the same.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/relay_counter.h"
#include "tests/fuzz/split_points.h"

namespace postern::pop3 {
namespace {

constexpr char kOtherSpeaks = '\x01';

void Feed(RelayCounter* counter, bool client, absl::string_view bytes) {
  if (client) {
    counter->OnClientBytes(bytes);
  } else {
    counter->OnServerBytes(bytes);
  }
}

void CheckSame(const RelayCounter& a, const RelayCounter& b) {
  CHECK(a.counts().commands == b.counts().commands);
  CHECK(a.counts().messages_retrieved == b.counts().messages_retrieved);
  CHECK(a.quit_sent() == b.quit_sent());
  CHECK(a.quit_pending() == b.quit_pending());
  CHECK(a.boundary() == b.boundary());
  CHECK(a.response_pending() == b.response_pending());
  const RelayCounts& counts = a.counts();
  CHECK(counts.messages_retrieved <= counts.of(RelayCommand::kRetr));
  CHECK(!a.quit_sent() || counts.of(RelayCommand::kQuit) > 0);
  if (a.quit_pending()) CHECK(a.quit_sent() && a.response_pending());
  if (a.boundary() == RelayCounter::Boundary::kInside) CHECK(a.response_pending());
}

}  // namespace
}  // namespace postern::pop3

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using postern::pop3::RelayCounter;
  if (size < 1) return 0;
  postern::fuzz::SplitPoints cuts(data[0]);
  absl::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  RelayCounter whole;
  RelayCounter split;
  bool client = true;
  while (!input.empty()) {
    const size_t end = input.find(postern::pop3::kOtherSpeaks);
    absl::string_view turn = input.substr(0, end);
    input.remove_prefix(end == absl::string_view::npos ? input.size() : end + 1);
    postern::pop3::Feed(&whole, client, turn);
    while (!turn.empty()) postern::pop3::Feed(&split, client, cuts.Take(&turn));
    postern::pop3::CheckSame(whole, split);
    client = !client;
  }
  return 0;
}
