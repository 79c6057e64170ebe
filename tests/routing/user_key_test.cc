#include "routing/user_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postern::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Case {
  const char* what;
  UserOptions options;
  std::string login;
  std::string key;
};

TEST(UserKeyTest, Normalises) {
  const UserOptions plain;
  const UserOptions exact{.lowercase_domain = false};
  const UserOptions lower{.lowercase_local = true};
  const UserOptions local{.lowercase_domain = false, .lowercase_local = true};
  const UserOptions lower_default{.lowercase_local = true, .default_domain = "Example.ORG"};
  const UserOptions with_default{.default_domain = "Example.ORG"};
  const UserOptions strip_one{.strip_domain = "example.org"};
  const UserOptions strip_any{.strip_domain = "*"};
  const UserOptions move{.default_domain = "new.example", .strip_domain = "old.example"};
  const std::vector<Case> cases = {
      {"as it is", plain, "alice@example.org", "alice@example.org"},
      {"no domain", plain, "alice", "alice"},
      {"one letter", plain, "a", "a"},
      {"only the domain is lowered", plain, "Alice@Example.ORG", "Alice@example.org"},
      {"without a domain nothing is lowered", plain, "Alice", "Alice"},
      {"not lowered on request", exact, "Alice@Example.ORG", "Alice@Example.ORG"},
      {"all of it on request", lower, "Alice@Example.ORG", "alice@example.org"},
      {"also without a domain", lower, "Alice", "alice"},
      {"the local part alone", local, "Alice@Example.ORG", "alice@Example.ORG"},
      {"in front of a default", lower_default, "ALICE", "alice@example.org"},
      {"ASCII only", lower, "J\xd6RG@x", "j\xd6rg@x"},
      {"blanks at the ends", plain, " \t alice@example.org\t ", "alice@example.org"},
      {"blanks inside stay", plain, "alice smith@example.org", "alice smith@example.org"},
      {"the last @ counts", plain, "A@B@C", "A@B@c"},
      {"raw bytes", plain, "j\xf6rg\xff@B\xdc\xc3\x84.de", "j\xf6rg\xff@b\xdc\xc3\x84.de"},
      {"default", with_default, "Bob", "Bob@example.org"},
      {"default not needed", with_default, "Bob@A.b", "Bob@a.b"},
      {"strip", strip_one, "bob@EXAMPLE.org", "bob"},
      {"strip only this domain", strip_one, "bob@example.com", "bob@example.com"},
      {"strip no subdomain", strip_one, "bob@a.example.org", "bob@a.example.org"},
      {"strip once", strip_one, "bob@Inner@example.org", "bob@inner"},
      {"strip any", strip_any, "Bob@Example.ORG", "Bob"},
      {"nothing to strip", strip_any, "Bob", "Bob"},
      {"blanks before a stripped domain", strip_any, "bob @x", "bob"},
      {"stripped names get the default", move, "bob@old.example", "bob@new.example"},
      {"others keep theirs", move, "bob@third.example", "bob@third.example"},
      {"longest", plain, std::string(316, 'a') + "@b.c", std::string(316, 'a') + "@b.c"},
  };
  for (const Case& c : cases) {
    std::string key = "left over";
    EXPECT_TRUE(NormaliseUser(c.options, c.login, &key).ok()) << c.what;
    EXPECT_EQ(key, c.key) << c.what;
    // What is normalised stays: maps and routes rely on it. A second domain may be stripped again.
    std::string again;
    EXPECT_TRUE(NormaliseUser(c.options, key, &again).ok()) << c.what;
    EXPECT_EQ(again, key) << c.what;
  }
}

struct BadCase {
  UserOptions options;
  std::string login;
  const char* error;
};

