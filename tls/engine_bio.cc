#include "tls/engine_bio.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/check.h"

namespace postern::tls {

const BIO_METHOD* EngineBio::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postern engine");
    CHECK(made != nullptr);
    CHECK(BIO_meth_set_read_ex(made, Read) == 1);
    CHECK(BIO_meth_set_write_ex(made, Write) == 1);
    CHECK(BIO_meth_set_ctrl(made, Control) == 1);
    return made;
  }();
  return method;
}

BIO* EngineBio::New(Engine* engine) {
  BIO* bio = BIO_new(Method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, engine);
  BIO_set_init(bio, 1);
  return bio;
}

int EngineBio::Read(BIO* bio, char* buffer, size_t capacity, size_t* bytes) {
  auto* engine = static_cast<Engine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *bytes = 0;
  // No retry flag: the library gives up in the middle of whatever it was reading, however many
  // more messages the input holds.
  if (engine->key_updates_ > kKeyUpdatesMax) return -1;
  if (engine->input_.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  *bytes = std::min(capacity, engine->input_.size());
  std::memcpy(buffer, engine->input_.data(), *bytes);
  engine->input_.remove_prefix(*bytes);
  return 1;
}

int EngineBio::Write(BIO* bio, const char* data, size_t size, size_t* bytes) {
  auto* engine = static_cast<Engine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  engine->output_->Append(absl::string_view(data, size));
  *bytes = size;
  return 1;
}

long EngineBio::Control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  // Everything else is answered "no": questions about kernel TLS among it, so that the library
  // never tries to hand keys to a socket it has not got.
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

void EngineBio::OnMessage(int is_write, int /*version*/, int content_type, const void* message,
                          size_t size, SSL* ssl, void* /*argument*/) {
  if (content_type != SSL3_RT_HANDSHAKE || size == 0) return;
  const unsigned char type = *static_cast<const unsigned char*>(message);
  if (type != (is_write != 0 ? SSL3_MT_FINISHED : SSL3_MT_KEY_UPDATE)) return;
  // By way of the BIO: application data of an SSL would cost an allocation per connection.
  auto* engine = static_cast<Engine*>(BIO_get_data(SSL_get_rbio(ssl)));
  if (is_write != 0) {
    engine->finished_sent_ = true;
  } else if (engine->key_updates_ <= kKeyUpdatesMax) {
    ++engine->key_updates_;
  }
}

}  // namespace postern::tls
