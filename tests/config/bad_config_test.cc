// Every kind of mistake an operator can make, and where and how it is reported.
// tidy: long file, because it is one table.
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

struct Expected {
  std::string place;     // line:column
  std::string fragment;  // of the message
};

struct BadCase {
  std::string name;
  std::string text;
  // What is appended to make the rest of the file right: L a listener, T certificates, P a pool
  // "mail" with the backend "mail1", R a route to it.
  std::string parts;
  std::vector<Expected> expected;  // every mistake, in order
};

void PrintTo(const BadCase& bad, std::ostream* out) { *out << bad.name; }

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

class BadConfig : public ::testing::TestWithParam<BadCase> {};

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

std::vector<BadCase> CarriedCases() {
  const std::string auth = "[auth]\nmechanisms = [\"plain\", \"scram-sha-256\", \"xoauth2\"]\n";
  const std::string sasl =
      "[[pool]]\nname = \"new\"\nlogin = \"sasl\"\nbackends = [{ name = \"new1\", address = "
      "\"h:110\" }]\n";
  return {
      {"PoolThatCannotCarry",
       auth,
       "LTPR",
       {{"2:24", "mechanism \"scram-sha-256\" shows us no password"},
        {"2:41", "mechanism \"xoauth2\" shows us no password"}}},
      {"BackendThatAMapMayName",
       auth + sasl + "[[route]]\nmap = \"users.map\"\n",
       "LTPR",
       {{"2:24", "\"mail1\" does not; set login = \"sasl\""}, {"2:41", "\"mail1\""}}},
      {"CramWithoutSecrets",
       "[auth]\nmechanisms = [\"cram-md5\"]",
       "LTPR",
       {{"2:15", "mechanism \"cram-md5\" needs the users' secrets"}}},
      {"BackendOfARoute",
       auth + sasl +
           "[[backend]]\nname = \"old\"\naddress = \"h:110\"\n[[route]]\nusers = \"a\"\nbackend = "
           "\"old\"\n[[route]]\nusers = \"*\"\npool = \"new\"\n",
       "LT",
       {{"2:24", "\"old\" does not"}, {"2:41", "\"old\" does not"}}},
  };
}

std::vector<BadCase> NeighbourCases() {
  const std::string proxied = "[[listener]]\naddress = \"[::]:995\"\nproxy_protocol = true\n";
  return {
      {"ProxyProtocolFromAnybody",
       proxied,
       "TPR",
       {{"3:18", "must be listed; write proxy_networks"}}},
      {"ProxyProtocolFromNobody", proxied + "proxy_networks = []", "TPR", {{"4:18", "listed"}}},
      {"ProxyNetworksAlone",
       "[[listener]]\naddress = \"[::]:995\"\nproxy_networks = [\"10.0.0.0/8\"]",
       "TPR",
       {{"3:18", "proxy_networks means nothing without proxy_protocol = true"}}},
      {"ProxyNetworkBits",
       proxied + "proxy_networks = [\"::1\", \"10.1.0.0/8\"]",
       "TPR",
       {{"4:26", "the network is \"10.0.0.0/8\""}}},
      {"ProxyNetworkName",
       proxied + "proxy_networks = [\"lb.example.net\"]",
       "TPR",
       {{"4:19", "\"lb.example.net\" is not an IP address"}}},
      {"UpstreamProxyProtocol",
       "[[pool]]\nname = \"mail\"\nproxy_protocol = true\nbackends = [{ name = \"a\", address = "
       "\"h:110\", proxy_protocol = \"v3\" }]",
       "LTR",
       {{"3:18", "must be one of \"off\", \"v1\", \"v2\""}, {"4:63", "not one of"}}},
      {"XclientNetwork",
       "[[listener]]\naddress = \"[::]:995\"\nxclient_networks = [\"10.0.0.0/40\"]",
       "TPR",
       {{"3:21", "xclient_networks: \"10.0.0.0/40\" has no prefix length between 0 and 32"}}},
      {"XclientBehindAProxyHeader",
       "[[pool]]\nname = \"mail\"\nproxy_protocol = \"v2\"\nbackends = [{ name = \"a\", address = "
       "\"h:110\", xclient = \"auto\" }, { name = \"b\", address = \"h:110\" }]",
       "LTR",
       {{"4:56", "backend \"a\" has both xclient and proxy_protocol"}}},
      {"XclientWord",
       "[[pool]]\nname = \"mail\"\nxclient = true\nbackends = [{ name = \"a\", address = \"h:110\" "
       "}]",
       "LTR",
       {{"3:11", "must be one of \"auto\", \"on\", \"off\""}}},
      {"ProxyProtocolWord",
       "[[listener]]\naddress = \"[::]:995\"\nproxy_protocol = \"v1\"\nproxy_networks = "
       "[\"::1\"]",
       "TPR",
       {{"3:18", "proxy_protocol"}}},
  };
}

