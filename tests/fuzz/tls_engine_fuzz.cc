// The TLS engine against a hostile peer: raw bytes to either side, at the start or after a
// handshake, and handshakes with a few bytes changed on their way. The result of a call, the input
// left over, the error's word and the library's error queue must always fit together.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/string_view.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/check.h"
#include "tests/fuzz/split_points.h"
#include "tests/tls/test_certificates.h"
#include "tls/context.h"
#include "tls/server_names.h"

namespace postern::tls {
namespace {

struct World {
  World() : ca("Fuzz CA") {
    ServerOptions server_options;
    server_options.certificates = {
        directory.Write("one", ca.Issue({.dns_names = {"pop.example.net"}})),
        directory.Write("two", ca.Issue({.dns_names = {"*.example.org"}})),
    };
    server_options.tickets_ecdsa = 1;
    ClientOptions client_options;
    client_options.ca_file = directory.Write("ca.pem", ca.pem());
    client_options.server_name = "pop.example.net";
    server = ServerContext::Create(server_options, &library).value();
    client = ClientContext::Create(client_options, &library).value();
  }
  testing::TestDirectory directory;
  testing::CertificateAuthority ca;
  Library library;
  BlockPool pool;
  std::unique_ptr<ServerContext> server;
  std::unique_ptr<ClientContext> client;
};

World& TheWorld() {
  static World world;
  return world;
}

struct End {
  explicit End(BlockPool* pool) : output(pool) {}
  ByteArena output;
  std::unique_ptr<Engine> engine;
};

void CheckResult(const Engine& engine, Result result) {
  if (result == Result::kWantInput) CHECK(engine.input_left() == 0);
  if (result != Result::kError) return;
  CHECK(absl::c_linear_search(kErrorWords, engine.error_word()));
  CHECK(!engine.error().empty());
  for (const char c : engine.error()) CHECK(c >= ' ' && c <= '~');
}

// Gives one segment to an end until it wants more. False: it is broken or closed.
bool Feed(End* end, absl::string_view segment) {
  Engine& engine = *end->engine;
  engine.SetInput(segment);
  Result result = Result::kOk;
  if (!engine.handshake_done()) {
    result = engine.Handshake();
    CheckResult(engine, result);
    if (result != Result::kOk) return result == Result::kWantInput;
    CHECK(!engine.info().version.empty());
  }
  char buffer[1024];
  while (result == Result::kOk) {
    size_t bytes = 0;
    result = engine.Read(buffer, sizeof(buffer), &bytes);
    CHECK((result == Result::kOk) == (bytes > 0));
  }
  CheckResult(engine, result);
  return result == Result::kWantInput;
}

void FeedSplit(End* end, absl::string_view bytes, fuzz::SplitPoints* points) {
  while (!bytes.empty()) {
    if (!Feed(end, points->Take(&bytes))) return;
  }
}

// Lets the ends talk; `edits` says how many bytes to leave alone before each change, and the
// change.
void Converse(End* client, End* server, absl::string_view edits) {
  (void)client->engine->Handshake();
  size_t until = edits.size() >= 2 ? static_cast<unsigned char>(edits[0]) : SIZE_MAX;
  bool moved = true;
  while (moved) {
    moved = false;
    for (auto [from, to] : {std::pair(client, server), std::pair(server, client)}) {
      std::string bytes(from->output.view());
      from->output.Clear();
      if (bytes.empty()) continue;
      moved = true;
      for (char& c : bytes) {
        if (until != 0) {
          if (until != SIZE_MAX) --until;
          continue;
        }
        c = static_cast<char>(c ^ edits[1]);
        edits.remove_prefix(2);
        until = edits.size() >= 2 ? static_cast<unsigned char>(edits[0]) : SIZE_MAX;
      }
      Feed(to, bytes);
    }
  }
}

void Run(uint8_t mode, uint8_t seed, absl::string_view bytes) {
  World& world = TheWorld();
  End client(&world.pool), server(&world.pool);
  client.engine = world.client->NewEngine(&client.output);
  server.engine = world.server->NewEngine(&server.output);
  // Modes beyond those below are the same ones again, with something to say first.
  if (mode >= 128) server.engine->SetFirstWords("+OK hello\r\n");
  fuzz::SplitPoints points(seed);
  switch (mode % 5) {
    case 0:
      FeedSplit(&server, bytes, &points);
      break;
    case 1:
      CHECK(client.engine->Handshake() == Result::kWantInput);
      FeedSplit(&client, bytes, &points);
      break;
    case 2:
      Converse(&client, &server, bytes);
      break;
    case 3:
      Converse(&client, &server, "");
      CHECK(server.engine->handshake_done() && client.engine->handshake_done());
      FeedSplit(seed % 2 == 0 ? &server : &client, bytes, &points);
      break;
    case 4: {
      const absl::string_view name = HostNameFromExtension(bytes);
      CHECK(name.size() <= bytes.size());
      ServerNames names;
      names.Add("*.example.org", 1);
      CHECK(names.Find(name, 0) <= 1 && names.Find(bytes, 0) <= 1);
      break;
    }
  }
  for (End* end : {&client, &server}) {
    if (end->engine->handshake_done()) {
      const Result result = end->engine->Write("+OK\r\n");
      CHECK(result == Result::kOk || result == Result::kError);
    }
    end->engine->EndLogin();
    end->engine->Shutdown();
  }
}

}  // namespace
}  // namespace postern::tls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  postern::tls::Run(data[0], data[1],
                    absl::string_view(reinterpret_cast<const char*>(data) + 2, size - 2));
  return 0;
}
