#include "tests/sim/test_tls.h"

#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/sim/deterministic_random.h"

namespace postern::sim {

TestTls& TestTls::Get() {
  static TestTls tls;
  return tls;
}

TestTls::TestTls() {
  SeedOpenSsl(0);
  const tls::testing::CertificateAuthority authority("Simulation CA");
  ca_file_ = directory_.Write("ca.pem", authority.pem());
  tls::testing::CertificateSpec spec;
  spec.dns_names = {kName};
  // The same dates whenever the test runs: a signature over others may be of another length, and
  // with it every handshake.
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  spec.begins =
      absl::ToUnixSeconds(absl::FromCivil(absl::CivilYear(2020), absl::UTCTimeZone())) - now;
  spec.ends =
      absl::ToUnixSeconds(absl::FromCivil(absl::CivilYear(2120), absl::UTCTimeZone())) - now;
  files_ = directory_.Write("server", authority.Issue(spec));
  tls::ServerOptions server;
  server.certificates = {files_};
  server_ = tls::ServerContext::Create(server, &library_).value();
  tls::ClientOptions client;
  client.ca_file = ca_file_;
  client.server_name = kName;
  client_ = tls::ClientContext::Create(client, &library_).value();
}

Peer::EngineMaker TestTls::ServerEngines() {
  return [this](ByteArena* output) { return server_->NewEngine(output); };
}

Peer::EngineMaker TestTls::ClientEngines() {
  return [this](ByteArena* output) { return client_->NewEngine(output); };
}

}  // namespace postern::sim
