// Users and sessions through the admin endpoint: what is asked, what is answered, who may.
#include "proxy/admin/operator_api.h"

#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/admin/client.h"
#include "proxy/admin/http_server.h"
#include "proxy/admin/url_text.h"

namespace postern::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

// Remembers what it was asked, and knows one session, one hold and one move.
class Actions : public OperatorActions {
 public:
  absl::StatusOr<SessionPage> Sessions(const SessionQuery& query, size_t limit) override {
    asked = query;
    asked_limit = limit;
    if (query.backend == "mail9") return absl::NotFoundError("no backend mail9");
    SessionInfo info;
    info.id = 0xab;
    info.user = "alice \xff";
    info.client = "192.0.2.1:4711";
    info.listener = "pop3s";
    info.backend = "mail1";
    info.phase = Phase::kRelay;
    info.age = 2 * kSecond;
    info.idle = kSecond / 2;
    info.bytes_from_client = 10;
    info.bytes_to_client = 20;
    SessionPage page;
    page.sessions.push_back(info);
    page.matching = 3;
    return page;
  }
  absl::StatusOr<KickResult> Kick(const SessionQuery& query, const Signature& by) override {
    if (query.empty()) return absl::InvalidArgumentError("name the sessions");
    asked = query;
    signature = by;
    KickResult result;
    result.kicked = 2;
    result.complete = false;
    return result;
  }
  absl::Status Hold(const HoldQuery& query, const Signature& by) override {
    held.push_back(absl::StrCat("+", query.user, "|", query.domain, "|", query.hash_range));
    signature = by;
    return absl::OkStatus();
  }
  absl::Status Release(const HoldQuery& query, const Signature& by) override {
    held.push_back(absl::StrCat("-", query.user, "|", query.domain, "|", query.hash_range));
    signature = by;
    if (query.user == "nobody") return absl::NotFoundError("nobody is not on hold");
    return absl::OkStatus();
  }
  std::vector<HoldReport> Holds() override { return {{"@example.org", "uid 0", "disks", 1.5}}; }
  absl::StatusOr<MoveReport> Move(const MoveOrder& order, const Signature& by) override {
    ordered = order;
    signature = by;
    if (order.to == "full") return absl::ResourceExhaustedError("too many moves");
    return Report();
  }
  absl::StatusOr<MoveReport> MoveProgress(uint64_t id) override {
    if (id != 7) return absl::NotFoundError("no such move");
    return Report();
  }
  absl::StatusOr<MovedUsers> Moved(const std::string& user, size_t limit) override {
    asked.user = user;
    asked_limit = limit;
    MovedUsers moved;
    moved.total = 2;
    moved.users.push_back({"alice", "mail2"});
    return moved;
  }

  static MoveReport Report() {
    MoveReport report;
    report.id = 7;
    report.to = "mail2";
    report.users.push_back({"alice", "mail1", "waiting", 2, ""});
    return report;
  }

  SessionQuery asked;
  size_t asked_limit = 0;
  Signature signature;
  std::vector<std::string> held;
  MoveOrder ordered;
};

class OperatorApiTest : public ::testing::Test {
 protected:
  OperatorApiTest() {
    std::string pattern = ::testing::TempDir() + "/postern-operator-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    handlers_.metrics = [] { return std::string(); };
    handlers_.ready = [] { return Readiness(); };
    handlers_.status_json = [] { return std::string("{}"); };
    handlers_.change = [](const BackendChange&) { return absl::OkStatus(); };
    handlers_.actions = &actions_;
    Start(absl::StrCat("unix:", directory_, "/admin"));
  }
  ~OperatorApiTest() override {
    server_.reset();
    rmdir(directory_.c_str());
  }

  void Start(const std::string& address) {
    AdminOptions options;
    options.address = address;
    server_ = std::make_unique<AdminServer>(options, handlers_);
    ASSERT_TRUE(server_->Start().ok());
    admin_.address = server_->port() == 0 ? address : absl::StrCat("127.0.0.1:", server_->port());
  }
  // The answer, or the error as a string.
  Json Ask(const std::string& path) {
    const absl::StatusOr<std::string> answer = Get(admin_, path);
    return answer.ok() ? Json::parse(*answer) : Json(std::string(answer.status().message()));
  }
  Json Tell(const std::string& path, const std::string& body) {
    const absl::StatusOr<std::string> answer = Post(admin_, path, body);
    return answer.ok() ? Json::parse(*answer) : Json(std::string(answer.status().message()));
  }

