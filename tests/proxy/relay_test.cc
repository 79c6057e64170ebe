// The relay's table, row by row: what each side does, and what the other one then sees.
#include "proxy/relay.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/coro/task.h"
#include "tests/sim/peer.h"
#include "tests/sim/sim_io.h"
#include "tests/sim/test_tls.h"

namespace postern {
namespace {

using sim::Peer;
using ::testing::IsEmpty;

constexpr char kClientAddress[] = "192.0.2.1:4000";
constexpr char kListenAddress[] = "192.0.2.9:110";
constexpr char kBackendAddress[] = "10.0.0.1:110";
constexpr DurationNs kLinger = 5 * kSecond;

// A relay between two scripted peers, joined as after a login.
class RelayWorld {
 public:
  explicit RelayWorld(bool tls = false, uint64_t seed = 1)
      : io_(seed, sim::FaultPlan::Kind()), scratch_(16384), tls_(tls) {
    const SocketAddress listen = *SocketAddress::Parse(kListenAddress);
    backend_address_ = *SocketAddress::Parse(kBackendAddress);
    io_.AddBackend(backend_address_, nullptr, [this](sim::Endpoint* endpoint) {
      upstream_ = std::make_unique<Peer>(&io_, endpoint);
      upstream_->Begin();
    });
    listen_fd_ = io_.Listen(listen);
    io_.Accept(listen_fd_, &accept_);
    client_ =
        std::make_unique<Peer>(&io_, io_.ConnectTo(listen, *SocketAddress::Parse(kClientAddress)));
    if (tls_) client_->StartTls(sim::TestTls::Get().ClientEngines());
    client_->Begin();
    Run([this] { return joined_ && upstream_ != nullptr; });
  }

  ~RelayWorld() {
    Quiet();
    io_.Cancel(&accept_);
    Quiet();
    client_channel_->Close(false);
    upstream_channel_->Close(false);
    relay_.reset();
    client_channel_.reset();
    upstream_channel_.reset();
    io_.Close(listen_fd_);
    EXPECT_THAT(io_.violations(), IsEmpty());
    EXPECT_EQ(io_.buffers_lent(), 0u);
    EXPECT_EQ(blocks_.blocks_out(), 0u);
    EXPECT_EQ(bulk_.blocks_lent(), 0u);
    EXPECT_EQ(bulk_.pipes_lent(), 0u);
  }

  Peer& client() { return *client_; }
  Peer& upstream() { return *upstream_; }
  Relay& relay() { return *relay_; }
  std::optional<CloseReason> reason() const { return reason_; }
  sim::SimIo& io() { return io_; }

  template <typename Condition>
  void Run(Condition condition) {
    for (int turn = 0; turn < 100000 && !condition(); ++turn) io_.RunOnce(kSecond);
    ASSERT_TRUE(condition());
  }
  void Quiet() {
    for (int turn = 0; turn < 100000 && !io_.quiet(); ++turn) io_.RunOnce(kSecond);
  }
  // Until the relay is over and the client's side was closed as a session would.
  CloseReason Finish() {
    Run([this] { return reason_.has_value(); });
    const bool abort = relay_->abort_client();
    client_channel_->Close(abort);
    upstream_channel_->Close(false);
    Quiet();
    return *reason_;
  }

 private:
  static void OnAccept(io::IoOp& op, void* owner) {
    auto* world = static_cast<RelayWorld*>(owner);
    if (op.result() >= 0) coro::Detach(world->Join(op.result()));
  }

  coro::Task<void> Join(int fd) {
    client_channel_ = std::make_unique<Channel>(&io_, &blocks_);
    upstream_channel_ = std::make_unique<Channel>(&io_, &blocks_);
    client_channel_->Attach(fd);
    upstream_channel_->Attach(io_.OpenSocket(AF_INET));
    const Outcome connected = co_await upstream_channel_->Connect(&backend_address_);
    EXPECT_EQ(connected, Outcome::kOk);
    if (tls_) {
      tls::ServerOptions options;
      options.certificates = {sim::TestTls::Get().files()};
      server_tls_ = *tls::ServerContext::Create(options, &library_);
      client_channel_->SetTls(server_tls_->NewEngine(client_channel_->output()));
      const Outcome shaken = co_await client_channel_->Handshake();
      EXPECT_EQ(shaken, Outcome::kOk);
    }
    relay_.emplace(client_channel_.get(), upstream_channel_.get(), &bulk_, scratch_.data(),
                   scratch_.size(), kLinger);
    joined_ = true;
    const CloseReason reason = co_await relay_->Run();
    reason_ = reason;
  }

  static BulkOptions Bulk() {
    BulkOptions options;
    options.block_bytes = 5000;
    options.blocks = options.pipes = 1;
    options.long_receive = 1000;
    options.move_min = 500;
    return options;
  }

