// Every kind of mistake an operator can make, and where and how it is reported: those that
// any table may have, and those of the whole. Other files have those of one topic.
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"
#include "tests/config/bad_case.h"

namespace postern::config {

void PrintTo(const BadCase& bad, std::ostream* out) { *out << bad.name; }

namespace {

std::string Part(char part) {
  switch (part) {
    case 'L':
      return "[[listener]]\naddress = \"[::]:995\"\n";
    case 'T':
      return "[tls]\ncertificates = [{ chain = \"c.pem\", key = \"k.pem\" }]\n";
    case 'P':
      return "[[pool]]\nname = \"mail\"\nbackends = [{ name = \"mail1\", address = "
             "\"10.0.0.11:110\" }]\n";
    default:
      return "[[route]]\nusers = \"*\"\npool = \"mail\"\n";
  }
}

std::string WholeText(const BadCase& bad) {
  std::string text = absl::StrCat(bad.text, "\n");
  for (const char part : bad.parts) text += Part(part);
  return text;
}

TEST_P(BadConfig, EveryMistakeAtItsPlace) {
  const std::string text = WholeText(GetParam());
  const absl::StatusOr<Config> config = ParseConfig(text, "dir/f.toml");
  ASSERT_FALSE(config.ok()) << text;
  const std::string message(config.status().message());
  const std::vector<std::string> lines = absl::StrSplit(message, '\n');
  const std::vector<Expected>& expected = GetParam().expected;
  ASSERT_EQ(lines.size(), expected.size()) << message;
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(absl::StartsWith(lines[i], absl::StrCat("dir/f.toml:", expected[i].place, ": ")))
        << "got:      " << lines[i] << "\nexpected: " << expected[i].place;
    EXPECT_TRUE(absl::StrContains(lines[i], expected[i].fragment))
        << "got:      " << lines[i] << "\nexpected: " << expected[i].fragment;
    EXPECT_TRUE(absl::StrContains(lines[i], "; ") || absl::StrContains(lines[i], "not one of"))
        << "does not say how to mend it: " << lines[i];
  }
}

// Mistakes that TOML itself does not allow: the first one is reported.
std::vector<BadCase> SyntaxCases() {
  return {
      {"NoValue", "hostname =", "LTPR", {{"1:11", "not valid TOML"}}},
      {"KeyTwice", "workers = 1\nworkers = 2", "LTPR", {{"2:11", "may stand once"}}},
      {"OpenHeader", "[log\nlevel = \"info\"", "LTPR", {{"1:5", "not valid TOML"}}},
      {"HeaderBrokenByLineEnd", "[\n[log]", "LTPR", {{"1:2", "not valid TOML"}}},
      {"LetterOutsideOfQuotes", "hostname = \xc3\xa9", "LTPR", {{"1:12", "not valid TOML"}}},
      {"OpenString", "hostname = \"pop", "LTPR", {{"1:16", "close every quote"}}},
      {"DurationWithoutQuotes", "[timeouts]\nlogin = 60s", "LTPR", {{"2:11", "\"15s\""}}},
      {"MissingComma", "capabilities = [\"TOP\" \"UIDL\"]", "LTPR", {{"1:23", "missing comma"}}},
      {"NotUtf8", "# \xff", "LTPR", {{"1:2", "save the file as UTF-8"}}},
      {"Yes", "[auth]\napop = yes", "LTPR", {{"2:8", "not valid TOML"}}},
      {"ThousandDots", "a" + std::string(1001, '.'), "LTPR", {{"1:1", "1000 dots"}}},
      {"TableTwice",
       "[log]\nlevel = \"info\"\n[log]\nformat = \"json\"",
       "LTPR",
       {{"3:1", "may stand once"}}},
  };
}

std::vector<BadCase> TypeAndRangeCases() {
  return {
      {"TopKey",
       "hostnam = \"pop.example.net\"",
       "LTPR",
       {{"1:1", "unknown key \"hostnam\" in the top of the file; did you mean \"hostname\"?"}}},
      {"FarFromAnyKey", "zzzzzzzz = 1", "LTPR", {{"1:1", "known are admin, auth, backend"}}},
      {"TopTable", "[timeout]\nlogin = \"1s\"", "LTPR", {{"1:2", "did you mean \"timeouts\"?"}}},
      {"TimeoutKey", "[timeouts]\nlogni = \"1s\"", "LTPR", {{"2:1", "did you mean \"login\"?"}}},
      {"AdminTokenOnAUnixSocket",
       "[admin]\naddress = \"unix:/run/a\"\ntoken_file = \"t\"",
       "LTPR",
       {{"3:14", "a unix socket is guarded by its mode"}}},
      {"AdminTokenOnTheNetwork",
       "[admin]\naddress = \"10.0.0.1:9110\"\ntoken_file = \"t\"",
       "LTPR",
       {{"3:14", "the token would cross the network in the clear"}}},
      {"TopKeyBehindATable",
       "[log]\nworkers = 2",
       "LTPR",
       {{"2:1", "belongs to the top of the file"}}},
      {"HostnameType",
       "hostname = 5",
       "LTPR",
       {{"1:12", "hostname is a whole number; it must be a string in quotes"}}},
      {"WorkersType",
       "workers = \"4\"",
       "LTPR",
       {{"1:11", "workers is a string; it must be a whole number, without quotes"}}},
      {"WorkersFraction",
       "workers = 1.5",
       "LTPR",
       {{"1:11", "workers is a number with a fraction"}}},
      {"WorkersDate", "workers = 1979-05-27", "LTPR", {{"1:11", "workers is a date or time"}}},
      {"WorkersRange", "workers = -1", "LTPR", {{"1:11", "out of range; it must be 0 to 1024"}}},
      {"BoolType",
       "[auth]\napop = \"true\"",
       "LTPR",
       {{"2:8", "apop is a string; it must be true or false, without quotes"}}},
      {"IoWord",
       "io = \"uringg\"",
       "LTPR",
       {{"1:6",
         "io = \"uringg\" is not one of \"auto\", \"uring\", \"epoll\"; did you mean "
         "\"uring\"?"}}},
      {"WordType", "io = 1", "LTPR", {{"1:6", "it must be one of \"auto\""}}},
      {"DurationNumber",
       "[timeouts]\nidle = 660",
       "LTPR",
       {{"2:8",
         "idle is a whole number; durations are strings such as \"500ms\", \"15s\", \"11m\", "
         "\"1h\""}}},
      {"DurationUnit",
       "[timeouts]\nidle = \"11 minutes\"",
       "LTPR",
       {{"2:8", "idle = \"11 minutes\" is not a duration; durations are strings"}}},
      {"DurationNegative", "[timeouts]\nidle = \"-1s\"", "LTPR", {{"2:8", "is not a duration"}}},
      {"DurationOverflow",
       "[timeouts]\nidle = \"9999999999999h\"",
       "LTPR",
       {{"2:8", "is not a duration"}}},
      {"DurationRange",
       "[timeouts]\nlogin = \"0s\"\nresolve = \"25h\"",
       "LTPR",
       {{"2:9", "login = \"0s\" is out of range; it must be \"1ms\" to \"1h\""},
        {"3:11", "resolve = \"25h\" is out of range; it must be \"1s\" to \"24h\""}}},
      {"SizeText",
       "[limits]\nsasl_bytes = \"12k\"",
       "LTPR",
       {{"2:14", "is not a size; sizes are whole numbers of bytes or strings"}}},
      {"SizeType",
       "[limits]\nsasl_bytes = true",
       "LTPR",
       {{"2:14", "sasl_bytes is true or false; sizes are"}}},
      {"SizeRange",
       "[limits]\nline_bytes = 10\nreceive_buffer_bytes = \"2MiB\"",
       "LTPR",
       {{"2:14", "line_bytes of 10 bytes is out of range; it must be 255 to 65536"},
        {"3:24", "receive_buffer_bytes of 2097152 bytes is out of range"}}},
      {"BuffersPowerOfTwo",
       "[limits]\nreceive_buffers = 100",
       "LTPR",
       {{"2:19", "not a power of two"}}},
      {"ControlByte",
       "[tls]\ncertificates = [{ chain = \"a\\u0000b\", key = \"k\" }]",
       "LPR",
       {{"2:27", "chain holds a control character"}}},
      {"EmptyString", "hostname = \"\"", "LTPR", {{"1:12", "hostname is empty"}}},
      {"TableType",
       "log = \"x\"",
       "LTPR",
       {{"1:7", "log is a string; it must be a table: write [log]"}}},
      {"TableInsteadOfList",
       "[pool]\nname = \"mail\"",
       "LT",
       {{"1:1", "pool is a table; it must be a list of tables: write [[pool]]"},
        {"1:1", "there is no backend"},
        {"1:1", "there is no [[route]]"}}},
      {"ListOfNumbers",
       "listener = [1]",
       "TPR",
       {{"1:1", "there is no [[listener]]"},
        {"1:13", "an item of listener is a whole number; it must be a list of tables"}}},
      {"QuotedContentIsEscaped", "io = \"a\\u001b[2J\"", "LTPR", {{"1:6", "a\\x1b[2J"}}},
  };
}

INSTANTIATE_TEST_SUITE_P(Syntax, BadConfig, ::testing::ValuesIn(SyntaxCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(TypeAndRange, BadConfig, ::testing::ValuesIn(TypeAndRangeCases()),
                         CaseName);

// All mistakes at once, in the order of the file, whatever part of the program finds them.
TEST(BadConfigOrder, AllAtOnceInTheOrderOfTheFile) {
  const absl::StatusOr<Config> config = ParseConfig(R"(io = "none"
[[route]]
users = "*"
pool = "nowhere"
[[listener]]
address = "*:110"
tls = "off"
[log]
levle = "info"
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "h:110", ca = "x", weight = "heavy" }]
)",
                                                    "p.toml");
  ASSERT_FALSE(config.ok());
  std::vector<std::string> places;
  for (absl::string_view line : absl::StrSplit(config.status().message(), '\n')) {
    places.emplace_back(line.substr(0, line.find(' ')));
  }
  EXPECT_EQ(places, (std::vector<std::string>{"p.toml:1:6:", "p.toml:4:8:", "p.toml:7:7:",
                                              "p.toml:9:1:", "p.toml:12:55:", "p.toml:12:69:"}));
}

TEST(BadConfigFile, TooLarge) {
  const absl::StatusOr<Config> config = ParseConfig(std::string(5 << 20, '#'), "p.toml");
  ASSERT_FALSE(config.ok());
  EXPECT_TRUE(absl::StrContains(config.status().message(), "p.toml: has 5242880 bytes"));
}

TEST(BadConfigFile, Missing) {
  const absl::StatusOr<Config> config = LoadConfig("/nonexistent/postern.toml");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().message(),
            "/nonexistent/postern.toml: cannot be opened: No such file or directory; check the "
            "path");
}

}  // namespace
}  // namespace postern::config
