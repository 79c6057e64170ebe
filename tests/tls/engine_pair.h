// Two TLS ends joined in memory, for tests: an engine of ours and another one, or one of OpenSSL's
// own objects that can be told to misbehave.
#ifndef POSTERN_TESTS_TLS_ENGINE_PAIR_H_
#define POSTERN_TESTS_TLS_ENGINE_PAIR_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/byte_arena.h"
#include "tls/context.h"
#include "tls/engine.h"
#include "tls/openssl_types.h"

namespace postern::tls::testing {

// An engine together with its arena and the last result of its handshake.
struct End {
  explicit End(BlockPool* pool) : output(pool) {}

  void Reset() {
    engine.reset();
    output.Clear();
    handshake = Result::kWantInput;
  }
  // Everything waiting to be sent.
  std::string TakeOutput() {
    std::string bytes(output.view());
    output.Clear();
    return bytes;
  }
  // Reads until something else than kOk comes; returns the plaintext.
  std::string ReadAll(Result* last = nullptr, size_t chunk = 4096);
  // Feeds `ciphertext` to the handshake and, once it is done, to Read().
  Result Feed(absl::string_view ciphertext, std::string* plaintext);

  ByteArena output;
  std::unique_ptr<Engine> engine;
  Result handshake = Result::kWantInput;
};

// Moves bytes both ways until both handshakes end or neither side has anything to say, `step` bytes
// at a time (0: as they come).
void Shake(End* client, End* server, size_t step = 0);

// A client of OpenSSL's own on memory BIOs, with everything adjustable.
class RawClient {
 public:
  explicit RawClient(const std::function<void(SSL_CTX*)>& adjust = nullptr);

  SSL* ssl() { return ssl_.get(); }
  SSL_CTX* context() { return context_.get(); }
  // Runs the handshake against the engine of `server`. True when both sides finished.
  bool Shake(End* server);
  void Give(absl::string_view ciphertext);
  std::string TakeOutput();
  void Write(absl::string_view plaintext);
  // Reads all there is; with TLS 1.3 this also takes tickets in.
  std::string Read();
  // The session to resume from, once the server's tickets have been read (the newest one).
  SSL_SESSION* session() { return session_.get(); }

 private:
  static int OnSession(SSL* ssl, SSL_SESSION* session);

  SslContextPtr context_;
  SslPtr ssl_;
  std::unique_ptr<SSL_SESSION, OpenSslDeleter<SSL_SESSION_free>> session_;
};

}  // namespace postern::tls::testing

#endif  // POSTERN_TESTS_TLS_ENGINE_PAIR_H_