  std::string directory_;
  Actions actions_;
  AdminHandlers handlers_;
  std::unique_ptr<AdminServer> server_;
  config::Admin admin_;
};

TEST_F(OperatorApiTest, Sessions) {
  const Json page = Ask(absl::StrCat("/api/v1/sessions?user=", UrlText("a&b c@d"),
                                     "&backend=mail1&ip=192.0.2.0%2F24&id=00ab&limit=5"));
  EXPECT_EQ(actions_.asked.user, "a&b c@d");
  EXPECT_EQ(actions_.asked.backend, "mail1");
  EXPECT_EQ(actions_.asked.network, "192.0.2.0/24");
  EXPECT_EQ(actions_.asked.id, "00ab");
  EXPECT_EQ(actions_.asked_limit, 5u);
  EXPECT_EQ(page.at("matching"), 3);
  EXPECT_EQ(page.at("more"), true);
  EXPECT_EQ(page.at("complete"), true);
  const Json& row = page.at("sessions").at(0);
  EXPECT_EQ(row.at("id"), "00000000000000ab");
  EXPECT_EQ(row.at("client"), "192.0.2.1:4711");
  EXPECT_EQ(row.at("phase"), "relay");
  EXPECT_EQ(row.at("age_seconds"), 2.0);
  EXPECT_EQ(row.at("idle_seconds"), 0.5);
  EXPECT_EQ(row.at("bytes_out"), 20);
  Ask("/api/v1/sessions");
  EXPECT_EQ(actions_.asked_limit, 1000u);
  Ask("/api/v1/sessions?domain=example.org");
  EXPECT_EQ(actions_.asked.domain, "example.org");
  Ask("/api/v1/sessions?hash_range=0-7");
  EXPECT_EQ(actions_.asked.hash_range, "0-7");
  EXPECT_EQ(Ask("/api/v1/sessions?backend=mail9"), "no backend mail9");
  for (const char* limit : {"0", "-1", "x", "10001", ""}) {
    EXPECT_THAT(Ask(absl::StrCat("/api/v1/sessions?limit=", limit)).dump(),
                HasSubstr("limit must be 1 to 10000"))
        << limit;
  }
}

TEST_F(OperatorApiTest, Kick) {
  const Json answer = Tell("/api/v1/sessions/kick", R"({"user": "alice", "reason": "a\nb"})");
  EXPECT_EQ(answer.at("kicked"), 2);
  EXPECT_EQ(answer.at("complete"), false);
  EXPECT_EQ(actions_.asked.user, "alice");
  EXPECT_EQ(actions_.signature.why, "a\\x0ab");
  EXPECT_THAT(actions_.signature.who, HasSubstr("uid "));
  Tell("/api/v1/sessions/kick", R"({"domain": "example.org"})");
  EXPECT_EQ(actions_.asked.domain, "example.org");
  Tell("/api/v1/sessions/kick", R"({"hash_range": "0-7"})");
  EXPECT_EQ(actions_.asked.hash_range, "0-7");
  EXPECT_EQ(Tell("/api/v1/sessions/kick", "{}"), "name the sessions");
  EXPECT_EQ(Tell("/api/v1/sessions/kick", ""), "the body must be a JSON object");
  EXPECT_EQ(Tell("/api/v1/sessions/kick", R"({"user": 1})"), "\"user\" must be a string");
  // A word too much must not end more sessions than meant.
  EXPECT_THAT(Tell("/api/v1/sessions/kick", R"({"backend": "mail1", "usr": "a"})").dump(),
              HasSubstr("unknown member"));
}

