// Both programs against each other, over real sockets on loopback: what the store sends the
// generator accepts, and every fault of the store is reported as what it is.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <ostream>
#include <string>
#include <thread>

#include "bench/load/capacity.h"
#include "bench/load/generator.h"
#include "bench/load/report.h"
#include "bench/maildrop/store.h"
#include "tests/tls/test_certificates.h"

namespace postern {
namespace {

using load::Ending;
using load::ScriptName;
using load::TargetTls;
using maildrop::Fault;
using maildrop::ListenTls;

class StoreAndLoadTest : public testing::Test {
 protected:
  StoreAndLoadTest() {
    store_options_.mailbox.store = "store1";
    store_options_.mailbox.messages = 5;
    store_options_.mailbox.samples = true;
    store_options_.mailbox.sizes = *maildrop::SizeModel::Parse("uniform:1000-60000");
    tls::testing::CertificateSpec spec;
    spec.dns_names = {"store.example"};
    const tls::testing::PemPair pair = tls::testing::SelfSigned(spec);
    store_options_.certificate = directory_.Write("store", pair);
    load_options_.tls_options.server_name = "store.example";
    load_options_.tls_options.ca_file = store_options_.certificate.chain;
    load_options_.SetScript(ScriptName::kFetch);
    load_options_.sessions = 4;
    load_options_.total = 40;
    load_options_.timeout = 60 * kSecond;
  }

  ~StoreAndLoadTest() override {
    if (store_ != nullptr) store_->Stop();
  }

  void StartStore(ListenTls tls) {
    maildrop::Listen listen;
    listen.address = *SocketAddress::Parse("127.0.0.1:0");
    listen.tls = tls;
    store_options_.listen = {listen};
    store_ = std::make_unique<maildrop::Store>(store_options_);
    const absl::Status status = store_->Start();
    ASSERT_TRUE(status.ok()) << status;
    const std::string where = store_->Where();
    load_options_.target = *SocketAddress::Parse(where.substr(0, where.find(' ')));
  }

  load::Results Run() {
    load::Generator generator(load_options_);
    const absl::Status status = generator.Start();
    EXPECT_TRUE(status.ok()) << status;
    return generator.Finish();
  }

  static uint64_t Count(const load::Results& results, Ending ending) {
    return results.endings[static_cast<size_t>(ending)];
  }

  tls::testing::TestDirectory directory_;
  maildrop::Options store_options_;
  load::Options load_options_;
  std::unique_ptr<maildrop::Store> store_;
};

struct TlsCase {
  ListenTls listen;
  TargetTls target;
};

class EveryTlsTest : public StoreAndLoadTest, public testing::WithParamInterface<TlsCase> {};

TEST_P(EveryTlsTest, EveryMessageIsFetchedAndVerified) {
  StartStore(GetParam().listen);
  load_options_.tls = GetParam().target;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 40u) << Summary(load_options_, results);
  EXPECT_EQ(results.messages, 200u);
  EXPECT_EQ(results.verified, 200u);
  EXPECT_EQ(results.handshakes, GetParam().target == TargetTls::kOff ? 0u : 40u);
}

INSTANTIATE_TEST_SUITE_P(, EveryTlsTest,
                         testing::Values(TlsCase{ListenTls::kOff, TargetTls::kOff},
                                         TlsCase{ListenTls::kStls, TargetTls::kStls},
                                         TlsCase{ListenTls::kImplicit, TargetTls::kImplicit}));

TEST_F(StoreAndLoadTest, SeveralThreadsAndSources) {
  store_options_.threads = 2;
  StartStore(ListenTls::kOff);
  load_options_.threads = 2;
  load_options_.sources = *load::ParseSources("127.0.0.2-127.0.0.5");
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 40u) << Summary(load_options_, results);
}

TEST_F(StoreAndLoadTest, OverIpv6) {
  maildrop::Listen listen;
  listen.address = *SocketAddress::Parse("[::1]:0");
  store_options_.listen = {listen};
  store_ = std::make_unique<maildrop::Store>(store_options_);
  if (!store_->Start().ok()) GTEST_SKIP() << "no IPv6 here";
  const std::string where = store_->Where();
  load_options_.target = *SocketAddress::Parse(where.substr(0, where.find(' ')));
  load_options_.sources = *load::ParseSources("::1");
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 40u) << Summary(load_options_, results);
}

