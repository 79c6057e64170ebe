// Workers side by side: a library and contexts each, one ring of ticket keys together.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "tls/session_tickets.h"

namespace postern::tls::testing {
namespace {

// Twenty sessions between engines of one worker; the number that went well.
int ServeTwenty(const std::shared_ptr<TicketKeys>& tickets) {
  Library library;
  BlockPool pool;
  ServerOptions server_options;
  server_options.certificates = {TheWorld().ecdsa};
  server_options.tickets_ecdsa = 1;
  ClientOptions client_options;
  client_options.ca_file = TheWorld().ca_file;
  client_options.server_name = "pop.example.net";
  const auto server_context = ServerContext::Create(server_options, &library, tickets);
  const auto client_context = ClientContext::Create(client_options, &library);
  if (!server_context.ok() || !client_context.ok()) return 0;
  int good = 0;
  for (int i = 0; i < 20; ++i) {
    End server(&pool), client(&pool);
    server.engine = (*server_context)->NewEngine(&server.output);
    client.engine = (*client_context)->NewEngine(&client.output);
    Shake(&client, &server);
    std::string plaintext;
    if (client.handshake == Result::kOk && client.engine->Write("QUIT\r\n") == Result::kOk) {
      server.Feed(client.TakeOutput(), &plaintext);
    }
    if (plaintext == "QUIT\r\n") ++good;
  }
  return good;
}

TEST(WorkersTest, ShareNothingButTicketKeys) {
  TheWorld();
  // A clock that moves makes the keys rotate all the time.
  std::atomic<TimeNs> now = 0;
  const auto tickets =
      std::make_shared<TicketKeys>([&now] { return now += TicketKeys::kRotation / 3; });
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { good += ServeTwenty(tickets); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 60);
}

}  // namespace
}  // namespace postern::tls::testing
