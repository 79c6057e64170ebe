// Mistakes in routes.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/config/bad_case.h"

namespace postern::config {
namespace {

std::vector<BadCase> RouteCases() {
  return {
      {"RouteToNothing",
       "[[route]]\nusers = \"*@example.org\"",
       "LTPR",
       {{"1:1", "this route leads nowhere"}}},
      {"RouteToBoth",
       "[[route]]\nusers = \"*@example.org\"\npool = \"mail\"\nbackend = \"mail1\"",
       "LTPR",
       {{"4:11", "has both pool and backend"}}},
      {"RouteToUnknownPool",
       "[[route]]\nusers = \"*@example.org\"\npool = \"mails\"",
       "LTPR",
       {{"3:8", "there is no pool \"mails\"; did you mean \"mail\"?"}}},
      {"RouteToUnknownBackend",
       "[[route]]\nusers = \"*@example.org\"\nbackend = \"other\"",
       "LTPR",
       {{"3:11", "there is no backend \"other\"; define it with [[backend]]"}}},
      {"RouteToBackendAsPool",
       "[[route]]\nusers = \"*@example.org\"\npool = \"mail1\"",
       "LTPR",
       {{"3:8", "\"mail1\" is a backend, not a pool; write backend = \"mail1\""}}},
      {"RouteForNobody",
       "[[route]]\npool = \"mail\"",
       "LTPR",
       {{"1:1", "this route matches nobody"}}},
      {"RouteByMapAndUsers",
       "[[route]]\nmap = \"m\"\nusers = \"*\"\npool = \"mail\"",
       "LTPR",
       {{"3:9", "has both map and users"}}},
      {"MapWithPool",
       "[[route]]\nmap = \"m\"\npool = \"mail\"",
       "LTPR",
       {{"3:8", "a route with a map takes no pool"}}},
      {"UserPattern",
       "[[route]]\nusers = \"a*@example.org\"\npool = \"mail\"",
       "LTPR",
       {{"2:9", "is not \"name@domain\", \"name\", \"*@domain\" or \"*\""}}},
      {"UsersTwice",
       "[[route]]\nusers = \"a\"\npool = \"mail\"\n[[route]]\nusers = \"a\"\npool = \"mail\"",
       "LTPR",
       {{"5:9", "stands already in line 2"}}},
      {"BehindEverybody", "", "LTPRR", {{"12:1", "matches everybody; move it behind this one"}}},
  };
}

INSTANTIATE_TEST_SUITE_P(Route, BadConfig, ::testing::ValuesIn(RouteCases()), CaseName);

}  // namespace
}  // namespace postern::config
