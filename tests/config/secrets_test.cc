#include "proxy/config/secrets.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace postern::config {
namespace {

constexpr char kMarker[] = "hunter2-marker";

class SecretsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/secrets_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/secrets";
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  void WriteFile(const std::string& content, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::binary) << content;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  // The error of loading `content`, which never shows a secret.
  std::string LoadError(const std::string& content, mode_t mode = 0600) {
    WriteFile(content, mode);
    const auto loaded = SecretsFile::Load(path_);
    const std::string message(loaded.status().message());
    EXPECT_FALSE(absl::StrContains(message, kMarker)) << message;
    return loaded.ok() ? "loaded" : message;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(SecretsTest, FindsUsers) {
  WriteFile(
      "# comment: no user\n\nalice@example.org:secret one \r\nbob:with:colons\n   \ncarol:last");
  const auto secrets = SecretsFile::Load(path_);
  ASSERT_TRUE(secrets.ok()) << secrets.status();
  EXPECT_EQ((*secrets)->size(), 3u);
  ASSERT_NE((*secrets)->Find("alice@example.org"), nullptr);
  EXPECT_EQ((*secrets)->Find("alice@example.org")->view(), "secret one ");
  ASSERT_NE((*secrets)->Find("bob"), nullptr);
  EXPECT_EQ((*secrets)->Find("bob")->view(), "with:colons");
  ASSERT_NE((*secrets)->Find("carol"), nullptr);
  EXPECT_EQ((*secrets)->Find("carol")->view(), "last");
  EXPECT_EQ((*secrets)->Find("dave"), nullptr);
  EXPECT_EQ((*secrets)->Find("# comment"), nullptr);
  EXPECT_EQ((*secrets)->Find(""), nullptr);
}

TEST_F(SecretsTest, LargeFile) {
  std::string content;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&content, "user", i, ":secret", i, "\n");
  WriteFile(content);
  const auto secrets = SecretsFile::Load(path_);
  ASSERT_TRUE(secrets.ok()) << secrets.status();
  EXPECT_EQ((*secrets)->size(), 5000u);
  ASSERT_NE((*secrets)->Find("user4999"), nullptr);
  EXPECT_EQ((*secrets)->Find("user4999")->view(), "secret4999");
}

TEST_F(SecretsTest, RefusedWhenOthersMayUseIt) {
  const std::string line = absl::StrCat("a:", kMarker, "\n");
  for (const mode_t mode : {0640u, 0604u, 0620u, 0602u, 0610u, 0601u, 0777u}) {
    const std::string error = LoadError(line, mode);
    EXPECT_TRUE(absl::StrContains(error, "run: chmod 600 " + path_)) << error;
    EXPECT_FALSE(ReadPasswordFile(path_).ok()) << mode;
  }
  for (const mode_t mode : {0600u, 0400u, 0700u}) {
    EXPECT_EQ(LoadError(line, mode), "loaded") << mode;
    EXPECT_TRUE(ReadPasswordFile(path_).ok()) << mode;
  }
}

TEST_F(SecretsTest, SystemdCredentialsMayLookReadableForTheGroup) {
  const std::string content = absl::StrCat("alice:", kMarker);
  ASSERT_EQ(setenv("CREDENTIALS_DIRECTORY", directory_.c_str(), 1), 0);
  EXPECT_EQ(LoadError(content, 0440), "loaded");
  EXPECT_NE(LoadError(content, 0444), "loaded");
  EXPECT_NE(LoadError(content, 0460), "loaded");
  // Nowhere else.
  ASSERT_EQ(setenv("CREDENTIALS_DIRECTORY", (directory_ + "x").c_str(), 1), 0);
  EXPECT_NE(LoadError(content, 0440), "loaded");
  ASSERT_EQ(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
  EXPECT_NE(LoadError(content, 0440), "loaded");
  ASSERT_EQ(unsetenv("CREDENTIALS_DIRECTORY"), 0);
  EXPECT_NE(LoadError(content, 0440), "loaded");
}

TEST_F(SecretsTest, ErrorsNameTheLineAndShowNothing) {
  const struct {
    std::string content;
    std::string error;  // behind the path
  } cases[] = {
      {absl::StrCat("a:b\n", kMarker, "\n"), ":2: has no colon"},
      {absl::StrCat(":", kMarker), ":1: the user before the colon is empty"},
      {absl::StrCat(" a:", kMarker), ":1: the user before the colon is empty or has spaces"},
      {absl::StrCat("a :", kMarker), ":1: the user before the colon is empty or has spaces"},
      {"#\n\na:\n", ":3: there is no secret"},
      {absl::StrCat("a:b\n", "a:", kMarker), ":2: this user stands in an earlier line"},
      {absl::StrCat("a:", kMarker, std::string(1, '\0'), "\n"), ":1: holds a control character"},
      {absl::StrCat("a\tb:", kMarker), ":1: holds a control character"},
      {absl::StrCat("a:", kMarker, std::string(255, 'x')), ":1: the secret is longer than 255"},
  };
  for (const auto& bad : cases) {
    const std::string error = LoadError(bad.content);
    EXPECT_TRUE(absl::StartsWith(error, path_ + bad.error)) << error;
  }
}

TEST_F(SecretsTest, MissingFileAndDirectory) {
  const auto missing = SecretsFile::Load(path_);
  EXPECT_EQ(missing.status().message(),
            path_ + ": cannot be opened: No such file or directory; check the path");
  const auto directory = SecretsFile::Load(directory_);
  EXPECT_EQ(directory.status().message(), directory_ + ": is a directory; name a file");
}

TEST_F(SecretsTest, PasswordIsTheFirstLine) {
  const struct {
    std::string content;
    std::string password;
  } cases[] = {{"pass word \nsecond", "pass word "}, {"one\r\n", "one"}, {"one", "one"}};
  for (const auto& good : cases) {
    WriteFile(good.content);
    const auto password = ReadPasswordFile(path_);
    ASSERT_TRUE(password.ok()) << password.status();
    EXPECT_EQ(password->view(), good.password);
  }
}

TEST_F(SecretsTest, BadPasswordFiles) {
  const struct {
    std::string content;
    std::string error;  // behind the path
  } cases[] = {
      {"", ":1: is empty"},
      {absl::StrCat("\n", kMarker), ":1: is empty"},
      {absl::StrCat(kMarker, "\x01\n"), ":1: holds a control character"},
      {absl::StrCat(kMarker, std::string(300, 'x')), ":1: the password is longer than 255"},
      {absl::StrCat(kMarker, std::string(5000, 'x')), ": is larger than 4096 bytes"},
  };
  for (const auto& bad : cases) {
    WriteFile(bad.content);
    const auto password = ReadPasswordFile(path_);
    ASSERT_FALSE(password.ok()) << bad.error;
    const std::string error(password.status().message());
    EXPECT_TRUE(absl::StartsWith(error, path_ + bad.error)) << error;
    EXPECT_FALSE(absl::StrContains(error, kMarker)) << error;
  }
}

}  // namespace
}  // namespace postern::config