  sim::SimIo io_;
  BlockPool blocks_;
  BulkPool bulk_{&io_, Bulk()};
  std::vector<char> scratch_;
  bool tls_;
  tls::Library library_;
  std::unique_ptr<tls::ServerContext> server_tls_;
  SocketAddress backend_address_;
  int listen_fd_ = -1;
  io::IoOp accept_{&RelayWorld::OnAccept, this};
  std::unique_ptr<Peer> client_;
  std::unique_ptr<Peer> upstream_;
  std::unique_ptr<Channel> client_channel_;
  std::unique_ptr<Channel> upstream_channel_;
  std::optional<Relay> relay_;
  bool joined_ = false;
  std::optional<CloseReason> reason_;
};

// Plain and TLS towards the client.
class RelayRow : public ::testing::TestWithParam<bool> {
 protected:
  RelayWorld world_{GetParam()};
  Peer::End orderly() const { return GetParam() ? Peer::End::kCloseNotify : Peer::End::kFin; }

  void Ask(const std::string& command) {
    const size_t before = world_.upstream().heard().size();
    world_.client().Say(command);
    world_.Run([&] { return world_.upstream().heard().size() == before + command.size(); });
  }
  void Answer(const std::string& text) {
    const size_t before = world_.client().heard().size();
    world_.upstream().Say(text);
    world_.Run([&] { return world_.client().heard().size() == before + text.size(); });
  }
};
INSTANTIATE_TEST_SUITE_P(Client, RelayRow, ::testing::Bool(),
                         [](const auto& row) { return row.param ? "Tls" : "Plain"; });

// Our end leaves together with the last words. The connection stays until the upstream has ended
// its own, and what that may add is nobody's.
TEST_P(RelayRow, TheAnswerToQuitIsTheLastWord) {
  Ask("QUIT\r\n");
  Answer("+OK bye\r\n");
  for (int turn = 0; turn < 50; ++turn) world_.io().RunOnce(10 * kMillisecond);
  EXPECT_EQ(world_.client().end(), orderly());
  EXPECT_EQ(world_.upstream().end(), Peer::End::kNone);
  EXPECT_FALSE(world_.reason().has_value());
  world_.upstream().Say("and another thing\r\n");
  for (int turn = 0; turn < 50; ++turn) world_.io().RunOnce(10 * kMillisecond);
  EXPECT_EQ(world_.client().heard(), "+OK bye\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kQuit);
  EXPECT_EQ(world_.client().end(), orderly());
}

TEST_P(RelayRow, QuitThenUpstreamEndIsQuit) {
  Ask("QUIT\r\n");
  Answer("+OK bye\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kQuit);
  EXPECT_EQ(world_.client().end(), orderly());
}

// Whether our write or our read is told of the reset: the QUIT was not carried out.
TEST_P(RelayRow, AQuitThatMeetsAResetIsNoQuit) {
  // Each seed has a world of its own, instead of the one that is there.
  world_.upstream().Close();
  world_.Finish();
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RelayWorld world(GetParam(), seed);
    world.upstream().Reset();
    for (uint64_t turn = 0; turn < seed % 4; ++turn) world.io().RunOnce(0);
    world.client().Say("QUIT\r\n");
    EXPECT_EQ(world.Finish(), CloseReason::kUpstreamClosed) << "seed " << seed;
    EXPECT_EQ(world.client().heard(), "");
    EXPECT_FALSE(world.relay().quit_answered());
  }
}

// It would look like a session that went well, at the very moment at which mail is deleted.
TEST_P(RelayRow, ABackendThatEndsInsteadOfAnsweringQuitIsNoQuit) {
  Ask("DELE 1\r\n");
  Answer("+OK\r\n");
  Ask("QUIT\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamClosed);
  EXPECT_TRUE(world_.relay().counter().quit_sent());
  EXPECT_EQ(world_.client().heard(), "+OK\r\n");
  EXPECT_EQ(world_.client().end(), orderly());
}

TEST_P(RelayRow, NorIsItForAClientThatDidNotWait) {
  world_.client().Say("QUIT\r\n");
  world_.client().HalfClose();
  world_.Run([&] { return world_.upstream().heard() == "QUIT\r\n"; });
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamClosed);
}

TEST_P(RelayRow, NorForOneThatResetItsConnection) {
  Ask("QUIT\r\n");
  world_.client().Reset();
  for (int turn = 0; turn < 50; ++turn) world_.io().RunOnce(10 * kMillisecond);
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamClosed);
}

TEST_P(RelayRow, ABackendThatIsSilentAfterTheClientHasGoneWithQuitIsQuit) {
  Ask("QUIT\r\n");
  world_.client().Reset();
  EXPECT_EQ(world_.Finish(), CloseReason::kQuit);
  EXPECT_EQ(world_.upstream().heard(), "QUIT\r\n");
}

// What a client says behind its QUIT nobody answers, and nobody needs to.
TEST_P(RelayRow, WhatStandsBehindQuitNeedsNoAnswer) {
  Ask("NOOP\r\nQUIT\r\nNOOP\r\n");
  Answer("+OK\r\n+OK bye\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kQuit);
}

TEST_P(RelayRow, ClientEndWithQuitIsNotPassedOnBeforeTheAnswer) {
  world_.client().Say("QUIT\r\n");
  world_.client().HalfClose();
  world_.Run([&] { return world_.upstream().heard() == "QUIT\r\n"; });
  for (int turn = 0; turn < 50; ++turn) world_.io().RunOnce(10 * kMillisecond);
  EXPECT_EQ(world_.upstream().end(), Peer::End::kNone);
  Answer("+OK bye\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kQuit);
}

TEST_P(RelayRow, ClientEndWithoutQuitHalfClosesTheUpstream) {
  Ask("NOOP\r\n");
  Answer("+OK\r\n");
  world_.client().HalfClose();
  world_.Run([&] { return world_.upstream().end() != Peer::End::kNone; });
  EXPECT_EQ(world_.upstream().end(), Peer::End::kFin);
  EXPECT_EQ(world_.upstream().heard(), "NOOP\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kClientClosed);
  EXPECT_EQ(world_.client().end(), orderly());
}

TEST_P(RelayRow, ClientEndIsHeldBackUntilOutstandingAnswersAreDelivered) {
  world_.client().Say("RETR 1\r\nNOOP\r\n");
  world_.client().HalfClose();
  world_.Run([&] { return world_.upstream().heard() == "RETR 1\r\nNOOP\r\n"; });
  Answer("+OK\r\nhello\r\n");
  EXPECT_EQ(world_.upstream().end(), Peer::End::kNone);
  Answer(".\r\n");
  EXPECT_EQ(world_.upstream().end(), Peer::End::kNone);
  Answer("+OK\r\n");
  world_.Run([&] { return world_.upstream().end() == Peer::End::kFin; });
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kClientClosed);
  EXPECT_EQ(world_.client().heard(), "+OK\r\nhello\r\n.\r\n+OK\r\n");
}

TEST_P(RelayRow, UpstreamThatIgnoresTheHalfCloseIsLeftAfterTheLinger) {
  world_.client().HalfClose();
  EXPECT_EQ(world_.Finish(), CloseReason::kClientClosed);
}

TEST_P(RelayRow, ClientResetClosesTheUpstreamWithoutQuit) {
  Ask("DELE 1\r\n");
  world_.client().Reset();
  EXPECT_EQ(world_.Finish(), CloseReason::kClientReset);
  EXPECT_EQ(world_.upstream().heard(), "DELE 1\r\n");
  EXPECT_NE(world_.upstream().end(), Peer::End::kNone);
}

TEST_P(RelayRow, ClientResetAfterQuitLetsTheUpstreamFinish) {
  Ask("QUIT\r\n");
  world_.client().Reset();
  for (int turn = 0; turn < 50; ++turn) world_.io().RunOnce(10 * kMillisecond);
  EXPECT_EQ(world_.upstream().end(), Peer::End::kNone);
  world_.upstream().Say("+OK bye\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kQuit);
}

TEST_P(RelayRow, UpstreamEndInsideAResponseResetsTheClient) {
  Ask("RETR 1\r\n");
  Answer("+OK 100 octets\r\nfirst line\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamTruncated);
  EXPECT_EQ(world_.client().heard(), "+OK 100 octets\r\nfirst line\r\n");
  EXPECT_EQ(world_.client().end(), Peer::End::kReset);
}

TEST_P(RelayRow, UpstreamResetInsideAResponseResetsTheClient) {
  Ask("RETR 1\r\n");
  Answer("+OK 100 octets\r\nfirst line\r\n");
  world_.upstream().Reset();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamTruncated);
  EXPECT_EQ(world_.client().end(), Peer::End::kReset);
}

TEST_P(RelayRow, UpstreamEndBetweenResponsesIsAnOrderlyEnd) {
  Ask("NOOP\r\n");
  Answer("+OK\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamClosed);
  EXPECT_EQ(world_.client().end(), orderly());
}

TEST_P(RelayRow, UpstreamResetBetweenResponsesIsAnOrderlyEnd) {
  Ask("NOOP\r\n");
  Answer("+OK\r\n");
  world_.upstream().Reset();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamClosed);
  EXPECT_EQ(world_.client().end(), orderly());
}

TEST_P(RelayRow, CancelInsideAResponseResetsTheClient) {
  Ask("RETR 1\r\n");
  Answer("+OK\r\nhalf");
  world_.relay().Cancel(CloseReason::kIdleTimeout);
  EXPECT_EQ(world_.Finish(), CloseReason::kIdleTimeout);
  EXPECT_EQ(world_.client().end(), Peer::End::kReset);
}

TEST_P(RelayRow, CancelBetweenResponsesIsAnOrderlyEnd) {
  world_.relay().Cancel(CloseReason::kShutdown);
  EXPECT_EQ(world_.Finish(), CloseReason::kShutdown);
  EXPECT_EQ(world_.client().end(), orderly());
}

TEST_P(RelayRow, OutputNobodyReadsStopsOurReading) {
  Ask("RETR 1\r\n");
  world_.client().SetReading(false);
  const std::string body = "+OK\r\n" + std::string(4 << 20, 'x') + "\r\n.\r\n";
  world_.upstream().Say(body);
  for (int turn = 0; turn < 3000; ++turn) world_.io().RunOnce(kMillisecond);
  EXPECT_FALSE(world_.upstream().output_done());
  EXPECT_LT(world_.relay().bytes_from_upstream(), 1u << 20);
  world_.client().SetReading(true);
  world_.Run([&] { return world_.client().heard().size() == body.size(); });
  EXPECT_EQ(world_.client().heard(), body);
  world_.client().Say("QUIT\r\n");
  world_.Run([&] { return world_.upstream().heard() == "RETR 1\r\nQUIT\r\n"; });
  Answer("+OK\r\n");
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kQuit);
}

TEST_P(RelayRow, ALongTransferArrivesWholeAndItsEndIsSeen) {
  for (int i = 0; i < 3; ++i) {
    Ask("RETR 1\r\n");
    std::string body = "+OK\r\n";
    for (int line = 0; line < 8000; ++line) absl::StrAppend(&body, "..line ", line, "\r\n");
    Answer(body + ".\r\n");
  }
  // In the clear it went through the kernel, and the counter still knows where it is.
  EXPECT_EQ(world_.io().bytes_moved() > 10000, !GetParam());
  EXPECT_EQ(world_.relay().bytes_moved(), world_.io().bytes_moved());
  EXPECT_EQ(world_.relay().counter().counts().messages_retrieved, 3u);
  EXPECT_FALSE(world_.relay().counter().response_pending());
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamClosed);
  EXPECT_EQ(world_.client().end(), orderly());
}

TEST_P(RelayRow, ALongTransferCutShortResetsTheClient) {
  Ask("RETR 1\r\n");
  const std::string body = "+OK\r\n" + std::string(100000, 'x');
  Answer(body);
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamTruncated);
  EXPECT_EQ(world_.client().heard(), body);
  EXPECT_EQ(world_.client().end(), Peer::End::kReset);
}

TEST_P(RelayRow, ALongTransferIsNotSkippedWhileAnotherCommandIsOutstanding) {
  world_.client().Say("RETR 1\r\nRETR 2\r\nNOOP\r\n");
  world_.Run([&] { return world_.upstream().heard().size() == 22; });
  const std::string message = "+OK\r\n" + std::string(60000, 'x') + "\r\n.\r\n";
  Answer(message + message.substr(0, 30000));
  EXPECT_EQ(world_.io().bytes_moved(), 0u);
  Answer(message.substr(30000) + "+OK\r\n");
  EXPECT_EQ(world_.relay().counter().counts().messages_retrieved, 2u);
  world_.upstream().Close();
  EXPECT_EQ(world_.Finish(), CloseReason::kUpstreamClosed);
}

TEST_P(RelayRow, ALongTransferToAClientThatStopsReadingEndsWithACancel) {
  Ask("RETR 1\r\n");
  world_.client().SetReading(false);
  world_.upstream().Say("+OK\r\n" + std::string(1 << 20, 'x'));
  for (int turn = 0; turn < 3000; ++turn) world_.io().RunOnce(kMillisecond);
  EXPECT_LT(world_.relay().bytes_from_upstream(), 1u << 19);
  world_.relay().Cancel(CloseReason::kIdleTimeout);
  EXPECT_EQ(world_.Finish(), CloseReason::kIdleTimeout);
  world_.client().SetReading(true);
  world_.Run([&] { return world_.client().end() == Peer::End::kReset; });
}

TEST_P(RelayRow, AClientThatResetsInALongTransferClosesTheUpstream) {
  Ask("RETR 1\r\n");
  world_.client().SetReading(false);
  world_.upstream().Say("+OK\r\n" + std::string(1 << 20, 'x'));
  for (int turn = 0; turn < 3000; ++turn) world_.io().RunOnce(kMillisecond);
  world_.client().Reset();
  EXPECT_EQ(world_.Finish(), CloseReason::kClientReset);
  EXPECT_EQ(world_.upstream().heard(), "RETR 1\r\n");
}

}  // namespace
}  // namespace postern
