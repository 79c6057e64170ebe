// Backends that come and go through the admin endpoint: who may, what is passed on.
#include "proxy/admin/backend_api.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/admin/client.h"

namespace postern::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Removal {
  std::string name;
  Signature by;
};

class BackendApiTest : public ::testing::Test {
 protected:
  BackendApiTest() {
    std::string pattern = ::testing::TempDir() + "/postern-backends-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    handlers_.metrics = [] { return std::string(); };
    handlers_.ready = [] { return Readiness(); };
    handlers_.status_json = [] { return std::string("{}"); };
    handlers_.change = [](const BackendChange&) { return absl::OkStatus(); };
    handlers_.backends.add = [this](const config::AddedBackend& wanted) {
      added_.push_back(wanted);
      return wanted.pool == "mail" ? absl::OkStatus()
                                   : absl::Status(absl::NotFoundError("no pool " + wanted.pool));
    };
    handlers_.backends.remove = [this](const std::string& name, const Signature& by) {
      removed_.push_back({name, by});
      return name == "busy" ? absl::AbortedError("it has a session") : absl::OkStatus();
    };
  }
  ~BackendApiTest() override {
    server_.reset();
    rmdir(directory_.c_str());
  }

  void Start(bool unix_socket) {
    AdminOptions options;
    options.address = unix_socket ? absl::StrCat("unix:", directory_, "/admin") : "127.0.0.1:0";
    server_ = std::make_unique<AdminServer>(options, handlers_);
    ASSERT_TRUE(server_->Start().ok());
    admin_.address = unix_socket ? options.address : absl::StrCat("127.0.0.1:", server_->port());
  }

  // The answer, or what was wrong.
  std::string Ask(const std::string& what, const std::string& body = "") {
    const absl::StatusOr<std::string> answer =
        Post(admin_, absl::StrCat("/api/v1/backends/", what), body);
    return answer.ok() ? *answer : std::string(answer.status().message());
  }

  std::string directory_;
  AdminHandlers handlers_;
  std::unique_ptr<AdminServer> server_;
  config::Admin admin_;
  std::vector<config::AddedBackend> added_;
  std::vector<Removal> removed_;
};

TEST_F(BackendApiTest, Add) {
  Start(/*unix_socket=*/true);
  EXPECT_EQ(Ask("mail3/add", R"({"pool": "mail", "address": "mail3:995", "like": "mail1",
      "tls": "implicit", "ca": "ca.pem", "server_name": "mail3.example.org", "weight": 0,
      "reason": "more\nroom"})"),
            "{\"backend\":\"mail3\",\"state\":\"added\"}\n");
  ASSERT_THAT(added_, SizeIs(1));
  const config::AddedBackend& wanted = added_[0];
  EXPECT_EQ(wanted.name, "mail3");
  EXPECT_EQ(wanted.pool, "mail");
  EXPECT_EQ(wanted.address, "mail3:995");
  EXPECT_EQ(wanted.like, "mail1");
  EXPECT_EQ(wanted.tls, "implicit");
  EXPECT_EQ(wanted.ca, "ca.pem");
  EXPECT_EQ(wanted.server_name, "mail3.example.org");
  EXPECT_EQ(wanted.weight, 0);
  EXPECT_EQ(wanted.who, absl::StrCat("uid ", getuid(), " (pid ", getpid(), ")"));
  EXPECT_EQ(wanted.why, "more\\x0aroom");
  EXPECT_EQ(Ask("mail3/add", R"({"pool": "post"})"), "no pool post");
  EXPECT_EQ(added_.back().weight, std::nullopt);
  Ask("mail3/add");
  EXPECT_EQ(added_.back().pool, "");
}

TEST_F(BackendApiTest, Remove) {
  Start(/*unix_socket=*/true);
  EXPECT_EQ(Ask("mail3/remove"), "{\"backend\":\"mail3\",\"state\":\"removed\"}\n");
  EXPECT_EQ(removed_.back().name, "mail3");
  EXPECT_EQ(removed_.back().by.why, "");
  Ask("mail3/remove", R"({"reason": "old"})");
  EXPECT_EQ(removed_.back().by.why, "old");
  EXPECT_EQ(removed_.back().by.who, absl::StrCat("uid ", getuid(), " (pid ", getpid(), ")"));
  // For who waits until nobody is there any more.
  const absl::Status busy = Post(admin_, "/api/v1/backends/busy/remove", "").status();
  EXPECT_EQ(busy, absl::AbortedError("it has a session"));
}

TEST_F(BackendApiTest, Mistakes) {
  Start(/*unix_socket=*/true);
  EXPECT_THAT(Ask("mail3/add", "[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(Ask("mail3/add", R"({"adress": "x"})"), HasSubstr("there are pool, address, like"));
  EXPECT_THAT(Ask("mail3/add", R"({"pool": 5})"), HasSubstr("\"pool\" must be a string"));
  EXPECT_THAT(Ask("mail3/add", R"({"ca": "a\tb"})"), HasSubstr("\"ca\" has a control byte"));
  for (const char* weight : {"-1", "10001", "1.5", "\"5\"", "null"}) {
    EXPECT_THAT(Ask("mail3/add", absl::StrCat("{\"weight\": ", weight, "}")),
                HasSubstr("weight must be 0 to 10000"));
  }
  EXPECT_THAT(Ask("mail3/remove", R"({"reason": 5})"), HasSubstr("must be a string"));
  EXPECT_THAT(Ask("mail3/remove", R"({"over": "1m"})"), HasSubstr("there are reason"));
  EXPECT_THAT(added_, IsEmpty());
  EXPECT_THAT(removed_, IsEmpty());
}

TEST_F(BackendApiTest, TcpWithoutATokenChangesNothing) {
  Start(/*unix_socket=*/false);
  EXPECT_THAT(Ask("mail3/add", R"({"pool": "mail"})"), HasSubstr("need a token"));
  EXPECT_THAT(Ask("mail3/remove"), HasSubstr("need a token"));
  EXPECT_THAT(added_, IsEmpty());
  EXPECT_THAT(removed_, IsEmpty());
}

}  // namespace
}  // namespace postern::admin
