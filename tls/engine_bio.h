// How OpenSSL reaches an Engine: its BIO and its message callback. Internal to tls/.
#ifndef POSTERN_TLS_ENGINE_BIO_H_
#define POSTERN_TLS_ENGINE_BIO_H_

#include "tls/engine.h"
#include "tls/openssl_types.h"

namespace postern::tls {

// Reads straight from the input lent to the engine and writes straight into its output arena: one
// copy less than a memory BIO, and no buffer of its own per connection.
struct EngineBio {
  static BIO* New(Engine* engine);

  // For SSL_CTX_set_msg_callback() of every context that makes engines: sees each handshake
  // message, notes our Finished and counts the peer's KeyUpdates.
  static void OnMessage(int is_write, int version, int content_type, const void* message,
                        size_t size, SSL* ssl, void* argument);

 private:
  static const BIO_METHOD* Method();
  static int Read(BIO* bio, char* buffer, size_t capacity, size_t* bytes);
  static int Write(BIO* bio, const char* data, size_t size, size_t* bytes);
  static long Control(BIO* bio, int command, long number, void* pointer);
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_ENGINE_BIO_H_
