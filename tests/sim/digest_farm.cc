// Clients that log in by DIGEST-MD5.
#include "absl/strings/escaping.h"
#include "absl/strings/strip.h"
#include "tests/sim/digest_client.h"
#include "tests/sim/farm.h"

namespace postern::sim {

void Farm::WriteDigestLogin(Client* client) {
  ScriptedClient& peer = *client->peer;
  peer.Send("AUTH DIGEST-MD5\r\n");
  peer.Expect();
  peer.SendMade([client] {
    std::string challenge;
    if (!absl::Base64Unescape(absl::StripPrefix(client->peer->replies().back(), "+ "),
                              &challenge)) {
      return std::string("*\r\n");
    }
    DigestClient digest;
    digest.user = client->spec.user;
    digest.password = client->spec.password;
    digest.Hear(challenge);
    return absl::Base64Escape(digest.Answer()) + "\r\n";
  });
  if (!client->spec.password_right || !client->spec.known) return;
  // The server's proof, which wants an empty answer.
  peer.Expect();
  peer.Send("\r\n");
}

}  // namespace postern::sim
