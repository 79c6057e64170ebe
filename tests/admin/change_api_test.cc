// Changes through the admin endpoint: who may, what is passed on, and what the client of the
// command line makes of it.
#include "proxy/admin/change_api.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/admin/client.h"
#include "proxy/admin/http_server.h"

namespace postern::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

class ChangeApiTest : public ::testing::Test {
 protected:
  ChangeApiTest() {
    std::string pattern = ::testing::TempDir() + "/postern-change-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    handlers_.metrics = [] { return std::string(); };
    handlers_.ready = [] { return Readiness(); };
    handlers_.status_json = [] { return std::string("{}"); };
    handlers_.change = [this](const BackendChange& change) {
      changes_.push_back(change);
      if (change.backend == "mail1") return absl::OkStatus();
      return absl::Status(absl::NotFoundError("no backend " + change.backend));
    };
  }
  ~ChangeApiTest() override {
    server_.reset();
    unlink((directory_ + "/token").c_str());
    rmdir(directory_.c_str());
  }

  // "unix" or "tcp".
  void Start(bool unix_socket, const std::string& token = "") {
    AdminOptions options;
    options.address = unix_socket ? absl::StrCat("unix:", directory_, "/admin") : "127.0.0.1:0";
    if (!token.empty()) options.token = std::make_shared<const Secret>(token);
    server_ = std::make_unique<AdminServer>(options, handlers_);
    ASSERT_TRUE(server_->Start().ok());
    admin_.address = unix_socket ? options.address : absl::StrCat("127.0.0.1:", server_->port());
  }

  void WriteToken(const std::string& token) {
    admin_.token_file = directory_ + "/token";
    std::ofstream(admin_.token_file) << token << "\n";
    chmod(admin_.token_file.c_str(), 0600);
  }

  std::string PostError(const std::string& path, const std::string& body = "") {
    const absl::StatusOr<std::string> answer = Post(admin_, path, body);
    return answer.ok() ? "" : std::string(answer.status().message());
  }

  std::string directory_;
  AdminHandlers handlers_;
  std::unique_ptr<AdminServer> server_;
  config::Admin admin_;
  std::vector<BackendChange> changes_;
};

TEST_F(ChangeApiTest, EveryVerbOnAUnixSocket) {
  Start(/*unix_socket=*/true);
  const std::pair<const char*, routing::Service> verbs[] = {
      {"drain", routing::Service::kDraining},
      {"disable", routing::Service::kDisabled},
      {"undrain", routing::Service::kEnabled},
      {"enable", routing::Service::kEnabled}};
  for (const auto& [verb, service] : verbs) {
    const absl::StatusOr<std::string> answer =
        Post(admin_, absl::StrCat("/api/v1/backends/mail1/", verb), "");
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, absl::StrCat("{\"backend\":\"mail1\",\"state\":\"",
                                    routing::ServiceName(service), "\"}\n"));
    EXPECT_EQ(changes_.back().service, service);
    EXPECT_EQ(changes_.back().backend, "mail1");
    EXPECT_EQ(changes_.back().who, absl::StrCat("uid ", getuid(), " (pid ", getpid(), ")"));
    EXPECT_EQ(changes_.back().reason, "");
  }
}

TEST_F(ChangeApiTest, Weights) {
  Start(/*unix_socket=*/true);
  const std::string path = "/api/v1/backends/mail1/weight";
  absl::StatusOr<std::string> answer =
      Post(admin_, path, "{\"weight\": 50, \"reason\": \"slow\\ndisks\"}");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, "{\"backend\":\"mail1\",\"weight\":50}\n");
  EXPECT_EQ(changes_.back().what, BackendChange::What::kWeight);
  EXPECT_EQ(changes_.back().weight, 50);
  EXPECT_EQ(changes_.back().reason, "slow\\x0adisks");
  answer = Post(admin_, path, "{\"weight\": null}");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, "{\"backend\":\"mail1\",\"weight\":null}\n");
  EXPECT_EQ(changes_.back().weight, routing::BackendWeight::kAsConfigured);
  EXPECT_EQ(PostError("/api/v1/backends/mail9/weight", "{\"weight\": 0}"), "no backend mail9");
  const size_t before = changes_.size();
  for (const char* body : {"", "{}", "{\"weight\": -1}", "{\"weight\": 10001}", "{\"weight\": 1.5}",
                           "{\"weight\": \"50\"}", "50"}) {
    EXPECT_THAT(PostError(path, body), HasSubstr("the body must be ")) << body;
  }
  EXPECT_EQ(changes_.size(), before);
}

