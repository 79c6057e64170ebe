// What TLS costs without a network: two engines joined in memory.
//
//   build/release/bin/postern_micro --benchmark_filter=Tls
//
// A handshake's time is that of both ends; the counter server_us is the CPU of the server's end
// alone, which is what a client costs the proxy.
#include <benchmark/benchmark.h>

#include <ctime>
#include <memory>
#include <string>

#include "proxy/base/byte_arena.h"
#include "proxy/base/check.h"
#include "tests/tls/test_certificates.h"
#include "tls/context.h"
#include "tls/engine.h"

namespace postern::tls {
namespace {

using testing::TestKey;

double ThreadCpuMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

struct HandshakeCase {
  TestKey key;
  Version version;
  bool resume;
};

// Contexts and the two ends of one connection at a time.
class Pair {
 public:
  explicit Pair(const HandshakeCase& which) : client_output_(&blocks_), server_output_(&blocks_) {
    testing::CertificateSpec spec;
    spec.dns_names = {"pop.example.net"};
    spec.key = which.key;
    ServerOptions server;
    server.certificates = {directory_.Write("server", testing::SelfSigned(spec))};
    server.tickets_ecdsa = which.resume ? 1 : 0;
    server.tickets_rsa = which.resume ? 1 : 0;
    server.tickets_tls12 = which.resume;
    auto server_context = ServerContext::Create(server, &library_);
    CHECK(server_context.ok());
    server_context_ = *std::move(server_context);
    ClientOptions client;
    client.insecure = true;
    client.version_max = which.version;
    client.resume = which.resume;
    auto client_context = ClientContext::Create(client, &library_);
    CHECK(client_context.ok());
    client_context_ = *std::move(client_context);
    Connect();
    if (which.resume) {
      Connect();
      CHECK(server_->info().resumed);
    }
  }

  // A handshake of fresh engines, and a byte from the server, behind which its tickets stand.
  void Connect() {
    client_output_.Clear();
    server_output_.Clear();
    client_ = client_context_->NewEngine(&client_output_);
    double begin = ThreadCpuMicroseconds();
    server_ = server_context_->NewEngine(&server_output_);
    server_us_ += ThreadCpuMicroseconds() - begin;
    while (!client_->handshake_done() || !server_->handshake_done()) {
      CHECK(client_->Handshake() != Result::kError);
      begin = ThreadCpuMicroseconds();
      server_->SetInput(client_output_.view());
      CHECK(server_->Handshake() != Result::kError);
      server_us_ += ThreadCpuMicroseconds() - begin;
      client_output_.Clear();
      if (client_->handshake_done()) break;
      from_server_.assign(server_output_.data(), server_output_.size());
      server_output_.Clear();
      client_->SetInput(from_server_);
      CHECK(client_->Handshake() != Result::kError);
    }
    begin = ThreadCpuMicroseconds();
    CHECK(server_->Write("+") == Result::kOk);
    server_us_ += ThreadCpuMicroseconds() - begin;
    from_server_.assign(server_output_.data(), server_output_.size());
    server_output_.Clear();
    char plus = 0;
    CHECK(Move(from_server_, client_.get(), &plus, 1) == 1);
  }

  // `from` encrypts, the other decrypts; into `room`, which holds all of it.
  size_t Say(absl::string_view text, bool from_client, char* room, size_t room_bytes) {
    Engine* const from = from_client ? client_.get() : server_.get();
    Engine* const to = from_client ? server_.get() : client_.get();
    ByteArena& output = from_client ? client_output_ : server_output_;
    CHECK(from->Write(text) == Result::kOk);
    const size_t bytes = Move(output.view(), to, room, room_bytes);
    output.Clear();
    return bytes;
  }

  Engine* server() { return server_.get(); }
  Engine* client() { return client_.get(); }
  ByteArena* server_output() { return &server_output_; }
  ByteArena* client_output() { return &client_output_; }
  double server_us() const { return server_us_; }
  void ResetClock() { server_us_ = 0; }