TEST_F(StoreAndLoadTest, BothRunOnEpollToo) {
  store_options_.io = io::IoKind::kEpoll;
  load_options_.io = io::IoKind::kEpoll;
  StartStore(ListenTls::kImplicit);
  load_options_.tls = TargetTls::kImplicit;
  const load::Results results = Run();
  EXPECT_EQ(results.verified, 200u) << Summary(load_options_, results);
}

TEST_F(StoreAndLoadTest, TicketsResumeSessions) {
  StartStore(ListenTls::kImplicit);
  load_options_.tls = TargetTls::kImplicit;
  load_options_.SetScript(ScriptName::kLogin);
  load_options_.sessions = 1;
  load_options_.total = 10;
  load_options_.tls_options.resume = true;
  load_options_.tls_options.version_max = tls::Version::kTls12;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 10u) << Summary(load_options_, results);
  EXPECT_EQ(results.resumed, 9u);
}

TEST_F(StoreAndLoadTest, TicketsResumeTls13SessionsToo) {
  tls::testing::CertificateSpec spec;
  spec.dns_names = {"store.example"};
  spec.key = tls::testing::TestKey::kRsa2048;  // the store sends tickets with RSA only
  store_options_.certificate = directory_.Write("rsa", tls::testing::SelfSigned(spec));
  load_options_.tls_options.ca_file = store_options_.certificate.chain;
  StartStore(ListenTls::kImplicit);
  load_options_.tls = TargetTls::kImplicit;
  load_options_.SetScript(ScriptName::kLogin);
  load_options_.sessions = 1;
  load_options_.total = 10;
  load_options_.tls_options.resume = true;
  load_options_.tls_options.version_min = tls::Version::kTls13;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 10u) << Summary(load_options_, results);
  EXPECT_EQ(results.resumed, 9u);
}

TEST_F(StoreAndLoadTest, TheChosenCipherAndGroupAreUsed) {
  StartStore(ListenTls::kImplicit);
  load_options_.tls = TargetTls::kImplicit;
  load_options_.SetScript(ScriptName::kLogin);
  load_options_.total = 4;
  const load::Options before = load_options_;
  struct {
    const char* cipher;
    const char* group;
    const char* kind;
  } const cases[] = {
      {"TLS_CHACHA20_POLY1305_SHA256", "P-256", "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 secp256r1"},
      {"ECDHE-ECDSA-AES256-GCM-SHA384", "P-256",
       "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 secp256r1"}};
  for (const auto& test : cases) {
    load_options_ = before;
    ASSERT_TRUE(load::ChooseCiphers(test.cipher, &load_options_.tls_options).ok());
    load_options_.tls_options.groups = test.group;
    load_options_.tls_options.alpn = true;
    const load::Results results = Run();
    EXPECT_EQ(results.good(), 4u) << Summary(load_options_, results);
    ASSERT_EQ(results.tls.size(), 1u);
    EXPECT_EQ(results.tls.begin()->first, test.kind);
  }
}

TEST_F(StoreAndLoadTest, ACipherThatNobodyKnowsIsAMistake) {
  load_options_.tls = TargetTls::kImplicit;
  load_options_.tls_options.ciphersuites = "TLS_NO_SUCH_THING";
  load::Generator generator(load_options_);
  const absl::Status status = generator.Start();
  EXPECT_NE(status.message().find("TLS_NO_SUCH_THING"), absl::string_view::npos) << status;
}

TEST_F(StoreAndLoadTest, EveryWayToLogIn) {
  store_options_.apop = true;
  store_options_.password = "secret";
  StartStore(ListenTls::kOff);
  for (const load::Auth auth : {load::Auth::kUserPass, load::Auth::kApop, load::Auth::kPlain}) {
    load_options_.auth = auth;
    const load::Results results = Run();
    EXPECT_EQ(results.good(), 40u) << Summary(load_options_, results);
    EXPECT_EQ(results.logins, 40u) << load::Name(auth);
  }
  load_options_.password = "other";
  for (const load::Auth auth : {load::Auth::kUserPass, load::Auth::kApop, load::Auth::kPlain}) {
    load_options_.auth = auth;
    EXPECT_EQ(Count(Run(), Ending::kRefused), 40u) << load::Name(auth);
  }
}