TEST(UserKeyTest, RefusesWithoutRepeatingTheName) {
  const UserOptions plain;
  const UserOptions strip_any{.strip_domain = "*"};
  const UserOptions with_default{.default_domain = "example.org"};
  const std::vector<BadCase> cases = {
      {plain, "", "is empty"},
      {plain, " \t ", "is empty"},
      {plain, "@secret", "nothing before"},
      {plain, "@", "nothing before"},
      {plain, "secret@", "nothing behind"},
      {plain, "secret@@", "nothing behind"},
      {strip_any, "@secret", "nothing before"},
      {strip_any, " @secret", "nothing before"},
      {strip_any, "secret@@x", "nothing behind"},
      {plain, std::string("secret\0x", 8), "control bytes"},
      {plain, "secret\rx", "control bytes"},
      {plain, "secret\nx", "control bytes"},
      {plain, "secret\tx", "control bytes"},
      {plain, "secret\x7fx", "control bytes"},
      {plain, "secret\x1f", "control bytes"},
      {plain, "secret" + std::string(315, 'a'), "longer than 320"},
      {with_default, "secret" + std::string(303, 'a'), "longer than 320"},
  };
  for (const BadCase& c : cases) {
    std::string key;
    const absl::Status status = NormaliseUser(c.options, c.login, &key);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.error;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.error));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  }
}

TEST(UserKeyTest, TellsWhatChanged) {
  const UserOptions options{.default_domain = "Example.org", .strip_domain = "old.example"};
  std::string key;
  UserChanges changes;
  ASSERT_TRUE(NormaliseUser(options, " bob@OLD.example", &key, &changes).ok());
  EXPECT_TRUE(changes.trimmed);
  EXPECT_TRUE(changes.stripped);
  EXPECT_TRUE(changes.appended);
  EXPECT_FALSE(changes.lowercased) << "the capitals were the operator's";
  changes = {};
  ASSERT_TRUE(NormaliseUser(options, "bob@A.b", &key, &changes).ok());
  EXPECT_TRUE(changes.lowercased);
  EXPECT_FALSE(changes.trimmed || changes.stripped || changes.appended || changes.lowered);
  changes = {};
  ASSERT_TRUE(NormaliseUser({.lowercase_local = true}, "Bob@a.b", &key, &changes).ok());
  EXPECT_TRUE(changes.lowered);
  EXPECT_FALSE(changes.lowercased);
}

TEST(UserKeyTest, DomainPatterns) {
  std::string domain;
  ASSERT_TRUE(NormaliseDomainPattern({}, "*@Example.ORG", &domain).ok());
  EXPECT_EQ(domain, "example.org");
  ASSERT_TRUE(NormaliseDomainPattern({.lowercase_domain = false}, "*@Example.ORG", &domain).ok());
  EXPECT_EQ(domain, "Example.ORG");
  for (const char* bad : {"*@", "*@a@b", "*@*", "*@*.org", "*@a b", "*@a\x01", "*", "bob@a", ""}) {
    EXPECT_TRUE(absl::IsInvalidArgument(NormaliseDomainPattern({}, bad, &domain))) << bad;
  }
  const UserOptions strip{.strip_domain = "example.org"};
  EXPECT_THAT(std::string(NormaliseDomainPattern(strip, "*@EXAMPLE.org", &domain).message()),
              HasSubstr("strip_domain"));
  EXPECT_TRUE(NormaliseDomainPattern(strip, "*@example.com", &domain).ok());
  // Stripped and then given back.
  const UserOptions both{.default_domain = "example.org", .strip_domain = "*"};
  EXPECT_TRUE(NormaliseDomainPattern(both, "*@example.org", &domain).ok());
  EXPECT_FALSE(NormaliseDomainPattern(both, "*@example.com", &domain).ok());
}

TEST(UserKeyTest, DomainOf) {
  EXPECT_EQ(DomainOf("a@b"), "b");
  EXPECT_EQ(DomainOf("a@b@c"), "c");
  EXPECT_EQ(DomainOf("a"), "");
  EXPECT_EQ(DomainOf("a@"), "");
}

TEST(UserKeyTest, ChecksItsOptions) {
  EXPECT_TRUE(CheckUserOptions({}).ok());
  EXPECT_TRUE(CheckUserOptions({.default_domain = "a.b", .strip_domain = "*"}).ok());
  EXPECT_THAT(std::string(CheckUserOptions({.default_domain = "@a.b"}).message()),
              HasSubstr("default_domain \"@a.b\" is not a domain"));
  EXPECT_FALSE(CheckUserOptions({.default_domain = "*"}).ok());
  EXPECT_FALSE(CheckUserOptions({.strip_domain = "a\nb"}).ok());
  EXPECT_FALSE(CheckUserOptions({.strip_domain = "a b"}).ok());
  EXPECT_FALSE(CheckUserOptions({.strip_domain = "*.org"}).ok());
}

}  // namespace
}  // namespace postern::routing
