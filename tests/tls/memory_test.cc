// What an idle TLS session costs: the reason for the custom BIO and for the released buffers. And
// that nothing a client sends stays behind when it has gone.
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace postern::tls::testing {
namespace {

// Counts what OpenSSL holds; the process's heap statistics would count the allocator's caches too.
std::atomic<size_t> library_bytes = 0;

void* CountingMalloc(size_t size, const char* /*file*/, int /*line*/) {
  void* block = std::malloc(size);
  library_bytes += malloc_usable_size(block);
  return block;
}

void CountingFree(void* block, const char* /*file*/, int /*line*/) {
  library_bytes -= malloc_usable_size(block);
  std::free(block);
}

void* CountingRealloc(void* block, size_t size, const char* /*file*/, int /*line*/) {
  library_bytes -= malloc_usable_size(block);
  block = std::realloc(block, size);
  library_bytes += malloc_usable_size(block);
  return block;
}

// Only possible before the library has allocated anything, hence before main().
const bool counting = CRYPTO_set_mem_functions(CountingMalloc, CountingRealloc, CountingFree) == 1;

using MemoryTest = TlsTest;

TEST_F(MemoryTest, AnIdleSessionIsSmall) {
  ASSERT_TRUE(counting);
  // OpenSSL 3.5 needs half as much again as 3.0.
  const size_t limit = OPENSSL_version_minor() == 0 ? 16'000 : 24'000;
  constexpr size_t kSessions = 50;
  LoadServer();
  const auto talk = [this](End* server) {
    server->engine = server_context_->NewEngine(&server->output);
    RawClient client;
    ASSERT_TRUE(client.Shake(server));
    client.Write("CAPA\r\n");
    std::string plaintext;
    server->Feed(client.TakeOutput(), &plaintext);
    ASSERT_EQ(server->engine->Write("+OK\r\n.\r\n"), Result::kOk);
    server->TakeOutput();
    server->engine->EndLogin();
  };
  End first(&pool_);
  talk(&first);  // what the library makes once and keeps
  std::vector<std::unique_ptr<End>> ends;
  for (size_t i = 0; i < kSessions; ++i) ends.push_back(std::make_unique<End>(&pool_));
  const size_t before = library_bytes;
  for (const auto& end : ends) talk(end.get());
  const size_t each = (library_bytes - before) / kSessions + sizeof(Engine);
  RecordProperty("bytes_per_idle_session", static_cast<int>(each));
  EXPECT_GT(each, 4'000u) << "the counter does not count";
  EXPECT_LE(each, limit);
  ends.clear();
  EXPECT_LE(library_bytes, before + kSessions * 8) << "not all of it came back";
}

TEST_F(MemoryTest, NamesAndTicketsLeaveNothingBehind) {
  ASSERT_TRUE(counting);
  server_options_.certificates = {TheWorld().rsa};
  LoadServer();
  const auto visit = [this](int i) {
    NewServer();
    RawClient client;
    SSL_set_tlsext_host_name(client.ssl(), (std::to_string(i) + ".random.test").c_str());
    ASSERT_TRUE(client.Shake(&server_));
    client.Read();
    server_.Reset();
  };
  for (int i = 0; i < 10; ++i) visit(i);
  const size_t before = library_bytes;
  for (int i = 0; i < 200; ++i) visit(1000 + i);
  EXPECT_LE(library_bytes, before + 200 * 8);
}

// Handshakes that stop at every point, and the error paths.
TEST_F(MemoryTest, BrokenHandshakesLeaveNothingBehind) {
  ASSERT_TRUE(counting);
  LoadServer();
  RawClient client;
  SSL_do_handshake(client.ssl());
  const std::string hello = client.TakeOutput();
  std::string plaintext;
  const auto visit = [&](size_t size, bool broken) {
    NewServer();
    server_.Feed(absl::string_view(hello).substr(0, size), &plaintext);
    if (broken) server_.Feed("\x17\x03\x03\x01\x01 no handshake", &plaintext);
    server_.Reset();
  };
  for (const bool broken : {false, true}) visit(hello.size(), broken);
  const size_t before = library_bytes;
  for (size_t size = 0; size <= hello.size(); ++size) {
    for (const bool broken : {false, true}) visit(size, broken);
  }
  EXPECT_LE(library_bytes, before + hello.size());
}

}  // namespace
}  // namespace postern::tls::testing