TEST_F(StoreAndLoadTest, ApopNeedsAChallenge) {
  StartStore(ListenTls::kOff);
  load_options_.auth = load::Auth::kApop;
  EXPECT_EQ(Count(Run(), Ending::kGreeting), 40u);
}

TEST_F(StoreAndLoadTest, WrongPasswordsAreRefusedAndThatIsGood) {
  StartStore(ListenTls::kOff);
  load_options_.SetScript(ScriptName::kPoll);
  load_options_.wrong_percent = 50;
  load_options_.total = 200;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 200u) << Summary(load_options_, results);
  EXPECT_GT(results.refusals, 60u);
  EXPECT_LT(results.refusals, 140u);
  EXPECT_EQ(results.logins + results.refusals, 200u);
  EXPECT_EQ(results.span(load::Span::kRefusal).count(), results.refusals);
  EXPECT_EQ(results.span(load::Span::kSession).count(), results.logins);
}

TEST_F(StoreAndLoadTest, AWrongPasswordThatIsAcceptedIsAFailure) {
  StartStore(ListenTls::kOff);
  load_options_.wrong_percent = 100;
  load_options_.wrong_password = "not what the store calls wrong";
  EXPECT_EQ(Count(Run(), Ending::kAccepted), 40u);
}

TEST_F(StoreAndLoadTest, ATemporaryRefusalIsNotTheExpectedOne) {
  store_options_.fault = Fault::kRefuseTemporarily;
  StartStore(ListenTls::kOff);
  load_options_.wrong_percent = 100;
  EXPECT_EQ(Count(Run(), Ending::kTemporary), 40u);
}

TEST_F(StoreAndLoadTest, UsersComeFromAFileWithTheirPasswords) {
  store_options_.password = "of bob";
  StartStore(ListenTls::kOff);
  load_options_.user_file =
      std::make_shared<load::UserFile>(*load::UserFile::Parse("bob of bob\n", "users"));
  load::Results results = Run();
  EXPECT_EQ(results.good(), 40u) << Summary(load_options_, results);
  load_options_.user_file =
      std::make_shared<load::UserFile>(*load::UserFile::Parse("alice\n", "users"));
  EXPECT_EQ(Count(Run(), Ending::kRefused), 40u);
}

TEST_F(StoreAndLoadTest, AScriptOfItsOwn) {
  StartStore(ListenTls::kOff);
  load_options_.script = ScriptName::kFile;
  load_options_.steps = *load::ParseScript(
      "capa\nlogin\nstat\nlist\nuidl\nretr all\ntop 1-2 3\ndele 4-9\nrset\nnoop\n"
      "pause 10ms\nuntil 20ms\nquit",
      "test");
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 40u) << Summary(load_options_, results);
  EXPECT_EQ(results.verified, 200u);
  EXPECT_EQ(results.span(load::Span::kTop).count(), 80u);
  EXPECT_EQ(results.span(load::Span::kDele).count(), 80u);  // 4 and 5: there are no more
  for (const load::Span span : {load::Span::kCapa, load::Span::kStat, load::Span::kList,
                                load::Span::kUidl, load::Span::kRset, load::Span::kNoop}) {
    EXPECT_EQ(results.span(span).count(), 40u) << load::Name(span);
  }
  EXPECT_GE(results.span(load::Span::kSession).min(), 20 * kMillisecond);
  EXPECT_EQ(store_->deletions(), 0u);
}

TEST_F(StoreAndLoadTest, ClosingWithoutQuitDeletesNothing) {
  StartStore(ListenTls::kOff);
  load_options_.script = ScriptName::kFile;
  load_options_.steps = *load::ParseScript("login\ndele 1\nclose", "test");
  EXPECT_EQ(Run().good(), 40u);
  EXPECT_EQ(store_->deletions(), 0u);
}