std::vector<BadCase> ListenerCases() {
  return {
      {"HostnameSyntax",
       "hostname = \"pop_1.example.net\"",
       "LTPR",
       {{"1:12", "\"pop_1.example.net\" is not a DNS name"}}},
      {"HostnameIsAnAddress", "hostname = \"192.0.2.1\"", "LTPR", {{"1:12", "not a DNS name"}}},
      {"NoListener", "", "TPR", {{"1:1", "there is no [[listener]]"}}},
      {"NoAddress",
       "[[listener]]\ntls = \"implicit\"",
       "TPR",
       {{"1:1", "[[listener]] has no address; write address = \"[::]:995\""}}},
      {"NoPort", "[[listener]]\naddress = \"192.0.2.1\"", "TPR", {{"2:11", "is not host:port"}}},
      {"NameNotAddress",
       "[[listener]]\naddress = \"pop.example.net:995\"",
       "TPR",
       {{"2:11", "\"pop.example.net\" is not an IP address; write it as"}}},
      {"UnixListener",
       "[[listener]]\naddress = \"unix:/run/pop3\"",
       "TPR",
       {{"2:11", "a listener needs an IP address and a port"}}},
      {"ListenerTlsWord",
       "[[listener]]\naddress = \"*:110\"\ntls = \"starttls\"",
       "TPR",
       {{"3:7", "is not one of \"implicit\", \"stls\", \"off\""}}},
      {"TlsOffUseless",
       "[[listener]]\naddress = \"*:110\"\ntls = \"off\"",
       "TPR",
       {{"3:7", "no client could log in; set plaintext_logins = true, or use tls = \"stls\""}}},
      {"PlaintextOverImplicit",
       "[[listener]]\naddress = \"*:995\"\nplaintext_logins = true",
       "TPR",
       {{"3:20", "means nothing where tls = \"implicit\""}}},
      {"NoCertificates",
       "[[listener]]\naddress = \"*:110\"\ntls = \"stls\"",
       "PR",
       {{"3:7", "this listener speaks TLS but there is no certificate"}}},
      {"NoCertificatesByDefault",
       "[[listener]]\naddress = \"*:995\"",
       "PR",
       {{"1:1", "this listener speaks TLS but there is no certificate"}}},
      {"EmptyCertificates",
       "[tls]\ncertificates = []",
       "LPR",
       {{"3:1", "there is no certificate"}}},
      {"CertificateWithoutKey",
       "[tls]\ncertificates = [{ chain = \"c.pem\" }]",
       "LPR",
       {{"2:17", "a certificate has no key; write key = \"privkey.pem\""}}},
      {"CertificateTwice",
       "[tls]\ncertificates = [{ chain = \"c\", key = \"k\" },\n  { chain = \"c\", key = \"k\" }]",
       "LPR",
       {{"3:13", "chain \"dir/c\" stands twice"}}},
      {"CertificateKey",
       "[tls]\ncertificates = [{ chian = \"c\", key = \"k\" }]",
       "LPR",
       {{"2:17", "a certificate has no chain"}, {"2:19", "did you mean \"chain\"?"}}},
      {"VersionWord",
       "[tls]\ncertificates = [{ chain = \"c\", key = \"k\" }]\nversion_min = "
       "\"1.1\"",
       "LPR",
       {{"3:15", "is not one of \"1.2\", \"1.3\""}}},
      {"SameAddress",
       "[[listener]]\naddress = \"[::]:110\"\n[[listener]]\naddress = \"[0::0]:110\"",
       "TPR",
       {{"4:11", "is the one of the listener in line 1"}}},
      {"DualStackOverlap",
       "[[listener]]\naddress = \"[::]:110\"\nv6only = false\n[[listener]]\naddress = "
       "\"0.0.0.0:110\"",
       "TPR",
       {{"5:11", "[::] with v6only = false takes IPv4 too"}}},
      {"DualStackOverlapOtherWay",
       "[[listener]]\naddress = \"*:110\"\n[[listener]]\naddress = \"[::]:110\"\nv6only = false",
       "TPR",
       {{"4:11", "overlaps with the listener in line 1"}}},
      {"V6OnlyOnIpv4",
       "[[listener]]\naddress = \"192.0.2.1:995\"\nv6only = true",
       "TPR",
       {{"3:10", "v6only means nothing for the IPv4 address 192.0.2.1:995"}}},
      {"SameListenerName",
       "[[listener]]\nname = \"a\"\naddress = \"*:995\"\n[[listener]]\nname = \"a\"\naddress = "
       "\"*:996\"",
       "TPR",
       {{"5:8", "is the one of the listener in line 1"}}},
      {"Backlog",
       "[[listener]]\naddress = \"*:995\"\nbacklog = 0",
       "TPR",
       {{"3:11", "must be 1 to 65535"}}},
      {"AdminAddress",
       "[admin]\naddress = \"localhost\"",
       "LTPR",
       {{"2:11", "write it as \"127.0.0.1:9110\""}}},
      {"AdminIsListener",
       "[admin]\naddress = \"[::]:995\"",
       "LTPR",
       {{"2:11", "is the one of the listener in line 3"}}},
  };
}

