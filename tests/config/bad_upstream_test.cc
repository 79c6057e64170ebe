// Mistakes in pools and backends.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/config/bad_case.h"

namespace postern::config {
namespace {

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
      {"BackendIsTheListener",
       "listener = [{ address = \"192.0.2.1:110\", tls = \"off\", plaintext_logins = true },\n"
       "{ address = \"[::]:111\", tls = \"off\", plaintext_logins = true, v6only = false },\n"
       "{ address = \"[::]:112\", tls = \"off\", plaintext_logins = true }]\n" +
           Pool("{ name = \"a\", address = \"192.0.2.1:110\" },\n"
                "{ name = \"b\", address = \"127.0.0.1:111\" },\n"
                "{ name = \"c\", address = \"127.0.0.1:112\" },\n"
                "{ name = \"d\", address = \"192.0.2.1:995\" }"),
       "R",
       {{"7:25", "\"192.0.2.1:110\" is the listener in line 1: logins would come back to us"},
        {"8:25", "\"127.0.0.1:111\" is the listener in line 2"}}},
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
  };
}

INSTANTIATE_TEST_SUITE_P(Upstream, BadConfig, ::testing::ValuesIn(UpstreamCases()), CaseName);

}  // namespace
}  // namespace postern::config
