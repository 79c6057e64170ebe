// The client's side of DIGEST-MD5 (RFC 2831), written from the RFC: what the proxy's library is
// held against.
#ifndef POSTERN_TESTS_SIM_DIGEST_CLIENT_H_
#define POSTERN_TESTS_SIM_DIGEST_CLIENT_H_

#include <string>

namespace postern::sim {

struct DigestClient {
  std::string user;
  std::string password;
  std::string realm;
  std::string nonce;
  std::string cnonce = "OA6MHXh6VqTrRk";
  std::string uri = "pop/pop.example.net";
  std::string nc = "00000001";

  // Takes realm and nonce out of a challenge.
  void Hear(const std::string& challenge);
  // The whole message; not in base64.
  std::string Answer() const;
  // What the server must prove its knowledge with.
  std::string ExpectedProof() const;

 private:
  std::string Digest(const std::string& a2) const;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_DIGEST_CLIENT_H_