TEST_F(StoreAndLoadTest, DeletedMailIsGone) {
  StartStore(ListenTls::kOff);
  load_options_.users = *load::ParseUsers("alice@example.org", 1);
  load_options_.details.remove = true;
  load_options_.details.fetch_max = 2;
  load_options_.SetScript(ScriptName::kFetch);
  load_options_.sessions = 1;
  load_options_.total = 3;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 3u) << Summary(load_options_, results);
  EXPECT_EQ(results.messages, 5u);  // 2, 2, 1
  EXPECT_EQ(store_->deletions(), 5u);
}

TEST_F(StoreAndLoadTest, TheOpenLoopStartsEverySession) {
  StartStore(ListenTls::kOff);
  load_options_.SetScript(ScriptName::kPoll);
  load_options_.rate = load::RatePlan::Constant(2000, 600 * kSecond);
  load_options_.sessions = 100;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 40u) << Summary(load_options_, results);
  EXPECT_EQ(results.dropped, 0u);
}

TEST_F(StoreAndLoadTest, IdleSessionsAreCountedAndEndWell) {
  StartStore(ListenTls::kOff);
  load_options_.details.hold = 300 * kMillisecond;
  load_options_.SetScript(ScriptName::kIdle);
  load_options_.sessions = 20;
  load_options_.total = 20;
  load::Generator generator(load_options_);
  ASSERT_TRUE(generator.Start().ok());
  const load::Results results = generator.Finish();
  EXPECT_EQ(results.good(), 20u) << Summary(load_options_, results);
  EXPECT_EQ(generator.progress().idle.load(), 20u);
}

TEST_F(StoreAndLoadTest, IdleSessionsAreAskedNowAndThen) {
  StartStore(ListenTls::kOff);
  load_options_.details.hold = 300 * kMillisecond;
  load_options_.details.noop_every = 50 * kMillisecond;
  load_options_.SetScript(ScriptName::kIdle);
  load_options_.total = 4;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 4u) << Summary(load_options_, results);
  // The first within 50 ms, then each 50 ms, whatever the machine does meanwhile.
  EXPECT_GE(results.span(load::Span::kNoop).count(), 4u * 5);
  EXPECT_LE(results.span(load::Span::kNoop).count(), 4u * 6);
}

TEST_F(StoreAndLoadTest, StoppingEndsIdleSessions) {
  StartStore(ListenTls::kOff);
  load_options_.details.hold = 3600 * kSecond;
  load_options_.SetScript(ScriptName::kIdle);
  load::Generator generator(load_options_);
  ASSERT_TRUE(generator.Start().ok());
  while (generator.progress().idle.load() < 4) std::this_thread::yield();
  generator.Stop(/*now=*/true);
  const load::Results results = generator.Finish();
  EXPECT_EQ(Count(results, Ending::kStopped), 4u);
}

TEST_F(StoreAndLoadTest, StoppingStartsNoneOfThoseThatWait) {
  StartStore(ListenTls::kOff);
  load_options_.details.hold = 100 * kMillisecond;
  load_options_.SetScript(ScriptName::kIdle);
  load_options_.rate = load::RatePlan::Constant(10000, 600 * kSecond);
  load_options_.sessions = 1;
  load_options_.total = load::Options::kEndless;
  load::Generator generator(load_options_);
  ASSERT_TRUE(generator.Start().ok());
  while (generator.progress().idle.load() < 1) std::this_thread::yield();
  generator.Stop(/*now=*/false);
  const uint64_t started = generator.progress().started.load();
  const load::Results results = generator.Finish();
  // Those under way end well. One more may have begun while we said it.
  EXPECT_EQ(results.failed(), 0u) << Summary(load_options_, results);
  EXPECT_LE(results.sessions(), started + 1);
  // Those that were due and waited were never served, and a run without them is not good.
  EXPECT_GT(results.dropped, 0u);
  EXPECT_FALSE(results.all_good());
  EXPECT_EQ(Summary(load_options_, results).find("NOT ALL STARTED"), 0u)
      << Summary(load_options_, results);
}

