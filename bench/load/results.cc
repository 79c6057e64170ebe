#include "bench/load/results.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace postern::load {
namespace {

constexpr std::array<absl::string_view, kEndings> kEndingNames = {
    "good",     "no_socket", "connect", "tls",   "greeting", "refused", "temporary",
    "protocol", "corrupt",   "closed",  "reset", "timeout",  "stopped"};
constexpr std::array<absl::string_view, kSpans> kSpanNames = {"connect", "handshake", "greeting",
                                                              "login",   "retrieve",  "session"};
constexpr double kPercents[] = {50, 90, 99, 99.9};

double Milliseconds(DurationNs duration) { return static_cast<double>(duration) / kMillisecond; }

}  // namespace

absl::string_view Name(Ending ending) { return kEndingNames[static_cast<size_t>(ending)]; }
absl::string_view Name(Span span) { return kSpanNames[static_cast<size_t>(span)]; }

void Results::Merge(const Results& other) {
  for (size_t i = 0; i < kEndings; ++i) {
    endings[i] += other.endings[i];
    if (examples[i].empty()) examples[i] = other.examples[i];
  }
  for (size_t i = 0; i < kSpans; ++i) spans[i].Merge(other.spans[i]);
  messages += other.messages;
  message_bytes += other.message_bytes;
  verified += other.verified;
  resumed += other.resumed;
  handshakes += other.handshakes;
  late += other.late;
  dropped += other.dropped;
  for (const auto& [what, count] : other.tls) tls[what] += count;
  first_start = std::min(first_start, other.first_start);
  last_end = std::max(last_end, other.last_end);
}

uint64_t Results::sessions() const {
  uint64_t sum = 0;
  for (const uint64_t count : endings) sum += count;
  return sum;
}

double Results::seconds() const {
  return last_end <= first_start ? 0 : static_cast<double>(last_end - first_start) / kSecond;
}

std::string Summary(const Options& options, const Results& results) {
  const double seconds = results.seconds();
  const double per_second = seconds > 0 ? 1 / seconds : 0;
  std::string text = absl::StrFormat(
      "%s  %s, tls %s, script %s, %d at once%s\n", results.failed() == 0 ? "good" : "FAILURES",
      options.target_text, Name(options.tls), Name(options.script), options.sessions,
      options.rate > 0
          ? absl::StrFormat(", %s arrivals, %g/s offered", Name(options.arrivals), options.rate)
          : std::string(", closed loop"));
  absl::StrAppendFormat(&text, "sessions   %d good, %d failed in %.2f s: %.1f/s\n", results.good(),
                        results.failed(), seconds,
                        static_cast<double>(results.sessions()) * per_second);
  for (size_t i = 1; i < kEndings; ++i) {
    if (results.endings[i] == 0) continue;
    absl::StrAppendFormat(&text, "  %-10s %d, such as: %s\n", kEndingNames[i], results.endings[i],
                          results.examples[i]);
  }
  if (results.messages > 0) {
    absl::StrAppendFormat(&text, "messages   %d (%d checked byte by byte), %.1f MB, %.1f MB/s\n",
                          results.messages, results.verified,
                          static_cast<double>(results.message_bytes) / 1e6,
                          static_cast<double>(results.message_bytes) / 1e6 * per_second);
  }
  for (const auto& [what, count] : results.tls) {
    absl::StrAppendFormat(&text, "tls        %s: %d\n", what, count);
  }
  if (results.resumed > 0) absl::StrAppendFormat(&text, "tls        %d resumed\n", results.resumed);
  if (options.rate > 0) {
    absl::StrAppendFormat(&text, "open loop  %d started late, %d never\n", results.late,
                          results.dropped);
  }
  absl::StrAppendFormat(&text, "%-10s %10s %10s %10s %10s %10s %10s  (ms)\n", "", "count", "p50",
                        "p90", "p99", "p99.9", "max");
  for (size_t i = 0; i < kSpans; ++i) {
    const Histogram& histogram = results.spans[i];
    if (histogram.count() == 0) continue;
    absl::StrAppendFormat(&text, "%-10s %10d", kSpanNames[i], histogram.count());
    for (const double percent : kPercents) {
      absl::StrAppendFormat(&text, " %10.3f", Milliseconds(histogram.Percentile(percent)));
    }
    absl::StrAppendFormat(&text, " %10.3f\n", Milliseconds(histogram.max()));
  }
  absl::StrAppendFormat(&text, "load generator: %.2f s CPU, %.0f us a session\n",
                        results.cpu_seconds,
                        results.sessions() == 0
                            ? 0.0
                            : results.cpu_seconds * 1e6 / static_cast<double>(results.sessions()));
  return text;
}

std::string Json(const Options& options, const Results& results) {
  nlohmann::ordered_json json;
  json["target"] = options.target_text;
  json["tls"] = std::string(Name(options.tls));
  json["script"] = std::string(Name(options.script));
  json["concurrency"] = options.sessions;
  json["threads"] = options.threads;
  if (options.rate > 0) {
    json["rate"] = options.rate;
    json["arrivals"] = std::string(Name(options.arrivals));
    json["started_late"] = results.late;
    json["never_started"] = results.dropped;
  }
  json["sessions"] = results.sessions();
  json["good"] = results.good();
  json["failed"] = results.failed();
  json["failures"] = nlohmann::ordered_json::object();
  for (size_t i = 1; i < kEndings; ++i) {
    if (results.endings[i] == 0) continue;
    json["failures"][std::string(kEndingNames[i])] = {{"count", results.endings[i]},
                                                      {"example", results.examples[i]}};
  }
  json["seconds"] = results.seconds();
  json["sessions_per_second"] =
      results.seconds() > 0 ? static_cast<double>(results.sessions()) / results.seconds() : 0.0;
  json["messages"] = results.messages;
  json["messages_verified"] = results.verified;
  json["message_bytes"] = results.message_bytes;
  json["tls_handshakes"] = results.handshakes;
  json["tls_resumed"] = results.resumed;
  json["tls_kinds"] = results.tls;
  json["generator_cpu_seconds"] = results.cpu_seconds;
  json["histogram_error_max"] = 1.0 / 128;
  for (size_t i = 0; i < kSpans; ++i) {
    const Histogram& histogram = results.spans[i];
    if (histogram.count() == 0) continue;
    nlohmann::ordered_json span;
    span["count"] = histogram.count();
    span["mean"] = histogram.mean() / kMillisecond;
    span["min"] = Milliseconds(histogram.min());
    for (const double percent : kPercents) {
      span[absl::StrFormat("p%g", percent)] = Milliseconds(histogram.Percentile(percent));
    }
    span["max"] = Milliseconds(histogram.max());
    json["latency_ms"][std::string(kSpanNames[i])] = span;
  }
  // Examples may quote a server: bytes that are no UTF-8 become replacement characters.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace postern::load
