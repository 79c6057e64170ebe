#include "routing/lookup/lookup_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"

namespace postern::routing {
namespace {

using Kind = LookupAnswer::Kind;
using ::testing::HasSubstr;

// No keyed digest, but one that no two messages of a test share.
LookupKey Digest(absl::string_view message) {
  static std::mutex mutex;
  static auto* const numbers = new std::map<std::string, uint64_t>;
  const std::lock_guard<std::mutex> lock(mutex);
  const uint64_t number = numbers->emplace(std::string(message), numbers->size() + 1).first->second;
  LookupKey key;
  for (size_t i = 0; i < sizeof(number); ++i) {
    key.bytes[i] = static_cast<char>(number >> (8 * i));
  }
  return key;
}

// The world behind the sources: what it answers, and whether it answers at all.
class World {
 public:
  std::function<LookupAnswer(const LookupQuestion&)> answer = [](const LookupQuestion& question) {
    LookupAnswer found = LookupAnswer::Of(Kind::kFound);
    found.target = "home-of-" + question.user;
    return found;
  };
  std::atomic<int> asked{0};
  std::atomic<TimeNs> now{kSecond};

  void Close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  void Open() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closed_ = false;
    }
    changed_.notify_all();
  }
  // Until so many questions wait inside the sources.
  void WaitForInside(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return inside_ >= count; });
  }
  LookupAnswer Ask(const LookupQuestion& question) {
    ++asked;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      ++inside_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return !closed_; });
      --inside_;
    }
    return answer(question);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
  int inside_ = 0;
};

class WorldSource : public LookupSource {
 public:
  explicit WorldSource(World* world) : world_(world) {}
  LookupAnswer Ask(const LookupQuestion& question, std::chrono::steady_clock::time_point) override {
    return world_->Ask(question);
  }

 private:
  World* world_;
};

// One asker who waits on a thread of the test.
class Asker {
 public:
  LookupService::Done Done() {
    return [state = state_](AnswerPtr answer) {
      const std::lock_guard<std::mutex> lock(state->mutex);
      state->answer = std::move(answer);
      ++state->calls;
      state->changed.notify_all();
    };
  }
  AnswerPtr Wait() {
    std::unique_lock<std::mutex> lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->calls > 0; });
    return state_->answer;
  }
  int calls() const {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    return state_->calls;
  }
  LookupTicketPtr ticket;

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    AnswerPtr answer;
    int calls = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class LookupServiceTest : public ::testing::Test {
 protected:
  LookupServiceTest() {
    log::Configure(log::Level::kError);
    options_.name = "test";
    options_.breaker_failures = 1000000;
  }
  ~LookupServiceTest() override {
    world_.Open();
    if (service_ != nullptr) service_->Stop(30 * kSecond);
  }

  void Start() {
    auto started = LookupService::Start(
        options_, traits_, [this] { return std::make_unique<WorldSource>(&world_); }, &Digest,
        counters_, [this] { return world_.now.load(); });
    ASSERT_TRUE(started.ok()) << started.status();
    service_ = *std::move(started);
  }
  static LookupQuestion Question(const std::string& user, const std::string& password = "pw") {
    LookupQuestion question;
    question.user = user;
    question.method = "plain";
    question.password = Secret(password);
    return question;
  }
  // Null: it has to wait.
  AnswerPtr Ask(LookupQuestion question, Asker* asker) {
    return service_->Ask(std::move(question), world_.now, asker->Done(), &asker->ticket);
  }
  AnswerPtr AskAndWait(LookupQuestion question) {
    Asker asker;
    const AnswerPtr answer = Ask(std::move(question), &asker);
    return answer != nullptr ? answer : asker.Wait();
  }
  uint64_t Answers(Kind kind) { return counters_->answers[static_cast<size_t>(kind)]; }
  static LookupAnswer Failure() { return LookupAnswer::Of(Kind::kTemporary, "connection refused"); }

  World world_;
  LookupOptions options_;
  LookupTraits traits_;
  std::shared_ptr<LookupCounters> counters_ = std::make_shared<LookupCounters>();
  std::shared_ptr<LookupService> service_;
};

