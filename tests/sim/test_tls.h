// One certificate authority, one server certificate and the TLS contexts made of them, for every
// simulated peer of a test program.
#ifndef POSTERN_TESTS_SIM_TEST_TLS_H_
#define POSTERN_TESTS_SIM_TEST_TLS_H_

#include <memory>
#include <string>

#include "tests/sim/peer.h"
#include "tests/tls/test_certificates.h"
#include "tls/context.h"

namespace postern::sim {

class TestTls {
 public:
  static TestTls& Get();

  // The name in the certificate; also 127.0.0.1.
  static constexpr const char* kName = "pop.example.net";

  Peer::EngineMaker ServerEngines();
  // Verify the chain and the name.
  Peer::EngineMaker ClientEngines();
  const tls::CertificateFiles& files() const { return files_; }
  const std::string& ca_file() const { return ca_file_; }

 private:
  TestTls();

  tls::testing::TestDirectory directory_;
  tls::CertificateFiles files_;
  std::string ca_file_;
  tls::Library library_;
  std::unique_ptr<tls::ServerContext> server_;
  std::unique_ptr<tls::ClientContext> client_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_TEST_TLS_H_