std::vector<BadCase> AuthCases() {
  return {
      {"ApopWithoutSecrets",
       "[auth]\napop = true",
       "LTPR",
       {{"2:8", "apop = true needs the users' secrets"}}},
      {"Mechanism",
       "[auth]\nmechanisms = [\"plain\", \"ntlm\"]",
       "LTPR",
       {{"2:24", "mechanism \"ntlm\" is not one of \"plain\", \"login\""}}},
      {"MechanismTwice",
       "[auth]\nmechanisms = [\"plain\", \"plain\"]",
       "LTPR",
       {{"2:24", "stands twice"}}},
      {"MechanismsType",
       "[auth]\nmechanisms = \"plain\"",
       "LTPR",
       {{"2:14", "mechanisms is a string; it must be a list in square brackets"}}},
      {"NoWayToLogIn",
       "[auth]\nuser_pass = false\nmechanisms = []",
       "LTPR",
       {{"1:1", "no way to log in"}}},
      {"RefusedReplyThatAgrees",
       "[auth]\nrefused_reply = \"+OK\"",
       "LTPR",
       {{"2:17", "that begins with \"-ERR \""}}},
      {"RefusedReplyOfTwoLines",
       "[auth]\nrefused_reply = \"-ERR no\\r\\n+OK\"",
       "LTPR",
       {{"2:17", "holds a control character"}}},
      {"CapabilityWords",
       "capabilities = [\"TOP\", \"EXPIRE  NEVER\"]",
       "LTPR",
       {{"1:24", "is not words of printable ASCII"}}},
      {"CapabilityOfOurs",
       "capabilities = [\"sasl PLAIN\"]",
       "LTPR",
       {{"1:17", "capability SASL is the proxy's own to announce"}}},
      {"CapabilityTwice",
       "capabilities = [\"TOP\", \"top\"]",
       "LTPR",
       {{"1:24", "capability TOP stands twice"}}},
      {"DefaultDomain",
       "[users]\ndefault_domain = \"@example.org\"",
       "LTPR",
       {{"2:18", "is not a domain; write one as \"example.org\""}}},
      {"StripDomain",
       "[users]\nstrip_domain = \"*.example.org\"",
       "LTPR",
       {{"2:16", "or \"*\" for any"}}},
      {"StripsWhatItAppends",
       "[users]\ndefault_domain = \"a.org\"\nstrip_domain = \"*\"",
       "LTPR",
       {{"3:16", "takes away what default_domain appends"}}},
      {"LogFormat",
       "[log]\nformat = \"text\"",
       "LTPR",
       {{"2:10", "is not one of \"logfmt\", \"json\""}}},
      {"LogLevel",
       "[log]\nlevel = \"warn\"",
       "LTPR",
       {{"2:9", "is not one of \"debug\", \"info\", \"warning\", \"error\""}}},
  };
}

std::string Pool(const std::string& backends) {
  return absl::StrCat("[[pool]]\nname = \"mail\"\nbackends = [\n", backends, "]");
}