TEST_F(LookupServiceTest, RemembersForAsLongAsItMay) {
  Start();
  EXPECT_EQ(AskAndWait(Question("a"))->target, "home-of-a");
  Asker asker;
  const AnswerPtr again = Ask(Question("a"), &asker);
  ASSERT_NE(again, nullptr);  // at once
  EXPECT_EQ(again->target, "home-of-a");
  EXPECT_EQ(world_.asked, 1);
  world_.now += options_.ttl;
  AskAndWait(Question("a"));
  EXPECT_EQ(world_.asked, 2);
  EXPECT_EQ(counters_->hits, 1u);
  EXPECT_EQ(counters_->misses, 2u);
}

TEST_F(LookupServiceTest, AnswersHaveTheirOwnTimeAndNegativeOnesAShorter) {
  world_.answer = [](const LookupQuestion& question) {
    LookupAnswer answer = LookupAnswer::Of(question.user == "none" ? Kind::kUnknown : Kind::kFound);
    if (question.user == "short") answer.ttl = kSecond;
    if (question.user == "never") answer.ttl = 0;
    return answer;
  };
  Start();
  for (const char* user : {"none", "short", "never", "long"}) AskAndWait(Question(user));
  world_.now += 2 * kSecond;
  std::map<std::string, bool> remembered;
  for (const char* user : {"none", "short", "never", "long"}) {
    const int before = world_.asked;
    AskAndWait(Question(user));
    remembered[user] = world_.asked == before;
  }
  EXPECT_TRUE(remembered["none"]);
  EXPECT_FALSE(remembered["short"]);
  EXPECT_FALSE(remembered["never"]);
  EXPECT_TRUE(remembered["long"]);
  world_.now += options_.negative_ttl;
  const int before = world_.asked;
  AskAndWait(Question("none"));
  EXPECT_EQ(world_.asked, before + 1);
}

TEST_F(LookupServiceTest, ThePasswordCountsWhereItIsJudgedAndOnlyThere) {
  for (const bool judges : {false, true}) {
    traits_.judges_credentials = judges;
    Start();
    const int before = world_.asked;
    AskAndWait(Question("a", "right"));
    AskAndWait(Question("a", "wrong"));
    EXPECT_EQ(world_.asked - before, judges ? 2 : 1);
    service_->Stop(30 * kSecond);
  }
}

TEST_F(LookupServiceTest, ADigestIsNeverRemembered) {
  traits_.judges_credentials = true;
  Start();
  const auto digest = [] {
    LookupQuestion question = Question("a", "");
    question.method = "apop";
    question.digest = Secret("0123456789abcdef0123456789abcdef");
    question.challenge = "<1.2@host>";
    return question;
  };
  AskAndWait(digest());
  AskAndWait(digest());
  EXPECT_EQ(world_.asked, 2);
  EXPECT_EQ(service_->Report().entries, 0u);
}

TEST_F(LookupServiceTest, TheClientCountsWhereItIsSeen) {
  for (const bool sees : {false, true}) {
    traits_.sees_client = sees;
    Start();
    const int before = world_.asked;
    LookupQuestion here = Question("a");
    here.client_ip = "192.0.2.1";
    LookupQuestion there = Question("a");
    there.client_ip = "192.0.2.2";
    AskAndWait(std::move(here));
    AskAndWait(std::move(there));
    EXPECT_EQ(world_.asked - before, sees ? 2 : 1);
    service_->Stop(30 * kSecond);
  }
}

TEST_F(LookupServiceTest, ACertificateAndWhereTheClientHadConnectedToBelongToTheClient) {
  traits_.judges_credentials = traits_.sees_client = true;
  Start();
  const auto ask = [this](const std::string& fingerprint, const std::string& serial,
                          const std::string& proxied_to) {
    LookupQuestion question = Question("a");
    question.certificate.wanted = true;
    question.certificate.fingerprint = fingerprint;
    question.certificate.serial = serial;
    if (!proxied_to.empty()) {
      question.proxied_from = *SocketAddress::Parse("203.0.113.9:4711");
      question.proxied_to = *SocketAddress::Parse(proxied_to);
    }
    AskAndWait(std::move(question));
    return world_.asked.load();
  };
  EXPECT_EQ(ask("", "", ""), 1);
  EXPECT_EQ(ask("ab", "01", ""), 2);
  EXPECT_EQ(ask("ab", "02", ""), 3);
  EXPECT_EQ(ask("cd", "01", ""), 4);
  EXPECT_EQ(ask("ab", "01", "192.0.2.1:995"), 5);
  EXPECT_EQ(ask("ab", "01", "192.0.2.2:995"), 6);
  EXPECT_EQ(ask("ab", "01", "192.0.2.2:110"), 7);
  EXPECT_EQ(ask("ab", "01", "192.0.2.1:995"), 7);
}

