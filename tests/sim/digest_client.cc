#include "tests/sim/digest_client.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tls/digest.h"

namespace postern::sim {
namespace {

std::string Quoted(const std::string& challenge, const std::string& name) {
  const std::string front = name + "=\"";
  const size_t begin = challenge.find(front);
  if (begin == std::string::npos) return "";
  const size_t text = begin + front.size();
  return challenge.substr(text, challenge.find('"', text) - text);
}

}  // namespace

void DigestClient::Hear(const std::string& challenge) {
  realm = Quoted(challenge, "realm");
  nonce = Quoted(challenge, "nonce");
}

std::string DigestClient::Digest(const std::string& a2) const {
  const std::string key =
      absl::HexStringToBytes(tls::Md5Hex(absl::StrCat(user, ":", realm, ":"), password).value());
  const std::string a1 = tls::Md5Hex(key, absl::StrCat(":", nonce, ":", cnonce)).value();
  return tls::Md5Hex(absl::StrCat(a1, ":", nonce, ":", nc, ":", cnonce, ":auth:"),
                     tls::Md5Hex(a2, "").value())
      .value();
}

std::string DigestClient::Answer() const {
  return absl::StrCat("charset=utf-8,username=\"", user, "\",realm=\"", realm, "\",nonce=\"", nonce,
                      "\",nc=", nc, ",cnonce=\"", cnonce, "\",digest-uri=\"", uri,
                      "\",response=", Digest("AUTHENTICATE:" + uri), ",qop=auth");
}

std::string DigestClient::ExpectedProof() const {
  return absl::StrCat("rspauth=", Digest(":" + uri));
}

}  // namespace postern::sim
