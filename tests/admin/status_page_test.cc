#include "proxy/admin/status_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "proxy/admin/status_json.h"

namespace postern::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(StatusPage, CarriesTheNonceTwice) {
  const std::string page = StatusPage("abc123");
  EXPECT_THAT(page, HasSubstr("<style nonce=\"abc123\">"));
  EXPECT_THAT(page, HasSubstr("<script nonce=\"abc123\">"));
  EXPECT_THAT(page, Not(HasSubstr("@NONCE@")));
}

// What the Content-Security-Policy would block, and what would let a name be read as markup.
TEST(StatusPage, HasNothingFromOutsideAndNoMarkupFromData) {
  const std::string page = StatusPage("abc123");
  for (const char* word :
       {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
        "src=", "style=\"", "@import", "url(", "onclick", "javascript:"}) {
    EXPECT_THAT(page, Not(HasSubstr(word)));
  }
  // The only absolute address is the name of the SVG namespace.
  std::string rest = page;
  const std::string svg = "http://www.w3.org/2000/svg";
  ASSERT_NE(rest.find(svg), std::string::npos);
  rest.erase(rest.find(svg), svg.size());
  EXPECT_THAT(rest, Not(HasSubstr("http://")));
  EXPECT_THAT(rest, Not(HasSubstr("https://")));
}

// A field the script reads must be one the server sends.
TEST(StatusPage, ReadsFieldsThatExist) {
  metrics::StatusSummary summary;
  summary.listeners.emplace_back();
  summary.backends.emplace_back();
  summary.backends[0].health.emplace();
  summary.facts.certificates.emplace_back();
  const nlohmann::json json = nlohmann::json::parse(StatusJson(summary));
  std::set<std::string> sent;
  const auto collect = [&sent](const nlohmann::json& object) {
    for (const auto& [key, value] : object.items()) sent.insert(key);
  };
  collect(json);
  collect(json["config"]);
  collect(json["listeners"][0]);
  collect(json["listeners"][0]["logins"]);
  collect(json["backends"][0]);
  collect(json["backends"][0]["health"]);
  collect(json["backends"][0]["service"]);
  collect(json["certificates"][0]);
  const std::string page = StatusPage("abc123");
  const std::regex use(R"((?:status|item|health|service|status\.config|item\.logins)\.([a-z_]+)\b)");
  size_t uses = 0;
  for (std::sregex_iterator i(page.begin(), page.end(), use), end; i != end; ++i) {
    EXPECT_TRUE(sent.count((*i)[1].str())) << (*i)[0].str();
    ++uses;
  }
  EXPECT_GT(uses, 20u);
}

TEST(StatusPageDeathTest, NonceMustBePlain) { EXPECT_DEATH(StatusPage("a\"b"), "CHECK failed"); }

}  // namespace
}  // namespace postern::admin
