#include "proxy/admin/route_diff.h"

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace postern::admin {
namespace {

using Routes = std::vector<std::pair<std::string, std::string>>;

// A configuration with one backend for each domain.
struct Side {
  explicit Side(const Routes& backend_of_domain, const std::string& port = "110") {
    std::string text =
        "[[listener]]\naddress = \"[::]:110\"\ntls = \"off\"\n"
        "plaintext_logins = true\n";
    for (const char* name : {"mail1", "mail2"}) {
      absl::StrAppend(&text, "[[backend]]\nname = \"", name, "\"\naddress = \"", name, ":", port,
                      "\"\n");
    }
    for (const auto& [domain, backend] : backend_of_domain) {
      absl::StrAppend(&text, "[[route]]\nusers = \"*@", domain, "\"\nbackend = \"", backend,
                      "\"\n");
    }
    config = config::ParseConfig(text, "f").value();
    router = routing::Router::Create(config.routing).value();
  }
  RoutingSide side() const { return {&config, router.get()}; }

  config::Config config;
  std::unique_ptr<const routing::Router> router;
};

std::string Compared(const Side& now, const Side& next, const std::string& users) {
  std::istringstream stream(users);
  return RouteDiffText(CompareRoutes(now.side(), next.side(), &stream));
}

TEST(RouteDiff, TellsHowManyMoveAndWhere) {
  const Side now(Routes{{"a.test", "mail1"}, {"b.test", "mail1"}, {"c.test", "mail2"}});
  const Side next(Routes{{"a.test", "mail1"}, {"b.test", "mail2"}, {"d.test", "mail2"}});
  EXPECT_EQ(Compared(now, next,
                     "1@a.test\n2@a.test\tmail1\n\n# comment\n*@a.test\n1@B.test\r\n2@b.test\n"
                     "1@c.test\n1@d.test\n3@a.test\n4@a.test\n5@a.test"),
            "9 users: 4 would move (44.4 %)\n"
            "         2   22.2 %  mail1 (mail1:110) -> mail2 (mail2:110), such as 1@B.test, "
            "2@b.test\n"
            "         1   11.1 %  mail2 (mail2:110) -> nowhere, such as 1@c.test\n"
            "         1   11.1 %  nowhere -> mail2 (mail2:110), such as 1@d.test\n");
}

TEST(RouteDiff, NobodyMoves) {
  const Side now(Routes{{"a.test", "mail1"}});
  EXPECT_EQ(Compared(now, now, "1@a.test\n"), "1 user: 0 would move (0.0 %)\n");
  EXPECT_EQ(Compared(now, now, "# none\n"), "no users to compare\n");
}

TEST(RouteDiff, ABackendThatMovesTakesItsUsersAlong) {
  const Routes routes = {{"a.test", "mail1"}};
  EXPECT_EQ(Compared(Side(routes), Side(routes, "111"), "1@a.test\n"),
            "1 user: 1 would move (100.0 %)\n"
            "         1  100.0 %  mail1 (mail1:110) -> mail1 (mail1:111), such as 1@a.test\n");
}

TEST(RouteDiff, NamesAreSafeForATerminal) {
  const Side now(Routes{{"a.test", "mail1"}});
  const Side next(Routes{{"a.test", "mail2"}});
  const std::string text = Compared(now, next, "\x9b\xff@a.test\n\x1b[2J@a.test\n");
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  EXPECT_EQ(text.substr(0, 7), "2 users");
}

}  // namespace
}  // namespace postern::admin
