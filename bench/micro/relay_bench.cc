// What relaying costs: the production Relay and Channel on the production Io, over TCP on loopback.
//
//   build/release/bin/postern_micro --benchmark_filter=Relay
//
// The two ends are plain sockets of the same thread, so their system calls and the kernel's work
// for both connections are in the time. DirectExchange is the same exchange without a relay in
// between: the difference is what the relay adds.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/check.h"
#include "proxy/channel.h"
#include "proxy/coro/task.h"
#include "proxy/io/make_io.h"
#include "proxy/relay.h"
#include "tests/tls/test_certificates.h"
#include "tls/context.h"

namespace postern {
namespace {

constexpr absl::string_view kCommand = "NOOP\r\n";
constexpr absl::string_view kAnswer = "+OK\r\n";
constexpr size_t kChunkBytes = 65536;

// A connection over loopback, both ends non-blocking.
struct TcpPair {
  TcpPair() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    CHECK(bind(listener, name, length) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, name, &length) == 0);
    near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(near, name, length) == 0);
    far = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    CHECK(far >= 0);
    close(listener);
    for (const int fd : {near, far}) {
      const int on = 1;
      CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
      CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    }
  }
  int near;
  int far;
};

void SendAll(int fd, absl::string_view bytes) {
  CHECK(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

// A relay between two sockets whose other ends the benchmark holds.
class Rig {
 public:
  explicit Rig(bool tls) : scratch_(16384), room_(kChunkBytes + 4096), client_output_(&blocks_) {
    auto made = io::MakeIo(io::IoKind::kAuto, io::UringOptions());
    CHECK(made.ok());
    io_ = std::move(made->io);
    client_ = std::make_unique<Channel>(io_.get(), &blocks_);
    upstream_ = std::make_unique<Channel>(io_.get(), &blocks_);
    client_->Attach(client_pair_.far);
    upstream_->Attach(upstream_pair_.far);
    if (tls) MakeEngines();
    bulk_.emplace(io_.get(), BulkOptions());
    relay_.emplace(client_.get(), upstream_.get(), &*bulk_, scratch_.data(), scratch_.size(),
                   kSecond);
    coro::Detach(Join());
    while (!joined_) {
      ShakeClient();
      io_->RunOnce(kMillisecond);
    }
  }

  ~Rig() {
    relay_->Cancel(CloseReason::kClientClosed);
    while (!over_) io_->RunOnce(kMillisecond);
    client_->Stop(/*abortive=*/true);
    upstream_->Stop(/*abortive=*/true);
    while (!client_->quiet() || !upstream_->quiet()) io_->RunOnce(kMillisecond);
    client_->Close(/*abortive=*/true);
    upstream_->Close(/*abortive=*/true);
    relay_.reset();
    bulk_.reset();
    client_.reset();
    upstream_.reset();
    close(client_pair_.near);
    close(upstream_pair_.near);
    client_engine_.reset();
    client_output_.Clear();
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // From the client's end, encrypted if need be, to the upstream's.
  void Ask(absl::string_view command) {
    if (client_engine_ != nullptr) {
      client_engine_->Write(command);
      SendAll(client_pair_.near, client_output_.view());
      client_output_.Clear();
    } else {
      SendAll(client_pair_.near, command);
    }
    Take(upstream_pair_.near, command.size());
  }

  // The other way. What arrives at the client's end is dropped as it comes, not decrypted.
  void Answer(absl::string_view answer) {
    const uint64_t wanted = relay_->bytes_from_upstream() + answer.size();
    absl::string_view left = answer;
    while (relay_->bytes_from_upstream() < wanted || !client_->output_empty()) {
      if (!left.empty()) {
        const ssize_t sent = send(upstream_pair_.near, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent > 0) left.remove_prefix(static_cast<size_t>(sent));
      }
      io_->RunOnce(kMillisecond);
      if (answer.size() > room_.size() / 2) Drop();
    }
    Drop();
  }

 private:
  void MakeEngines() {
    tls::testing::CertificateSpec spec;
    spec.dns_names = {"pop.example.net"};
    tls::ServerOptions server;
    server.certificates = {directory_.Write("server", tls::testing::SelfSigned(spec))};
    auto server_tls = tls::ServerContext::Create(server, &library_);
    CHECK(server_tls.ok());
    server_tls_ = *std::move(server_tls);
    tls::ClientOptions client;
    client.insecure = true;
    auto client_tls = tls::ClientContext::Create(client, &library_);
    CHECK(client_tls.ok());
    client_tls_ = *std::move(client_tls);
    client_engine_ = client_tls_->NewEngine(&client_output_);
    client_->SetTls(server_tls_->NewEngine(client_->output()));
  }

  coro::Task<void> Join() {
    if (client_->tls() != nullptr) {
      const Outcome shaken = co_await client_->Handshake();
      CHECK(shaken == Outcome::kOk);
    }
    joined_ = true;
    co_await relay_->Run();
    over_ = true;
  }

  // One step of the client's end of the handshake.
  void ShakeClient() {
    if (client_engine_ == nullptr) return;
    const ssize_t got = recv(client_pair_.near, room_.data(), room_.size(), 0);
    if (got > 0) {
      client_engine_->SetInput(absl::string_view(room_.data(), static_cast<size_t>(got)));
    }
    CHECK(client_engine_->Handshake() != tls::Result::kError);
    if (client_output_.empty()) return;
    SendAll(client_pair_.near, client_output_.view());
    client_output_.Clear();
  }

  void Take(int fd, size_t bytes) {
    while (bytes > 0) {
      io_->RunOnce(kMillisecond);
      const ssize_t got = recv(fd, room_.data(), room_.size(), 0);
      if (got > 0) bytes -= static_cast<size_t>(got);
    }
  }

  void Drop() { benchmark::DoNotOptimize(recv(client_pair_.near, room_.data(), room_.size(), 0)); }

  BlockPool blocks_;
  std::unique_ptr<io::Io> io_;
  tls::testing::TestDirectory directory_;
  tls::Library library_;
  std::unique_ptr<tls::ServerContext> server_tls_;
  std::unique_ptr<tls::ClientContext> client_tls_;
  TcpPair client_pair_;
  TcpPair upstream_pair_;
  std::vector<char> scratch_;
  std::vector<char> room_;
  ByteArena client_output_;
  std::unique_ptr<tls::Engine> client_engine_;
  std::unique_ptr<Channel> client_;
  std::unique_ptr<Channel> upstream_;
  std::optional<BulkPool> bulk_;
  std::optional<Relay> relay_;
  bool joined_ = false;
  bool over_ = false;
};

// A command and its answer over one connection, without anybody in between.
void DirectExchange(benchmark::State& state) {
  const TcpPair pair;
  char room[64];
  for (auto _ : state) {
    SendAll(pair.near, kCommand);
    CHECK(recv(pair.far, room, sizeof(room), 0) == static_cast<ssize_t>(kCommand.size()));
    SendAll(pair.far, kAnswer);
    CHECK(recv(pair.near, room, sizeof(room), 0) == static_cast<ssize_t>(kAnswer.size()));
  }
  close(pair.near);
  close(pair.far);
}
BENCHMARK(DirectExchange);

void RelayExchange(benchmark::State& state, bool tls) {
  Rig rig(tls);
  for (auto _ : state) {
    rig.Ask(kCommand);
    rig.Answer(kAnswer);
  }
}
BENCHMARK_CAPTURE(RelayExchange, plain, false);
BENCHMARK_CAPTURE(RelayExchange, client_tls, true);

// A long message towards the client, 64 KiB at a time.
void RelayBulk(benchmark::State& state, bool tls) {
  Rig rig(tls);
  std::string chunk;
  while (chunk.size() < kChunkBytes) absl::StrAppend(&chunk, std::string(76, 'x'), "\r\n");
  chunk.resize(kChunkBytes - kChunkBytes % 78);
  rig.Ask("RETR 1\r\n");
  rig.Answer("+OK 1000000000 octets\r\n");
  for (auto _ : state) rig.Answer(chunk);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(chunk.size()));
}
BENCHMARK_CAPTURE(RelayBulk, plain, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(RelayBulk, client_tls, true)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace postern