  static size_t Move(absl::string_view ciphertext, Engine* to, char* room, size_t room_bytes) {
    to->SetInput(ciphertext);
    size_t bytes = 0;
    while (bytes < room_bytes) {
      size_t more = 0;
      if (to->Read(room + bytes, room_bytes - bytes, &more) != Result::kOk) break;
      bytes += more;
    }
    return bytes;
  }

 private:
  testing::TestDirectory directory_;
  Library library_;
  BlockPool blocks_;
  std::unique_ptr<ServerContext> server_context_;
  std::unique_ptr<ClientContext> client_context_;
  ByteArena client_output_;
  ByteArena server_output_;
  std::string from_server_;
  std::unique_ptr<Engine> client_;
  std::unique_ptr<Engine> server_;
  double server_us_ = 0;
};

void TlsHandshake(benchmark::State& state, const HandshakeCase& which) {
  Pair pair(which);
  pair.ResetClock();
  for (auto _ : state) pair.Connect();
  state.counters["server_us"] =
      benchmark::Counter(pair.server_us(), benchmark::Counter::kAvgIterations);
}
BENCHMARK_CAPTURE(TlsHandshake, tls13_ecdsa,
                  HandshakeCase{TestKey::kEcdsaP256, Version::kTls13, false})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TlsHandshake, tls13_ecdsa_resumed,
                  HandshakeCase{TestKey::kEcdsaP256, Version::kTls13, true})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TlsHandshake, tls13_rsa2048,
                  HandshakeCase{TestKey::kRsa2048, Version::kTls13, false})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TlsHandshake, tls13_rsa2048_resumed,
                  HandshakeCase{TestKey::kRsa2048, Version::kTls13, true})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TlsHandshake, tls12_ecdsa,
                  HandshakeCase{TestKey::kEcdsaP256, Version::kTls12, false})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TlsHandshake, tls12_ecdsa_resumed,
                  HandshakeCase{TestKey::kEcdsaP256, Version::kTls12, true})
    ->Unit(benchmark::kMicrosecond);

constexpr HandshakeCase kUsual{TestKey::kEcdsaP256, Version::kTls13, false};

// A command and its answer: four records' work, two on each side.
void TlsSmallExchange(benchmark::State& state) {
  Pair pair(kUsual);
  pair.server()->EndLogin();
  pair.client()->EndLogin();
  char room[256];
  for (auto _ : state) {
    CHECK(pair.Say("RETR 1\r\n", true, room, sizeof(room)) == 8);
    CHECK(pair.Say("+OK 5000 octets\r\n", false, room, sizeof(room)) == 17);
  }
}
BENCHMARK(TlsSmallExchange);

void TlsEncrypt16K(benchmark::State& state) {
  Pair pair(kUsual);
  const std::string plaintext(16384, 'x');
  for (auto _ : state) {
    CHECK(pair.server()->Write(plaintext) == Result::kOk);
    benchmark::DoNotOptimize(pair.server_output()->data());
    pair.server_output()->Clear();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(plaintext.size()));
}
BENCHMARK(TlsEncrypt16K);

// The peer's encryption is paid outside the clock, 64 records at a time.
void TlsDecrypt16K(benchmark::State& state) {
  Pair pair(kUsual);
  pair.server()->EndLogin();
  const std::string plaintext(16384, 'x');
  constexpr int kRecords = 64;
  std::string room(16384, '\0');
  for (auto _ : state) {
    state.PauseTiming();
    pair.client_output()->Clear();
    for (int i = 0; i < kRecords; ++i) CHECK(pair.client()->Write(plaintext) == Result::kOk);
    state.ResumeTiming();
    pair.server()->SetInput(pair.client_output()->view());
    size_t total = 0;
    size_t bytes = 0;
    while (pair.server()->Read(room.data(), room.size(), &bytes) == Result::kOk) total += bytes;
    CHECK(total == kRecords * plaintext.size());
  }
  pair.client_output()->Clear();
  state.SetBytesProcessed(state.iterations() * kRecords * static_cast<int64_t>(plaintext.size()));
}
BENCHMARK(TlsDecrypt16K)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace postern::tls
