#include "bench/load/report.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace postern::load {
namespace {

constexpr double kPercents[] = {50, 90, 99, 99.9, 99.99};

double Milliseconds(DurationNs duration) { return static_cast<double>(duration) / kMillisecond; }

double PerSecond(double amount, const Results& results) {
  return results.seconds() > 0 ? amount / results.seconds() : 0;
}

double MicrosecondsPerSession(const Results& results) {
  return results.sessions() == 0
             ? 0
             : results.cpu_seconds * 1e6 / static_cast<double>(results.sessions());
}

absl::string_view Verdict(const Results& results) {
  if (results.failed() > 0) return "FAILURES";
  return results.dropped > 0 ? "NOT ALL STARTED" : "good";
}

std::string HowMuch(const Options& options) {
  if (options.script == ScriptName::kReplay) {
    return absl::StrFormat(", %d lines at %gx", options.replay->sessions().size(), options.speed);
  }
  if (!options.open_loop()) return ", closed loop";
  return absl::StrFormat(", %s arrivals, %s/s offered", Name(options.arrivals),
                         options.rate.text());
}

void AppendMessages(const Results& results, std::string* text) {
  if (results.messages == 0) return;
  const auto bytes = static_cast<double>(results.message_bytes);
  absl::StrAppendFormat(text, "messages   %d (%d checked byte by byte", results.messages,
                        results.verified);
  if (results.sizes_compared > 0) {
    absl::StrAppendFormat(text, ", %d by size", results.sizes_compared);
  }
  absl::StrAppendFormat(text, "), %.1f MB, %.1f MB/s\n", bytes / 1e6,
                        PerSecond(bytes / 1e6, results));
}

void AppendSpans(const Results& results, std::string* text) {
  absl::StrAppendFormat(text, "%-10s %9s", "", "count");
  for (const double percent : kPercents) {
    absl::StrAppendFormat(text, " %9s", absl::StrFormat("p%g", percent));
  }
  absl::StrAppendFormat(text, " %9s  (ms)\n", "max");
  for (size_t i = 0; i < kSpans; ++i) {
    const Histogram& histogram = results.spans[i];
    if (histogram.count() == 0) continue;
    absl::StrAppendFormat(text, "%-10s %9d", Name(static_cast<Span>(i)), histogram.count());
    for (const double percent : kPercents) {
      absl::StrAppendFormat(text, " %9.3f", Milliseconds(histogram.Percentile(percent)));
    }
    absl::StrAppendFormat(text, " %9.3f\n", Milliseconds(histogram.max()));
  }
}

nlohmann::ordered_json SpanJson(const Histogram& histogram) {
  nlohmann::ordered_json span;
  span["count"] = histogram.count();
  span["mean"] = histogram.mean() / kMillisecond;
  span["min"] = Milliseconds(histogram.min());
  for (const double percent : kPercents) {
    span[absl::StrFormat("p%g", percent)] = Milliseconds(histogram.Percentile(percent));
  }
  span["max"] = Milliseconds(histogram.max());
  return span;
}

}  // namespace

std::string Summary(const Options& options, const Results& results) {
  std::string text = absl::StrFormat("%s  %s, tls %s, script %s, up to %d at once%s\n",
                                     Verdict(results), options.target_text, Name(options.tls),
                                     Name(options.script), options.sessions, HowMuch(options));
  absl::StrAppendFormat(&text, "sessions   %d good, %d failed in %.2f s: %.1f good ones/s\n",
                        results.good(), results.failed(), results.seconds(),
                        PerSecond(static_cast<double>(results.good()), results));
  if (results.refusals > 0) {
    absl::StrAppendFormat(&text, "           %d of the good ones were refused, as they should be\n",
                          results.refusals);
  }
  for (size_t i = 1; i < kEndings; ++i) {
    if (results.endings[i] == 0) continue;
    absl::StrAppendFormat(&text, "  %-10s %d, such as: %s\n", Name(static_cast<Ending>(i)),
                          results.endings[i], results.examples[i]);
  }
  AppendMessages(results, &text);
  for (const auto& [what, count] : results.tls) {
    absl::StrAppendFormat(&text, "tls        %s: %d\n", what, count);
  }
  if (options.tls_options.resume || results.resumed > 0) {
    absl::StrAppendFormat(&text, "tls        %d of %d resumed\n", results.resumed,
                          results.handshakes);
  }
  if (options.open_loop()) {
    absl::StrAppendFormat(
        &text,
        "open loop  %d started more than 10 ms late, %d of them because of this program; "
        "%d never started\n",
        results.late, results.behind, results.dropped);
  }
  AppendSpans(results, &text);
  absl::StrAppendFormat(&text,
                        "load generator: %.2f s CPU, %.0f us a session; its busiest thread was "
                        "busy %.0f%% of the time\n",
                        results.cpu_seconds, MicrosecondsPerSession(results),
                        results.thread_busy_max * 100);
  return text;
}

nlohmann::ordered_json ToJson(const Options& options, const Results& results) {
  nlohmann::ordered_json json;
  json["target"] = options.target_text;
  json["tls"] = std::string(Name(options.tls));
  json["script"] = std::string(Name(options.script));
  json["concurrency"] = options.sessions;
  json["threads"] = options.threads;
  if (options.open_loop()) {
    if (options.script == ScriptName::kReplay) {
      json["speed"] = options.speed;
      json["replay_lines"] = options.replay->sessions().size();
      json["replay_lines_bad"] = options.replay->bad_lines();
    } else {
      double constant = 0;
      json["rate"] = options.rate.text();
      if (absl::SimpleAtod(options.rate.text(), &constant)) json["rate"] = constant;
      json["arrivals"] = std::string(Name(options.arrivals));
    }
    json["started_late"] = results.late;
    json["started_late_by_generator"] = results.behind;
    json["never_started"] = results.dropped;
  }
  json["sessions"] = results.sessions();
  json["good"] = results.good();
  json["failed"] = results.failed();
  json["failures"] = nlohmann::ordered_json::object();
  for (size_t i = 1; i < kEndings; ++i) {
    if (results.endings[i] == 0) continue;
    json["failures"][std::string(Name(static_cast<Ending>(i)))] = {
        {"count", results.endings[i]}, {"example", results.examples[i]}};
  }
  json["logins"] = results.logins;
  json["refused_as_expected"] = results.refusals;
  json["seconds"] = results.seconds();
  json["sessions_per_second"] = PerSecond(static_cast<double>(results.good()), results);
  json["messages"] = results.messages;
  json["messages_verified"] = results.verified;
  json["messages_compared_by_size"] = results.sizes_compared;
  json["message_bytes"] = results.message_bytes;
  json["tls_handshakes"] = results.handshakes;
  json["tls_resumed"] = results.resumed;
  json["tls_kinds"] = results.tls;
  json["generator_cpu_seconds"] = results.cpu_seconds;
  json["generator_cpu_us_per_session"] = MicrosecondsPerSession(results);
  json["generator_busy_max"] = results.thread_busy_max;
  json["histogram_error_max"] = Histogram::kRelativeErrorMax;
  json["latency_ms"] = nlohmann::ordered_json::object();
  for (size_t i = 0; i < kSpans; ++i) {
    if (results.spans[i].count() == 0) continue;
    json["latency_ms"][std::string(Name(static_cast<Span>(i)))] = SpanJson(results.spans[i]);
  }
  return json;
}

std::string JsonText(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace postern::load