TEST_F(StoreAndLoadTest, WhoWaitsBeyondTheTotalIsNotMissed) {
  StartStore(ListenTls::kOff);
  load_options_.details.hold = 100 * kMillisecond;
  load_options_.SetScript(ScriptName::kIdle);
  load_options_.rate = load::RatePlan::Constant(10000, 600 * kSecond);
  load_options_.sessions = 1;
  load_options_.total = 3;
  const load::Results ended = Run();
  EXPECT_EQ(ended.good(), 3u) << Summary(load_options_, ended);
  EXPECT_TRUE(ended.all_good()) << Summary(load_options_, ended);
  // Stopped in the first one: the other two never started, and nobody else was to.
  load_options_.details.hold = 3600 * kSecond;
  load_options_.SetScript(ScriptName::kIdle);
  load_options_.arrivals = load::Arrivals::kConstant;
  load::Generator generator(load_options_);
  ASSERT_TRUE(generator.Start().ok());
  const load::Progress& seen = generator.progress();
  while (seen.idle.load() < 1 || seen.due.load() < 3) std::this_thread::yield();
  generator.Stop(/*now=*/true);
  const load::Results stopped = generator.Finish();
  EXPECT_EQ(Count(stopped, Ending::kStopped), 1u) << Summary(load_options_, stopped);
  EXPECT_EQ(stopped.dropped, 2u);
}

// Who comes when depends on the seed, not on which thread is faster.
TEST_F(StoreAndLoadTest, TheOpenLoopHasTheSameUsersOnAnyDay) {
  store_options_.password = "secret";
  StartStore(ListenTls::kOff);
  load_options_.SetScript(ScriptName::kLogin);
  load_options_.rate = load::RatePlan::Constant(1000, 600 * kSecond);
  load_options_.wrong_percent = 40;
  load_options_.threads = 2;
  load_options_.total = load::Options::kEndless;
  load_options_.duration = 100 * kMillisecond;
  load_options_.seed = 5;
  // Each thread has every second number, as many as are due on its own clock.
  const load::UserChoice choice(load_options_.population(), 0, load_options_.seed);
  uint64_t sessions = 0;
  uint64_t wrong = 0;
  for (uint64_t thread = 0; thread < 2; ++thread) {
    load::ArrivalClock clock(&load_options_.rate, load_options_.arrivals, load_options_.seed,
                             thread, 2);
    for (uint64_t number = thread; clock.next() <= load_options_.duration; number += 2) {
      ++sessions;
      if (choice.IsAmong(number, load_options_.wrong_percent)) ++wrong;
      clock.Advance();
    }
  }
  uint64_t wrong_in_a_row = 0;
  for (uint64_t number = 0; number < sessions; ++number) {
    if (choice.IsAmong(number, load_options_.wrong_percent)) ++wrong_in_a_row;
  }
  ASSERT_NE(wrong, wrong_in_a_row) << "with this seed the test shows nothing: take another";
  const load::Results results = Run();
  EXPECT_EQ(results.failed(), 0u) << Summary(load_options_, results);
  EXPECT_EQ(results.sessions(), sessions);
  EXPECT_EQ(results.refusals, wrong);
}

TEST_F(StoreAndLoadTest, AStoppedStoreEndsItsSessions) {
  StartStore(ListenTls::kOff);
  load_options_.details.hold = 3600 * kSecond;
  load_options_.SetScript(ScriptName::kIdle);
  load_options_.total = 4;
  load::Generator generator(load_options_);
  ASSERT_TRUE(generator.Start().ok());
  while (generator.progress().idle.load() < 4) std::this_thread::yield();
  store_->Stop();
  const load::Results results = generator.Finish();
  EXPECT_EQ(Count(results, Ending::kClosed) + Count(results, Ending::kReset), 4u)
      << Summary(load_options_, results);
}

TEST_F(StoreAndLoadTest, ALongListingArrivesWhole) {
  store_options_.mailbox.messages = 20000;
  store_options_.mailbox.samples = false;
  StartStore(ListenTls::kOff);
  load_options_.details.fetch_max = 1;
  load_options_.SetScript(ScriptName::kFetch);
  const load::Results results = Run();
  EXPECT_EQ(results.verified, 40u) << Summary(load_options_, results);
}

