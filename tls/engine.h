// One side of one TLS connection without I/O: ciphertext in, plaintext out, and the other way.
//
// The engine never touches a socket. Its caller lends it received bytes with SetInput(), calls one
// of Handshake(), Read(), Write() or Shutdown(), and then sends whatever was appended to the
// output arena. Rule: flush the output before waiting for more input, on every path, or both
// sides wait for ever.
//
// Worker thread only. An engine must not outlive the context that made it.
#ifndef POSTERN_TLS_ENGINE_H_
#define POSTERN_TLS_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/byte_arena.h"
#include "tls/certificate_details.h"
#include "tls/peer_certificate.h"

struct ssl_st;

namespace postern::tls {

enum class Result {
  kOk,         // done (Read: at least one byte)
  kWantInput,  // all input is used up; send the output, then bring more
  kClosed,     // the peer's close_notify arrived: an orderly end
  kError,      // the connection is broken; error() says why, an alert may be in the output
};

// KeyUpdate messages (RFC 8446 section 4.6.3) a peer may send in one connection. Each makes us
// derive keys; an honest peer needs one per 24 million records.
inline constexpr int kKeyUpdatesMax = 32;

// Every word Engine::error_word() can say.
inline constexpr absl::string_view kErrorWords[] = {
    "alert_received",             // the peer refused us with an alert
    "alpn",                       // the client wants another protocol than pop3
    "certificate",                // verification failed for another reason than those below
    "certificate_expired",        //
    "certificate_name",           // the certificate is not for this server name
    "certificate_not_yet_valid",  //
    "not_tls",                    // a client began with something that is no TLS record
    "no_shared_cipher",           //
    "no_shared_group",            //
    "plaintext",                  // a server began in clear text
    "plaintext_http",             // a client began with an HTTP request
    "protocol",                   // anything else the peer did wrong
    "self_signed",                //
    "too_many_key_updates",       //
    "unknown_ca",                 //
    "version",                    // no version in common
};

// What a finished handshake agreed on. The views point to static text or into the engine.
struct HandshakeInfo {
  absl::string_view version;  // "TLSv1.3"
  absl::string_view cipher;   // "TLS_AES_128_GCM_SHA256"
  absl::string_view group;    // "x25519"; empty when unknown
  // The client's SNI as it was sent, empty when none was: peer-controlled text, escape it. Lives as
  // long as the engine.
  absl::string_view server_name;
  bool resumed = false;
  bool alpn_pop3 = false;  // "pop3" was negotiated (RFC 7301)
};

class Engine {
 public:
  // Takes ownership of `ssl`. Ciphertext for the peer is appended to `*output` by every call; the
  // arena is the caller's and must outlive the engine, or be replaced with set_output().
  Engine(ssl_st* ssl, ByteArena* output);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  void set_output(ByteArena* output) { output_ = output; }

  // Lends ciphertext until it is used up (input_left() == 0) or replaced. The engine takes what it
  // needs on the following calls; after kWantInput nothing is left.
  void SetInput(absl::string_view ciphertext) { input_ = ciphertext; }
  size_t input_left() const { return input_.size(); }

  // For a server, before the first Handshake(): what the client is to hear first, encrypted as if
  // by Write(). Over TLS 1.3 it leaves with our half of the handshake, so that the client has it a
  // round trip sooner (RFC 8446 section 4.4.4 lets a server speak behind its own Finished): it must
  // be nothing that only this client may know. Before TLS 1.3, or after a HelloRetryRequest, it
  // comes with the end of the handshake.
  void SetFirstWords(absl::string_view words) { first_words_ = std::string(words); }
  // Goes on with the handshake; a client engine says hello on the first call, without input. kOk
  // once and for ever when it is done: input may be left, and belongs to Read().
  Result Handshake();
  // Decrypts up to `capacity` bytes into `buffer`. kOk: *bytes > 0, and there may be more, so call
  // again until another result comes: bytes may sit decrypted inside the engine without any new
  // input (one record may carry two commands). After the handshake only, like Write().
  Result Read(char* buffer, size_t capacity, size_t* bytes);
  // Encrypts all of `plaintext` into the output arena, in records of at most 16 KiB. After our
  // Shutdown() nothing may follow: kError, without an error() and without harm to reading.
  Result Write(absl::string_view plaintext);
  // Appends our close_notify to the output once; later calls do nothing.
  void Shutdown();
  // The handshake and the credentials are through. Until then the library keeps its record buffers
  // (17 KiB each way) from one record to the next: allocating, overwriting and freeing them for
  // each made a login dearer. Now they are overwritten once and given back, and from now on they
  // are held only while a record is in them: 14 KB for an idle session instead of 48. Later calls
  // do nothing.
  void EndLogin();

  bool handshake_done() const { return handshake_done_; }
  // After a finished handshake only.
  HandshakeInfo info() const;
  // Likewise; nothing when the peer showed no certificate. Servers show one always, clients when
  // they are asked and have one.
  std::optional<PeerCertificate> peer_certificate() const;
  // Likewise: the rest of it.
  std::optional<CertificateDetails> peer_certificate_details() const;

  // After kError: one short, printable sentence without peer-controlled text, for the log.
  const std::string& error() const { return error_; }
  // After kError: a stable word for a metric label, one of kErrorWords.
  absl::string_view error_word() const { return error_word_; }

 private:
  friend struct EngineBio;
  // Looks at the first byte of a connection: what is not TLS never reaches the library, which
  // would answer it, and gets a word of its own.
  bool SpeaksTls();
  // Goes on to the place where our first words may be said, and says them if it is there.
  Result SayFirstWords();
  // Translates a call of the library that did not succeed.
  Result Stopped(int ssl_result, absl::string_view what);
  Result Fail(absl::string_view word, std::string sentence);

  ssl_st* ssl_;
  ByteArena* output_;
  absl::string_view input_;
  std::string first_words_;  // until they are said
  std::string error_;
  absl::string_view error_word_;
  bool first_words_tried_ = false;
  bool finished_sent_ = false;
  bool handshake_done_ = false;
  bool shutdown_sent_ = false;
  bool failed_ = false;
  bool first_byte_seen_ = false;
  bool login_ended_ = false;
  uint16_t key_updates_ = 0;
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_ENGINE_H_