TEST_F(LookupServiceTest, TheSameQuestionIsAskedOnce) {
  options_.connections = 2;
  Start();
  world_.Close();
  std::vector<Asker> askers(100);
  for (Asker& asker : askers) EXPECT_EQ(Ask(Question("a"), &asker), nullptr);
  world_.WaitForInside(1);
  EXPECT_EQ(service_->Report().waiting, 100u);
  world_.Open();
  for (Asker& asker : askers) EXPECT_EQ(asker.Wait()->target, "home-of-a");
  EXPECT_EQ(world_.asked, 1);
  EXPECT_EQ(counters_->coalesced, 99u);
  for (const Asker& asker : askers) EXPECT_EQ(asker.calls(), 1);
}

TEST_F(LookupServiceTest, FiftyThousandQuestionsAreBoundedAndToldAtOnce) {
  options_.connections = 4;
  options_.queue_max = 1000;
  Start();
  world_.Close();
  std::vector<Asker> askers(50000);
  size_t waiting = 0;
  size_t refused = 0;
  for (size_t i = 0; i < askers.size(); ++i) {
    const AnswerPtr answer = Ask(Question(absl::StrCat("u", i)), &askers[i]);
    if (answer == nullptr) {
      ++waiting;
      continue;
    }
    EXPECT_EQ(answer->kind, Kind::kTemporary);
    EXPECT_THAT(answer->detail, HasSubstr("too many"));
    ++refused;
  }
  EXPECT_EQ(waiting, 1004u);
  EXPECT_EQ(refused, 48996u);
  EXPECT_EQ(counters_->queue_full, 48996u);
  EXPECT_LE(service_->Report().waiting, 1004u);
  world_.Open();
  for (Asker& asker : askers) {
    if (asker.ticket == nullptr) continue;
    EXPECT_EQ(asker.Wait()->kind, Kind::kFound);
  }
  EXPECT_EQ(service_->Report().waiting, 0u);
}

TEST_F(LookupServiceTest, WhoWaitedTooLongMakesRoomForTheNext) {
  options_.connections = 1;
  options_.queue_max = 2;
  Start();
  world_.Close();
  Asker inside, second, third, fourth, fifth;
  Ask(Question("inside"), &inside);
  world_.WaitForInside(1);
  EXPECT_EQ(Ask(Question("second"), &second), nullptr);
  EXPECT_EQ(Ask(Question("third"), &third), nullptr);
  EXPECT_NE(Ask(Question("fourth"), &fourth), nullptr);
  world_.now += options_.timeout;
  const AnswerPtr given_up = service_->GiveUp(second.ticket, world_.now);
  EXPECT_EQ(given_up->kind, Kind::kTemporary);
  EXPECT_EQ(Ask(Question("fifth"), &fifth), nullptr);
  world_.Open();
  EXPECT_EQ(fifth.Wait()->target, "home-of-fifth");
  // Nobody was asked for those whose time was over.
  EXPECT_EQ(world_.asked, 2);
  EXPECT_EQ(second.calls(), 0);
  EXPECT_EQ(service_->counters().expired, 2u);
}

TEST_F(LookupServiceTest, NobodyIsAskedForThoseWhoHaveGone) {
  options_.connections = 1;
  Start();
  world_.Close();
  Asker inside, gone, last;
  Ask(Question("inside"), &inside);
  world_.WaitForInside(1);
  Ask(Question("gone"), &gone);
  Ask(Question("last"), &last);
  service_->Forget(gone.ticket);
  world_.Open();
  EXPECT_EQ(last.Wait()->target, "home-of-last");
  EXPECT_EQ(world_.asked, 2);
  EXPECT_EQ(gone.calls(), 0);
}