std::vector<BadCase> UpstreamCases() {
  const std::string tls_pool = "[[pool]]\nname = \"mail\"\ntls = \"implicit\"\nca = \"ca.pem\"\n";
  return {
      {"NothingAtAll",
       "",
       "LT",
       {{"1:1", "there is no backend"}, {"1:1", "there is no [[route]]"}}},
      {"NoRoute", "", "LTP", {{"1:1", "there is no [[route]]; write one with users"}}},
      {"PoolWithoutBackends",
       "[[pool]]\nname = \"mail\"",
       "LTR",
       {{"1:1", "[[pool]] has no backends"}}},
      {"PoolWithEmptyBackends",
       "backend = [{ name = \"b\", address = \"h:110\" }]\n" + Pool(""),
       "LTR",
       {{"4:12", "this pool has no backends"}}},
      {"PoolWithoutName",
       "[[pool]]\nbackends = [{ name = \"x\", address = \"h:110\" }]",
       "LTPR",
       {{"1:1", "[[pool]] has no name"}}},
      {"PoolTwice",
       Pool("{ name = \"x\", address = \"h:110\" }"),
       "LTPR",
       {{"10:8", "pool \"mail\" has the name of the pool in line 2"}}},
      {"PoolNamedAsBackend",
       Pool("{ name = \"mail\", address = \"h:110\" }"),
       "LTR",
       {{"2:8", "pool \"mail\" has the name of the backend in line 4"}}},
      {"BackendTwice",
       Pool("{ name = \"a\", address = \"h:110\" },\n{ name = \"a\", address = \"i:110\" }"),
       "LTR",
       {{"5:10", "backend \"a\" has the name of the backend in line 4"}}},
      {"BackendName",
       Pool("{ name = \"mail 1\", address = \"h:110\" }"),
       "LTR",
       {{"4:10", "must be 1 to 64 letters, digits"}}},
      {"BackendWithoutAddress",
       Pool("{ name = \"a\" }"),
       "LTR",
       {{"4:1", "a backend has no address; write address = \"10.0.0.11:110\""}}},
      {"BackendWithoutPort",
       Pool("{ name = \"a\", address = \"10.0.0.1\" }"),
       "LTR",
       {{"4:25", "is not host:port"}}},
      {"BackendPortZero",
       Pool("{ name = \"a\", address = \"10.0.0.1:0\" }"),
       "LTR",
       {{"4:25", "has port 0"}}},
      {"BackendHost",
       Pool("{ name = \"a\", address = \"10.0.0.300:110\" }"),
       "LTR",
       {{"4:25", "\"10.0.0.300\" is neither a DNS name nor an IP address"}}},
      {"Weight",
       Pool("{ name = \"a\", address = \"h:110\", weight = 10001 }"),
       "LTR",
       {{"4:43", "weight = 10001 is out of range; it must be 0 to 10000"}}},
      {"NoWeightAtAll",
       Pool("{ name = \"a\", address = \"h:110\", weight = 0 }"),
       "LTR",
       {{"3:12", "every backend of this pool has weight 0"}}},
      {"UnknownBackendInPool",
       "backend = [{ name = \"mail1\", address = \"h:110\" }]\n" + Pool("\"mial1\""),
       "LTR",
       {{"5:1", "there is no backend \"mial1\"; did you mean \"mail1\"?"}}},
      {"PoolInPool",
       "backend = [{ name = \"b\", address = \"h:110\" }]\n" + Pool("\"mail\""),
       "LTR",
       {{"5:1", "\"mail\" is a pool; a pool holds backends only"}}},
      {"BackendTwiceInPool",
       "backend = [{ name = \"b\", address = \"h:110\" }]\n" + Pool("\"b\",\n\"b\""),
       "LTR",
       {{"6:1", "backend \"b\" stands twice in this pool"}}},
      {"NumberInPool", Pool("7"), "LTR", {{"4:1", "or the name of a [[backend]] in quotes"}}},
      {"BalanceWord",
       "[[pool]]\nname = \"p\"\nbalance = \"robin\"\nbackends = [{ name = "
       "\"b\", address = \"h:110\" }]",
       "LTPR",
       {{"3:11", "is not one of \"user-hash\", \"rendezvous\", \"maglev\""}}},
      {"LoginWord",
       Pool("{ name = \"a\", address = \"h:110\", login = \"token\" }"),
       "LTR",
       {{"4:42", "login = \"token\" is not one of \"password\", \"master\", \"sasl\""}}},
      {"UpstreamTlsWord",
       Pool("{ name = \"a\", address = \"h:110\", tls = true }"),
       "LTR",
       {{"4:40", "tls is true or false; it must be one of \"off\", \"implicit\", \"stls\""}}},
      {"MechanismWord",
       Pool("{ name = \"a\", address = \"h:110\", mechanism = \"plain\" }"),
       "LTR",
       {{"4:46", "is not one of \"user-pass\", \"auth-plain\""}}},
      {"PipeliningWord",
       Pool("{ name = \"a\", address = \"h:110\", pipelining = \"yes\" }"),
       "LTR",
       {{"4:47", "is not one of \"auto\", \"on\", \"off\""}}},
      {"BackendKey",
       Pool("{ name = \"a\", adress = \"h:110\" }"),
       "LTR",
       {{"4:1", "a backend has no address"}, {"4:15", "did you mean \"address\"?"}}},
      {"MasterWithoutUser",
       Pool("{ name = \"a\", address = \"h:110\", login = \"master\" }"),
       "LTR",
       {{"4:42", "write master_user = \"proxy\" and master_password_file"}}},
      {"MasterPasswordInherited",
       "[[pool]]\nname = \"mail\"\nmaster_password_file = \"m\"\nlogin = \"master\"\nbackends = "
       "[{ name = \"a\", address = \"h:110\" }]",
       "LTR",
       {{"4:9", "write master_user = \"proxy\""}}},
      {"MasterUserUnused",
       Pool("{ name = \"a\", address = \"h:110\", master_user = \"u\" }"),
       "LTR",
       {{"4:48", "master_user means nothing without login = \"master\""}}},
      {"MasterByUserPass",
       "[[pool]]\nname = \"mail\"\nlogin = \"master\"\nmechanism = \"user-pass\"\nmaster_user = "
       "\"u\"\nmaster_password_file = \"m\"\nbackends = [{ name = \"a\", address = \"h:110\" }]",
       "LTR",
       {{"3:9", "so the user must be verified here; write secrets"},
        {"4:13", "logs in by SASL PLAIN where there is no master_format"}}},
      {"CaWithoutTls",
       Pool("{ name = \"a\", address = \"h:110\", ca = \"ca.pem\" }"),
       "LTR",
       {{"4:39", "ca means nothing while tls = \"off\""}}},
      {"CaOfAPoolWithoutTls",
       "[[pool]]\nname = \"mail\"\nca = \"ca.pem\"\nbackends = [{ name = \"a\", address = "
       "\"h:110\" }]",
       "LTR",
       {{"3:6", "ca means nothing while tls = \"off\""}}},
      {"CaAndInsecure",
       Pool("{ name = \"a\", address = \"h:995\", tls = \"implicit\", insecure = true, ca = "
            "\"ca.pem\" }"),
       "LTR",
       {{"4:74", "ca means nothing with insecure = true"}}},
      {"CaAndInsecureInPool",
       tls_pool + "insecure = true\nbackends = [{ name = \"a\", address = "
                  "\"h:995\" }]",
       "LTR",
       {{"4:6", "ca means nothing with insecure = true"}}},
      {"ServerName",
       Pool("{ name = \"a\", address = \"h:995\", tls = \"stls\", server_name = \"*.h\" }"),
       "LTR",
       {{"4:62", "is neither a DNS name nor an IP address"}}},
      {"UnixSocketHasNoName",
       Pool("{ name = \"a\", address = \"unix:/s\", tls = \"implicit\" }"),
       "LTR",
       {{"4:25", "a unix socket has no name"}}},
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

std::string CaseName(const ::testing::TestParamInfo<BadCase>& param) { return param.param.name; }

INSTANTIATE_TEST_SUITE_P(Syntax, BadConfig, ::testing::ValuesIn(SyntaxCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(TypeAndRange, BadConfig, ::testing::ValuesIn(TypeAndRangeCases()),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(Listener, BadConfig, ::testing::ValuesIn(ListenerCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Carried, BadConfig, ::testing::ValuesIn(CarriedCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Neighbour, BadConfig, ::testing::ValuesIn(NeighbourCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Auth, BadConfig, ::testing::ValuesIn(AuthCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Upstream, BadConfig, ::testing::ValuesIn(UpstreamCases()), CaseName);

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