TEST_F(ChangeApiTest, ReasonsAreEscapedAndCut) {
  Start(/*unix_socket=*/true);
  const std::string path = "/api/v1/backends/mail1/drain";
  EXPECT_EQ(PostError(path, "{\"reason\": \"new\\ndisks\"}"), "");
  EXPECT_EQ(changes_.back().reason, "new\\x0adisks");
  EXPECT_EQ(PostError(path, absl::StrCat("{\"reason\": \"", std::string(1000, 'x'), "\"}")), "");
  EXPECT_EQ(changes_.back().reason, std::string(200, 'x') + "...");
  EXPECT_EQ(PostError(path, "{}"), "");
  const size_t before = changes_.size();
  for (const char* body : {"{", "[]", "\"x\"", "{\"reason\": 5}"}) {
    EXPECT_THAT(PostError(path, body), HasSubstr("the body must be empty or")) << body;
  }
  EXPECT_EQ(changes_.size(), before);
}

TEST_F(ChangeApiTest, WhatDoesNotExist) {
  Start(/*unix_socket=*/true);
  EXPECT_EQ(PostError("/api/v1/backends/mail9/drain"), "no backend mail9");
  changes_.clear();
  EXPECT_NE(PostError("/api/v1/backends/mail1/explode"), "");
  EXPECT_NE(PostError("/api/v1/backends//drain"), "");
  EXPECT_FALSE(Get(admin_, "/api/v1/backends/mail1/drain").ok());
  EXPECT_THAT(changes_, IsEmpty());
}

TEST_F(ChangeApiTest, TcpWithoutATokenChangesNothing) {
  Start(/*unix_socket=*/false);
  EXPECT_THAT(PostError("/api/v1/backends/mail1/drain"), HasSubstr("need a token"));
  WriteToken("guess");
  EXPECT_THAT(PostError("/api/v1/backends/mail1/drain"), HasSubstr("need a token"));
  EXPECT_THAT(changes_, IsEmpty());
}

TEST_F(ChangeApiTest, TcpWithAToken) {
  Start(/*unix_socket=*/false, "open sesame");
  const std::string path = "/api/v1/backends/mail1/drain";
  EXPECT_THAT(PostError(path), HasSubstr("needs the token"));
  WriteToken("open sesam");
  EXPECT_THAT(PostError(path), HasSubstr("needs the token"));
  EXPECT_THAT(changes_, IsEmpty());
  WriteToken("open sesame");
  EXPECT_EQ(PostError(path), "");
  ASSERT_THAT(changes_, SizeIs(1));
  EXPECT_THAT(changes_[0].who, MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
}

// What a client says about itself counts for nothing.
TEST_F(ChangeApiTest, ThePeerHeaderCannotBeForged) {
  Start(/*unix_socket=*/false, "t");
  httplib::Client client("http://" + admin_.address);
  const httplib::Headers headers = {{"Authorization", "Bearer t"},
                                    {"Postern-Peer", "uid 0 (pid 1)"}};
  const httplib::Result result =
      client.Post("/api/v1/backends/mail1/drain", headers, "", "text/plain");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
  ASSERT_THAT(changes_, SizeIs(1));
  EXPECT_THAT(changes_[0].who, MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
}

TEST_F(ChangeApiTest, NobodyListens) {
  admin_.address = absl::StrCat("unix:", directory_, "/admin");
  EXPECT_THAT(PostError("/x"), HasSubstr("is postern serve running"));
  admin_.address = "";
  EXPECT_THAT(PostError("/x"), HasSubstr("switches the admin endpoint off"));
}

}  // namespace
}  // namespace postern::admin