TEST_F(LookupServiceTest, AStaleAnswerIsBetterThanNone) {
  Start();
  AskAndWait(Question("known"));
  world_.answer = [](const LookupQuestion&) { return Failure(); };
  world_.now += options_.ttl + kSecond;
  EXPECT_EQ(AskAndWait(Question("known"))->target, "home-of-known");
  EXPECT_EQ(AskAndWait(Question("stranger"))->kind, Kind::kTemporary);
  EXPECT_EQ(counters_->stale, 1u);
  world_.now += options_.stale;
  EXPECT_EQ(AskAndWait(Question("known"))->kind, Kind::kTemporary);
}

TEST_F(LookupServiceTest, AStaleRefusalIsNoVerdict) {
  world_.answer = [](const LookupQuestion&) { return LookupAnswer::Of(Kind::kForbidden); };
  Start();
  AskAndWait(Question("a"));
  world_.answer = [](const LookupQuestion&) { return Failure(); };
  world_.now += options_.negative_ttl;
  EXPECT_EQ(AskAndWait(Question("a"))->kind, Kind::kTemporary);
}

// Everybody who asked hears it, and asks again by himself; it is no failure, and nothing is
// remembered or forgotten for it.
TEST_F(LookupServiceTest, NothingIsDecidedYet) {
  options_.connections = 1;
  options_.breaker_failures = 2;
  Start();
  AskAndWait(Question("known"));
  world_.now += options_.ttl;
  world_.answer = [](const LookupQuestion&) {
    LookupAnswer answer = LookupAnswer::Of(Kind::kWait);
    answer.wait = 5 * kSecond;
    return answer;
  };
  for (int i = 0; i < 4; ++i) {
    const AnswerPtr answer = AskAndWait(Question("known"));
    EXPECT_EQ(answer->kind, Kind::kWait);
    EXPECT_EQ(answer->wait, 5 * kSecond);
  }
  EXPECT_EQ(world_.asked, 5);
  EXPECT_EQ(Answers(Kind::kWait), 4u);
  EXPECT_EQ(counters_->stale, 0u);
  EXPECT_FALSE(service_->Report().breaker_open);

  world_.Close();
  Asker first, second;
  EXPECT_EQ(Ask(Question("new"), &first), nullptr);
  world_.WaitForInside(1);
  EXPECT_EQ(Ask(Question("new"), &second), nullptr);
  world_.Open();
  EXPECT_EQ(first.Wait()->kind, Kind::kWait);
  EXPECT_EQ(second.Wait()->kind, Kind::kWait);
  EXPECT_EQ(world_.asked, 6);
  // The service falls silent: what it said before is good again.
  world_.answer = [](const LookupQuestion&) { return Failure(); };
  EXPECT_EQ(AskAndWait(Question("known"))->target, "home-of-known");
}

// An answer that may not be remembered is newer than the one that is.
TEST_F(LookupServiceTest, ANewerAnswerEndsTheOlderOne) {
  options_.negative_ttl = 0;
  options_.stale = 3600 * kSecond;
  Start();
  for (const Kind kind : {Kind::kForbidden, Kind::kUnknown, Kind::kFound}) {
    world_.answer = [](const LookupQuestion&) { return LookupAnswer::Of(Kind::kFound); };
    EXPECT_EQ(AskAndWait(Question("a"))->kind, Kind::kFound);
    EXPECT_EQ(service_->Report().entries, 1u);
    world_.now += options_.ttl;
    world_.answer = [kind](const LookupQuestion&) {
      LookupAnswer answer = LookupAnswer::Of(kind);
      if (kind == Kind::kFound) answer.ttl = 0;
      return answer;
    };
    EXPECT_EQ(AskAndWait(Question("a"))->kind, kind);
    world_.answer = [](const LookupQuestion&) { return Failure(); };
    EXPECT_EQ(AskAndWait(Question("a"))->kind, Kind::kTemporary) << LookupKindName(kind);
    EXPECT_EQ(service_->Report().entries, 0u);
  }
  // What has failed says nothing new.
  world_.answer = [](const LookupQuestion&) { return LookupAnswer::Of(Kind::kFound); };
  AskAndWait(Question("a"));
  world_.now += options_.ttl;
  world_.answer = [](const LookupQuestion&) { return Failure(); };
  EXPECT_EQ(AskAndWait(Question("a"))->kind, Kind::kFound);
}

