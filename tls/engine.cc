#include "tls/engine.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "tls/engine_bio.h"
#include "tls/errors.h"

namespace postern::tls {
namespace {

constexpr char kAlertRecord = 0x15;
constexpr char kHandshakeRecord = 0x16;

bool LooksLikeHttp(absl::string_view bytes) {
  // "DELE 1" is POP3, "DELETE /" is not.
  for (const absl::string_view method : {"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ",
                                         "OPTIONS ", "PATCH ", "TRACE ", "PRI * HTTP/2"}) {
    if (absl::StartsWith(bytes, method)) return true;
  }
  return false;
}

}  // namespace

Engine::Engine(ssl_st* ssl, ByteArena* output) : ssl_(ssl), output_(output) {
  BIO* bio = EngineBio::New(this);
  SSL_set_bio(ssl_, bio, bio);  // one reference serves both directions
}

Engine::~Engine() {
  SSL_free(ssl_);
  ClearErrors();
}

bool Engine::SpeaksTls() {
  if (first_byte_seen_ || input_.empty()) return true;
  first_byte_seen_ = true;
  // An SSLv2-framed hello (0x80) is refused too: no client of this century sends one.
  if (input_[0] == kHandshakeRecord || input_[0] == kAlertRecord) return true;
  if (SSL_is_server(ssl_) == 0) {
    Fail("plaintext", "the server began in clear text instead of a TLS handshake");
  } else if (LooksLikeHttp(input_)) {
    Fail("plaintext_http", "the client began with an HTTP request instead of a TLS handshake");
  } else {
    Fail("not_tls", "the client began with something else than a TLS handshake");
  }
  return false;
}

Result Engine::Handshake() {
  if (failed_) return Result::kError;
  if (handshake_done_) return Result::kOk;
  if (!SpeaksTls()) return Result::kError;
  ClearErrors();
  if (!first_words_.empty() && !first_words_tried_) {
    const Result said = SayFirstWords();
    if (said != Result::kOk) return said;
  }
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) return Stopped(result, "TLS handshake failed: ");
  handshake_done_ = true;
  ClearErrors();
  return first_words_.empty() ? Result::kOk : Write(std::exchange(first_words_, {}));
}

// The library's calls for early data are the only ones that stop behind our Finished. No early data
// is ever taken from the client: the context's limit for it is zero.
Result Engine::SayFirstWords() {
  char nothing = 0;
  size_t bytes = 0;
  const int reached = SSL_read_early_data(ssl_, &nothing, sizeof(nothing), &bytes);
  if (reached == SSL_READ_EARLY_DATA_ERROR) return Stopped(0, "TLS handshake failed: ");
  if (reached != SSL_READ_EARLY_DATA_FINISH) {
    return Fail("protocol", "TLS handshake failed: early data, which was not offered");
  }
  first_words_tried_ = true;
  // It stops behind a HelloRetryRequest, too, when nothing can be encrypted yet.
  if (!finished_sent_) return Result::kOk;
  const int result = SSL_write_early_data(ssl_, first_words_.data(), first_words_.size(), &bytes);
  if (result != 1) return Stopped(result, "TLS write failed: ");
  CHECK(bytes == first_words_.size());
  first_words_ = std::string();
  return Result::kOk;
}

Result Engine::Read(char* buffer, size_t capacity, size_t* bytes) {
  *bytes = 0;
  if (failed_) return Result::kError;
  CHECK(handshake_done_);
  CHECK(capacity > 0);
  ClearErrors();
  const int result = SSL_read_ex(ssl_, buffer, capacity, bytes);
  if (result != 1) return Stopped(result, "TLS connection broken: ");
  return Result::kOk;
}

Result Engine::Write(absl::string_view plaintext) {
  if (failed_ || shutdown_sent_) return Result::kError;
  CHECK(handshake_done_);
  if (plaintext.empty()) return Result::kOk;
  ClearErrors();
  size_t written = 0;
  const int result = SSL_write_ex(ssl_, plaintext.data(), plaintext.size(), &written);
  if (result == 1) {
    // The arena takes everything, so there are no short writes.
    CHECK(written == plaintext.size());
    return Result::kOk;
  }
  const Result stopped = Stopped(result, "TLS write failed: ");
  if (stopped == Result::kError) return stopped;
  return Fail("protocol", "TLS write failed: the library wants input first");
}

void Engine::Shutdown() {
  if (failed_ || shutdown_sent_ || !handshake_done_) return;
  shutdown_sent_ = true;
  ClearErrors();
  // 0 means that the peer's own close_notify has not come; that is the caller's business.
  SSL_shutdown(ssl_);
  ClearErrors();
}

void Engine::EndLogin() {
  // Once: OpenSSL 3.5 overwrites the buffer it has given back already, and crashes.
  if (login_ended_) return;
  login_ended_ = true;
  SSL_set_mode(ssl_, SSL_MODE_RELEASE_BUFFERS);
  // A record that waits in the buffer is still to be read: the buffer is overwritten and given back
  // behind it.
  if (SSL_has_pending(ssl_) == 1 || SSL_free_buffers(ssl_) != 1) return;
  SSL_clear_options(ssl_, SSL_OP_CLEANSE_PLAINTEXT);
}

HandshakeInfo Engine::info() const {
  CHECK(handshake_done_);
  HandshakeInfo info;
  info.version = SSL_get_version(ssl_);
  if (const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_); cipher != nullptr) {
    info.cipher = SSL_CIPHER_get_name(cipher);
  }
  if (const auto group = SSL_get_negotiated_group(ssl_); group > 0) {
    const char* name = SSL_group_to_name(ssl_, static_cast<int>(group));
    if (name != nullptr) info.group = name;
  }
  if (const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name); name != nullptr) {
    info.server_name = name;
  }
  info.resumed = SSL_session_reused(ssl_) == 1;
  const unsigned char* protocol = nullptr;
  unsigned int protocol_bytes = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &protocol_bytes);
  info.alpn_pop3 =
      absl::string_view(reinterpret_cast<const char*>(protocol), protocol_bytes) == "pop3";
  return info;
}

std::optional<PeerCertificate> Engine::peer_certificate() const {
  CHECK(handshake_done_);
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return std::nullopt;
  PeerCertificate peer = ReadPeerCertificate(certificate);
  peer.verified = (SSL_get_verify_mode(ssl_) & SSL_VERIFY_PEER) != 0 &&
                  SSL_get_verify_result(ssl_) == X509_V_OK;
  return peer;
}

std::optional<CertificateDetails> Engine::peer_certificate_details() const {
  CHECK(handshake_done_);
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return std::nullopt;
  return ReadCertificateDetails(certificate);
}

Result Engine::Stopped(int ssl_result, absl::string_view what) {
  switch (SSL_get_error(ssl_, ssl_result)) {
    case SSL_ERROR_WANT_READ:
      ClearErrors();
      return Result::kWantInput;
    case SSL_ERROR_ZERO_RETURN:
      ClearErrors();
      return Result::kClosed;
    default:
      break;
  }
  if (key_updates_ > kKeyUpdatesMax) {
    return Fail("too_many_key_updates",
                absl::StrCat(what, "the peer sent more than ", kKeyUpdatesMax, " KeyUpdates"));
  }
  Failure failure = DescribeFailure(ssl_);
  return Fail(failure.word, absl::StrCat(what, failure.sentence));
}

Result Engine::Fail(absl::string_view word, std::string sentence) {
  failed_ = true;
  error_word_ = word;
  error_ = std::move(sentence);
  ClearErrors();
  return Result::kError;
}

}  // namespace postern::tls