// Six users who log in, fetch a message and delete it, a second apart; one who is refused; one who
// only knocks.
constexpr char kSessionLog[] =
    "time=2026-11-23T11:19:00.100Z user=u1 result=logged_in total_ms=100 messages=1 "
    "commands=\"retr:1 dele:1 quit:1\" quit=true\n"
    "time=2026-11-23T11:19:01.100Z user=u2 result=logged_in total_ms=100 messages=1 "
    "commands=\"stat:1 uidl:1 retr:1 dele:1 quit:1\" quit=true\n"
    "{\"time\":\"2026-11-23T11:19:02.100Z\",\"user\":\"u3\",\"result\":\"logged_in\","
    "\"total_ms\":100,\"messages\":1,\"commands\":\"list:1 dele:1\",\"quit\":true}\n"
    "time=2026-11-23T11:19:03.100Z user=u4 result=logged_in total_ms=100 messages=1 "
    "commands=\"retr:1 dele:1 quit:1\" quit=true\n"
    "time=2026-11-23T11:19:04.100Z user=u5 result=logged_in total_ms=100 messages=1 "
    "commands=\"retr:1 dele:1 quit:1\" quit=true\n"
    "time=2026-11-23T11:19:05.100Z user=u6 result=logged_in total_ms=100 messages=1 "
    "commands=\"retr:1 dele:1 quit:1\" quit=true\n"
    "time=2026-11-23T11:19:06.100Z user=u1 result=refused reason=quit_before_login total_ms=100\n"
    "time=2026-11-23T11:19:07.100Z result=none reason=quit_before_login total_ms=100\n";

TEST_F(StoreAndLoadTest, ASessionLogIsRepeated) {
  StartStore(ListenTls::kOff);
  load_options_.script = ScriptName::kReplay;
  load_options_.replay =
      std::make_shared<load::ReplayLog>(*load::ReplayLog::Parse(kSessionLog, "log"));
  load_options_.speed = 20;
  load_options_.sessions = 100;
  load_options_.threads = 2;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 8u) << Summary(load_options_, results);
  EXPECT_EQ(results.logins, 6u);
  EXPECT_EQ(results.refusals, 1u);
  EXPECT_EQ(results.verified, 6u);
  EXPECT_EQ(results.span(load::Span::kUidl).count(), 1u);
  EXPECT_EQ(results.span(load::Span::kList).count(), 1u);
  EXPECT_EQ(store_->deletions(), 6u);
  // The last one comes after 7 s, at twenty times the speed.
  EXPECT_GE(results.seconds(), 0.35);
  EXPECT_GE(results.span(load::Span::kSession).min(), 5 * kMillisecond);
}

TEST_F(StoreAndLoadTest, ASessionLogIsRepeatedWithOtherUsers) {
  StartStore(ListenTls::kOff);
  load_options_.script = ScriptName::kReplay;
  load_options_.replay =
      std::make_shared<load::ReplayLog>(*load::ReplayLog::Parse(kSessionLog, "log"));
  load_options_.speed = 1000;
  load_options_.map_users = true;
  load_options_.users = *load::ParseUsers("one@example.org", 1);
  load_options_.sessions = 1;
  const load::Results results = Run();
  EXPECT_EQ(results.good(), 8u) << Summary(load_options_, results);
  // They share a mailbox of five messages.
  EXPECT_EQ(results.verified, 5u);
  EXPECT_EQ(store_->deletions(), 5u);
}

TEST_F(StoreAndLoadTest, TheSearchRunsAgainstARealServer) {
  StartStore(ListenTls::kOff);
  load_options_.SetScript(ScriptName::kLogin);
  load_options_.rate = load::RatePlan::Constant(20, kSecond);
  load_options_.rate_max = 40;
  load_options_.step = 300 * kMillisecond;
  load_options_.sessions = 100;
  load_options_.objective = "p99<20s,errors=0";
  load_options_.find_capacity = true;
  const absl::StatusOr<load::Capacity> capacity = FindCapacity(
      load_options_,
      [](const load::Options& step) -> absl::StatusOr<load::Results> {
        load::Generator generator(step);
        const absl::Status status = generator.Start();
        if (!status.ok()) return status;
        return generator.Finish();
      },
      []() { return true; }, [](const load::CapacityStep&) {});
  ASSERT_TRUE(capacity.ok()) << capacity.status();
  EXPECT_EQ(capacity->limit, load::Capacity::Limit::kRateMax)
      << CapacityText(load_options_, *capacity);
  EXPECT_EQ(capacity->rate, 40);
}

