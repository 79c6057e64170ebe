// Our side of one DIGEST-MD5 exchange (RFC 2831), by GNU SASL: a challenge that one response may
// answer. Authentication only: no integrity or confidentiality layer (qop "auth"), service "pop".
#ifndef POSTERN_PROXY_DIGEST_MD5_H_
#define POSTERN_PROXY_DIGEST_MD5_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"

namespace postern {

class DigestMd5Exchange {
 public:
  // With a nonce of fresh randomness. `realm` is what clients show to their users. Null: the
  // library failed, or this program was built without it.
  static std::unique_ptr<DigestMd5Exchange> Begin(const std::string& realm);
  virtual ~DigestMd5Exchange() = default;

  // The message for the client; not in base64.
  const std::string& challenge() const { return challenge_; }
  // Whether `response` is an answer to the challenge, by somebody who has `secret`. Both its name
  // and the secret count in ISO 8859-1 where they can be written in it (RFC 2831 section 2.1.2.1).
  // The first call decides: another response or secret never gets a second chance, the same ones
  // get the same verdict again.
  bool Verify(absl::string_view response, absl::string_view secret);
  // After Verify() has said yes: what proves to the client that we know the secret, too.
  const std::string& proof() const { return proof_; }

 protected:
  DigestMd5Exchange() = default;
  // True: right, and `proof_` is set. `key` is what stands for the secret: the digest of name,
  // realm and password in hexadecimal digits. The library never sees the secret itself, of which
  // it would leave copies in memory.
  virtual bool Judge(const std::string& response, const std::string& user, const Secret& key) = 0;

  std::string challenge_;
  std::string proof_;

 private:
  std::optional<bool> verdict_;
  Secret response_;
  Secret secret_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_DIGEST_MD5_H_
