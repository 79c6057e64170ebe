// What the protocol costs: a login dialogue, and the counter that watches a relay.
//
//   build/release/bin/postern_micro --benchmark_filter='Dialogue|Counter'
#include <benchmark/benchmark.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/login_dialogue.h"
#include "proxy/pop3/relay_counter.h"
#include "proxy/pop3/sasl.h"

namespace postern::pop3 {
namespace {

// One session's dialogue from the greeting to the credentials, fed as `input` at once.
void Dialogue(benchmark::State& state, absl::string_view input) {
  DialogueOptions options;
  options.hostname = "pop.example.net";
  size_t replies = 0;
  for (auto _ : state) {
    LoginDialogue dialogue(&options, /*tls_active=*/true, "");
    benchmark::DoNotOptimize(dialogue.Greeting());
    absl::string_view left = input;
    for (;;) {
      size_t consumed = 0;
      const Decision decision = dialogue.OnInput(left, &consumed);
      left.remove_prefix(consumed);
      if (decision.action == Action::kLogin) break;
      CHECK(decision.action == Action::kReply);
      ++replies;
    }
  }
  benchmark::DoNotOptimize(replies);
}

void DialogueUserPass(benchmark::State& state) {
  Dialogue(state, "USER alice.smith@example.org\r\nPASS correct-horse-battery\r\n");
}
BENCHMARK(DialogueUserPass);

void DialogueCapaUserPass(benchmark::State& state) {
  Dialogue(state, "CAPA\r\nUSER alice.smith@example.org\r\nPASS correct-horse-battery\r\n");
}
BENCHMARK(DialogueCapaUserPass);

void DialogueAuthPlain(benchmark::State& state) {
  const Secret message = EncodePlain("", "alice.smith@example.org", "correct-horse-battery");
  Dialogue(state, absl::StrCat("AUTH PLAIN ", message.view(), "\r\n"));
}
BENCHMARK(DialogueAuthPlain);

// A command and its one-line answer.
void CounterExchange(benchmark::State& state) {
  RelayCounter counter;
  for (auto _ : state) {
    counter.OnClientBytes("NOOP\r\n");
    counter.OnServerBytes("+OK\r\n");
  }
  CHECK(counter.boundary() == RelayCounter::Boundary::kBetween);
}
BENCHMARK(CounterExchange);

// A message in receive buffers of 16 KiB. Bytes per second is what counts.
void CounterMessage(benchmark::State& state) {
  std::string lines;
  while (lines.size() < 16384) absl::StrAppend(&lines, std::string(76, 'x'), "\r\n");
  lines.resize(16384);
  RelayCounter counter;
  counter.OnClientBytes("RETR 1\r\n");
  counter.OnServerBytes("+OK 1000000000 octets\r\n");
  for (auto _ : state) counter.OnServerBytes(lines);
  CHECK(counter.boundary() == RelayCounter::Boundary::kInside);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(lines.size()));
}
BENCHMARK(CounterMessage);

}  // namespace
}  // namespace postern::pop3
