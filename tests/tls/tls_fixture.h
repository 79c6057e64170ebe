// What most tests of TLS begin with: a CA, certificates, a server engine and a client engine.
#ifndef POSTERN_TESTS_TLS_TLS_FIXTURE_H_
#define POSTERN_TESTS_TLS_TLS_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/tls/engine_pair.h"
#include "tests/tls/test_certificates.h"
#include "tls/context.h"

namespace postern::tls::testing {

// One CA and one certificate of each kind, made once for the whole program.
struct World {
  World() : ca("Test CA") {
    CertificateSpec spec;
    spec.dns_names = {"pop.example.net"};
    ecdsa = directory.Write("ecdsa", ca.Issue(spec));
    spec.key = TestKey::kRsa2048;
    rsa = directory.Write("rsa", ca.Issue(spec));
    ca_file = directory.Write("ca.pem", ca.pem());
  }
  TestDirectory directory;
  CertificateAuthority ca;
  CertificateFiles ecdsa, rsa;
  std::string ca_file;
};

inline const World& TheWorld() {
  static const World world;
  return world;
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() : client_(&pool_), server_(&pool_) {
    server_options_.certificates = {TheWorld().ecdsa};
    client_options_.ca_file = TheWorld().ca_file;
    client_options_.server_name = "pop.example.net";
  }

  void LoadServer(std::shared_ptr<TicketKeys> tickets = nullptr) {
    server_.Reset();
    auto context = ServerContext::Create(server_options_, &library_, std::move(tickets));
    ASSERT_TRUE(context.ok()) << context.status();
    server_context_ = std::move(*context);
  }
  void LoadClient() {
    client_.Reset();
    auto context = ClientContext::Create(client_options_, &library_);
    ASSERT_TRUE(context.ok()) << context.status();
    client_context_ = std::move(*context);
  }
  // Fresh engines from the loaded contexts.
  void NewServer() {
    server_.Reset();
    server_.engine = server_context_->NewEngine(&server_.output);
  }
  void NewClient() {
    client_.Reset();
    client_.engine = client_context_->NewEngine(&client_.output);
  }
  // A whole handshake of fresh engines, `step` bytes at a time.
  void Connect(size_t step = 0) {
    if (server_context_ == nullptr) LoadServer();
    if (client_context_ == nullptr) LoadClient();
    NewServer();
    NewClient();
    Shake(&client_, &server_, step);
    ASSERT_EQ(client_.handshake, Result::kOk) << client_.engine->error();
    ASSERT_EQ(server_.handshake, Result::kOk) << server_.engine->error();
  }

  Library library_;
  BlockPool pool_;
  ServerOptions server_options_;
  ClientOptions client_options_;
  std::unique_ptr<ServerContext> server_context_;
  std::unique_ptr<ClientContext> client_context_;
  End client_, server_;
};

}  // namespace postern::tls::testing

#endif  // POSTERN_TESTS_TLS_TLS_FIXTURE_H_
