#include "bench/load/results.h"

#include <algorithm>

namespace postern::load {
namespace {

constexpr std::array<absl::string_view, kEndings> kEndingNames = {
    "good",     "no_socket", "connect", "tls",    "greeting", "refused", "temporary",
    "accepted", "protocol",  "corrupt", "closed", "reset",    "timeout", "stopped"};
constexpr std::array<absl::string_view, kSpans> kSpanNames = {
    "connect", "handshake", "greeting", "login", "refusal", "capa", "stat", "list",
    "uidl",    "retrieve",  "top",      "dele",  "rset",    "noop", "quit", "session"};

}  // namespace

absl::string_view Name(Ending ending) { return kEndingNames[static_cast<size_t>(ending)]; }
absl::string_view Name(Span span) { return kSpanNames[static_cast<size_t>(span)]; }

void Results::Merge(const Results& other) {
  for (size_t i = 0; i < kEndings; ++i) {
    endings[i] += other.endings[i];
    if (examples[i].empty()) examples[i] = other.examples[i];
  }
  for (size_t i = 0; i < kSpans; ++i) spans[i].Merge(other.spans[i]);
  logins += other.logins;
  refusals += other.refusals;
  messages += other.messages;
  message_bytes += other.message_bytes;
  verified += other.verified;
  sizes_compared += other.sizes_compared;
  resumed += other.resumed;
  handshakes += other.handshakes;
  late += other.late;
  behind += other.behind;
  dropped += other.dropped;
  for (const auto& [what, count] : other.tls) tls[what] += count;
  first_start = std::min(first_start, other.first_start);
  last_end = std::max(last_end, other.last_end);
  thread_busy_max = std::max(thread_busy_max, other.thread_busy_max);
}

uint64_t Results::sessions() const {
  uint64_t sum = 0;
  for (const uint64_t count : endings) sum += count;
  return sum;
}

double Results::seconds() const {
  return last_end <= first_start ? 0 : static_cast<double>(last_end - first_start) / kSecond;
}

}  // namespace postern::load
