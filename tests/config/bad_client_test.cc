// Mistakes in what the file says about clients: listeners, neighbours in front, logins, names.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/config/bad_case.h"

namespace postern::config {
namespace {

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

INSTANTIATE_TEST_SUITE_P(Listener, BadConfig, ::testing::ValuesIn(ListenerCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Carried, BadConfig, ::testing::ValuesIn(CarriedCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Neighbour, BadConfig, ::testing::ValuesIn(NeighbourCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Auth, BadConfig, ::testing::ValuesIn(AuthCases()), CaseName);

}  // namespace
}  // namespace postern::config