TEST_F(OperatorApiTest, Holds) {
  EXPECT_EQ(Tell("/api/v1/holds", R"({"user": "a"})").at("held"), true);
  EXPECT_EQ(Tell("/api/v1/holds", R"({"domain": "b"})").at("held"), true);
  EXPECT_EQ(Tell("/api/v1/holds/release", R"({"hash_range": "0-f"})").at("held"), false);
  EXPECT_EQ(Tell("/api/v1/holds/release", R"({"user": "nobody"})"), "nobody is not on hold");
  EXPECT_THAT(actions_.held, ElementsAre("+a||", "+|b|", "-||0-f", "-nobody||"));
  const Json holds = Ask("/api/v1/holds");
  EXPECT_EQ(holds.at("holds").at(0).at("target"), "@example.org");
  EXPECT_EQ(holds.at("holds").at(0).at("seconds_ago"), 1.5);
}

TEST_F(OperatorApiTest, Moves) {
  const Json report =
      Tell("/api/v1/moves",
           R"({"users": ["a", "b"], "to": "mail2", "patience": "3s", "dry_run": true})");
  EXPECT_EQ(report.at("id"), 7);
  EXPECT_EQ(report.at("over"), false);
  EXPECT_EQ(report.at("users").at(0).at("state"), "waiting");
  EXPECT_EQ(report.at("users").at(0).at("sessions"), 2);
  EXPECT_THAT(actions_.ordered.users, ElementsAre("a", "b"));
  EXPECT_EQ(actions_.ordered.to, "mail2");
  EXPECT_EQ(actions_.ordered.patience, 3 * kSecond);
  EXPECT_TRUE(actions_.ordered.dry_run);
  EXPECT_FALSE(actions_.ordered.force);
  Tell("/api/v1/moves", R"({"users": ["a"], "to": "mail2", "force": true})");
  EXPECT_TRUE(actions_.ordered.force);
  Tell("/api/v1/moves", R"({"domain": "example.org", "to": "mail2"})");
  EXPECT_EQ(actions_.ordered.domain, "example.org");
  EXPECT_THAT(actions_.ordered.users, IsEmpty());
  Tell("/api/v1/moves", R"({"hash_range": "0-7"})");
  EXPECT_EQ(actions_.ordered.hash_range, "0-7");
  EXPECT_EQ(actions_.ordered.domain, "");
  for (const char* wrong :
       {R"({"to": "x"})", R"({"users": "a"})", R"({"domain": 1})", R"({"hash_range": 1})",
        R"({"domain": "x", "users": "a"})", R"({"users": [1]})",
        R"({"users": ["a"], "patience": "soon"})", R"({"users": ["a"], "dry_run": 1})"}) {
    EXPECT_THAT(Tell("/api/v1/moves", wrong).dump(), HasSubstr("must")) << wrong;
  }
  EXPECT_THAT(Tell("/api/v1/moves", R"({"users": ["a"], "too": "x"})").dump(),
              HasSubstr("unknown member"));
  const absl::StatusOr<std::string> full =
      Post(admin_, "/api/v1/moves", R"({"users": ["a"], "to": "full"})");
  EXPECT_TRUE(absl::IsResourceExhausted(full.status())) << full.status();
  EXPECT_EQ(Ask("/api/v1/moves/7").at("to"), "mail2");
  EXPECT_EQ(Ask("/api/v1/moves/8"), "no such move");
  const Json moved = Ask("/api/v1/moves?user=alice&limit=1");
  EXPECT_EQ(actions_.asked.user, "alice");
  EXPECT_EQ(moved.at("more"), true);
  EXPECT_EQ(moved.at("users").at(0).at("backend"), "mail2");
}

TEST_F(OperatorApiTest, NobodyReadsNamesOverTcpWithoutAToken) {
  server_.reset();
  Start("127.0.0.1:0");
  for (const char* path :
       {"/api/v1/sessions", "/api/v1/holds", "/api/v1/moves", "/api/v1/moves/7"}) {
    EXPECT_THAT(Ask(path).dump(), HasSubstr("need a token")) << path;
  }
  for (const char* path :
       {"/api/v1/sessions/kick", "/api/v1/holds", "/api/v1/holds/release", "/api/v1/moves"}) {
    EXPECT_THAT(Tell(path, R"({"user": "a"})").dump(), HasSubstr("need a token")) << path;
  }
  EXPECT_THAT(actions_.held, IsEmpty());
}

}  // namespace
}  // namespace postern::admin