TEST_F(LookupServiceTest, TheBreakerSparesAskersTheWait) {
  options_.breaker_failures = 3;
  Start();
  world_.answer = [](const LookupQuestion&) { return Failure(); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(AskAndWait(Question(absl::StrCat("u", i)))->detail, HasSubstr("refused"));
  }
  EXPECT_TRUE(service_->Report().breaker_open);
  Asker asker;
  const AnswerPtr refused = Ask(Question("next"), &asker);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->kind, Kind::kTemporary);
  EXPECT_EQ(world_.asked, 3);
  EXPECT_EQ(counters_->breaker, 1u);
  world_.answer = World().answer;
  world_.now += options_.breaker_probe;
  EXPECT_EQ(AskAndWait(Question("probe"))->target, "home-of-probe");
  EXPECT_FALSE(service_->Report().breaker_open);
  EXPECT_EQ(AskAndWait(Question("next"))->target, "home-of-next");
}

// A service that says "come back" about one user is well.
TEST_F(LookupServiceTest, WordsForTheClientAreNoFailure) {
  options_.breaker_failures = 1;
  Start();
  world_.answer = [](const LookupQuestion&) {
    LookupAnswer answer = Failure();
    answer.refusal = "[SYS/TEMP] being moved";
    return answer;
  };
  EXPECT_EQ(AskAndWait(Question("a"))->refusal, "[SYS/TEMP] being moved");
  EXPECT_FALSE(service_->Report().breaker_open);
}

TEST_F(LookupServiceTest, NothingIsToldAfterTheEnd) {
  options_.connections = 1;
  Start();
  world_.Close();
  Asker inside, queued;
  Ask(Question("inside"), &inside);
  Ask(Question("queued"), &queued);
  world_.WaitForInside(1);
  service_->Stop(0);
  world_.Open();
  service_->Stop(30 * kSecond);
  EXPECT_EQ(inside.calls() + queued.calls(), 0);
  Asker late;
  EXPECT_EQ(Ask(Question("late"), &late)->kind, Kind::kTemporary);
  EXPECT_EQ(world_.asked, 1);
}

// A cache that mixes up two users is the worst thing a proxy can have: the same password for all,
// and threads that ask, hit and expire at the same time.
TEST_F(LookupServiceTest, UsersWithOnePasswordNeverMeetEachOthersRoute) {
  traits_.judges_credentials = true;
  options_.entries = 64;  // so that entries come and go
  options_.queue_max = 100000;
  Start();
  constexpr int kThreads = 4;
  constexpr int kQuestions = 10000;
  std::atomic<int> crossed{0};
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kQuestions / kThreads; ++i) {
        const std::string user = absl::StrCat("user", (i * 7 + t) % 100);
        const AnswerPtr answer = AskAndWait(Question(user, "the same password"));
        if (answer->target != "home-of-" + user) ++crossed;
        ++answered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(crossed, 0);
  EXPECT_EQ(answered, kQuestions);
  EXPECT_GT(counters_->evictions, 0u);
}

TEST(LookupKeyTest, PartsDoNotRunTogether) {
  LookupTraits traits;
  traits.judges_credentials = true;
  std::set<std::string> messages;
  const LookupDigest collect = [&](absl::string_view message) {
    messages.insert(std::string(message));
    return LookupKey();
  };
  for (const auto& [user, method, password] :
       std::vector<std::array<std::string, 3>>{{"ab", "c", ""},
                                               {"a", "bc", ""},
                                               {"a", "b", "c"},
                                               {"", "abc", ""},
                                               {"abc", "", ""},
                                               {"", "", "abc"}}) {
    LookupQuestion question;
    question.user = user;
    question.method = method;
    question.password = Secret(password);
    KeyOf(question, traits, collect);
  }
  EXPECT_EQ(messages.size(), 6u);
}

}  // namespace
}  // namespace postern::routing
