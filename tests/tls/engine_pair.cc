#include "tests/tls/engine_pair.h"

#include <openssl/err.h>

#include <algorithm>
#include <vector>

#include "proxy/base/check.h"

namespace postern::tls::testing {

std::string End::ReadAll(Result* last, size_t chunk) {
  std::string plaintext;
  std::vector<char> buffer(chunk);
  Result result = Result::kOk;
  while (true) {
    size_t bytes = 0;
    result = engine->Read(buffer.data(), buffer.size(), &bytes);
    if (result != Result::kOk) break;
    CHECK(bytes > 0);
    plaintext.append(buffer.data(), bytes);
  }
  if (result == Result::kWantInput) CHECK(engine->input_left() == 0);
  if (last != nullptr) *last = result;
  return plaintext;
}

Result End::Feed(absl::string_view ciphertext, std::string* plaintext) {
  engine->SetInput(ciphertext);
  if (!engine->handshake_done()) {
    handshake = engine->Handshake();
    if (handshake != Result::kOk) {
      if (handshake == Result::kWantInput) CHECK(engine->input_left() == 0);
      engine->SetInput({});
      return handshake;
    }
  }
  Result last = Result::kOk;
  *plaintext += ReadAll(&last);
  engine->SetInput({});
  return last;
}

void Shake(End* client, End* server, size_t step) {
  std::string ignored;
  client->handshake = client->engine->Handshake();
  bool moved = true;
  while (moved) {
    moved = false;
    for (auto [from, to] : {std::pair(client, server), std::pair(server, client)}) {
      const std::string bytes = from->TakeOutput();
      if (bytes.empty()) continue;
      moved = true;
      const size_t piece = step == 0 ? bytes.size() : step;
      for (size_t at = 0; at < bytes.size(); at += piece) {
        to->Feed(absl::string_view(bytes).substr(at, piece), &ignored);
      }
    }
  }
  CHECK(ignored.empty());
}

RawClient::RawClient(const std::function<void(SSL_CTX*)>& adjust)
    : context_(SSL_CTX_new(TLS_client_method())) {
  CHECK(context_ != nullptr);
  SSL_CTX_set_session_cache_mode(context_.get(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_.get(), OnSession);
  if (adjust) adjust(context_.get());
  ssl_.reset(SSL_new(context_.get()));
  CHECK(ssl_ != nullptr);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_connect_state(ssl_.get());
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
}

int RawClient::OnSession(SSL* ssl, SSL_SESSION* session) {
  static_cast<RawClient*>(SSL_get_app_data(ssl))->session_.reset(session);
  return 1;
}

void RawClient::Give(absl::string_view ciphertext) {
  if (ciphertext.empty()) return;
  const int size = static_cast<int>(ciphertext.size());
  CHECK(BIO_write(SSL_get_rbio(ssl()), ciphertext.data(), size) == size);
}

std::string RawClient::TakeOutput() {
  char* data = nullptr;
  const long size = BIO_get_mem_data(SSL_get_wbio(ssl()), &data);
  std::string bytes(data, static_cast<size_t>(size));
  BIO_reset(SSL_get_wbio(ssl()));
  return bytes;
}

bool RawClient::Shake(End* server) {
  std::string ignored;
  while (true) {
    ERR_clear_error();
    SSL_do_handshake(ssl());
    ERR_clear_error();
    const std::string out = TakeOutput();
    if (!out.empty()) server->Feed(out, &ignored);
    const std::string back = server->TakeOutput();
    Give(back);
    if (out.empty() && back.empty()) break;
  }
  return SSL_is_init_finished(ssl()) == 1 && server->engine->handshake_done();
}

void RawClient::Write(absl::string_view plaintext) {
  CHECK(SSL_write(ssl(), plaintext.data(), static_cast<int>(plaintext.size())) ==
        static_cast<int>(plaintext.size()));
}

std::string RawClient::Read() {
  std::string plaintext;
  char buffer[4096];
  ERR_clear_error();
  while (true) {
    const int bytes = SSL_read(ssl(), buffer, sizeof(buffer));
    if (bytes <= 0) break;
    plaintext.append(buffer, static_cast<size_t>(bytes));
  }
  ERR_clear_error();
  return plaintext;
}

}  // namespace postern::tls::testing