struct FaultCase {
  Fault fault;
  Ending ending;
  Ending other;  // also right
};

void PrintTo(const FaultCase& test, std::ostream* out) {
  for (const auto& [name, fault] : maildrop::FaultNames()) {
    if (fault == test.fault) *out << name;
  }
}

class EveryFaultTest : public StoreAndLoadTest, public testing::WithParamInterface<FaultCase> {};

TEST_P(EveryFaultTest, IsReportedAsWhatItIs) {
  store_options_.fault = GetParam().fault;
  store_options_.mailbox.samples = false;
  StartStore(ListenTls::kOff);
  load_options_.total = 4;
  if (GetParam().ending == Ending::kTimeout) load_options_.timeout = 200 * kMillisecond;
  const load::Results results = Run();
  const uint64_t others =
      GetParam().other == GetParam().ending ? 0 : Count(results, GetParam().other);
  EXPECT_EQ(Count(results, GetParam().ending) + others, 4u) << Summary(load_options_, results);
}

INSTANTIATE_TEST_SUITE_P(
    , EveryFaultTest,
    testing::Values(FaultCase{Fault::kNoGreeting, Ending::kTimeout, Ending::kTimeout},
                    FaultCase{Fault::kBadGreeting, Ending::kGreeting, Ending::kGreeting},
                    FaultCase{Fault::kErrGreeting, Ending::kGreeting, Ending::kGreeting},
                    FaultCase{Fault::kCloseOnConnect, Ending::kClosed, Ending::kReset},
                    // A reset may be seen by connect(2) or by the first read.
                    FaultCase{Fault::kRstOnConnect, Ending::kReset, Ending::kConnect},
                    FaultCase{Fault::kCloseAfterUser, Ending::kClosed, Ending::kClosed},
                    FaultCase{Fault::kStallAfterPass, Ending::kTimeout, Ending::kTimeout},
                    FaultCase{Fault::kRefuseLogin, Ending::kRefused, Ending::kRefused},
                    FaultCase{Fault::kRefuseTemporarily, Ending::kTemporary, Ending::kTemporary},
                    FaultCase{Fault::kInUse, Ending::kTemporary, Ending::kTemporary},
                    FaultCase{Fault::kLongReply, Ending::kGood, Ending::kGood},
                    FaultCase{Fault::kStallMidRetr, Ending::kTimeout, Ending::kTimeout},
                    FaultCase{Fault::kCloseMidRetr, Ending::kClosed, Ending::kClosed},
                    FaultCase{Fault::kRstMidRetr, Ending::kReset, Ending::kReset},
                    FaultCase{Fault::kNoTerminator, Ending::kClosed, Ending::kClosed}));

TEST_F(StoreAndLoadTest, AStoreThatCannotStartSaysWhy) {
  maildrop::Listen listen;
  listen.address = *SocketAddress::Parse("127.0.0.1:0");
  listen.tls = ListenTls::kImplicit;
  store_options_.listen = {listen};
  store_options_.certificate.key = "/nowhere/key.pem";
  maildrop::Store store(store_options_);
  const absl::Status status = store.Start();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/nowhere/key.pem"), absl::string_view::npos) << status;
}

TEST_F(StoreAndLoadTest, AWrongCertificateNameIsATlsFailure) {
  StartStore(ListenTls::kImplicit);
  load_options_.tls = TargetTls::kImplicit;
  load_options_.tls_options.server_name = "other.example";
  load_options_.total = 4;
  EXPECT_EQ(Count(Run(), Ending::kTls), 4u);
}

}  // namespace
}  // namespace postern
