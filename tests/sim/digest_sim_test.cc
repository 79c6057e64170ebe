// Logins by DIGEST-MD5, in which the session goes on talking to the client after the backend has
// said yes.
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/sim/digest_client.h"
#include "tests/sim/farm.h"
#include "tests/sim/farm_spec.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

class DigestSim : public ::testing::TestWithParam<Weather> {
 protected:
  void SetUp() override {
#ifndef POSTERN_DIGEST_MD5
    GTEST_SKIP() << "built without GNU SASL";
#endif
  }
};

// Whether the proof among what the client heard is one.
bool HeardProof(const ClientSpec& client, const ClientStory& story) {
  DigestClient digest;
  digest.user = client.user;
  digest.password = client.password;
  for (const std::string& reply : story.replies) {
    std::string text;
    if (!absl::StartsWith(reply, "+ ") || !absl::Base64Unescape(reply.substr(2), &text)) continue;
    if (absl::StartsWith(text, "rspauth=")) return text == digest.ExpectedProof();
    digest.Hear(text);
  }
  return false;
}

TEST_P(DigestSim, KeepsItsPromises) {
  size_t logged_in = 0;
  RunSeeds(200, [&logged_in](uint64_t seed) {
    FarmSpec spec = DrawFarm(seed, GetParam());
    Random random(seed ^ 0xD16E57);
    spec.apop = true;
    spec.sasl = false;
    for (ClientSpec& client : spec.clients) {
      if (client.login <= LoginKind::kXoauth2 && random.Chance(0.7)) {
        client.login = LoginKind::kDigestMd5;
      }
      if (client.login == LoginKind::kXoauth2) client.login = LoginKind::kApop;
    }
    const std::vector<ClientSpec> clients = spec.clients;
    Farm farm(seed, std::move(spec));
    std::vector<std::string> failures = farm.Run();
    for (size_t i = 0; i < clients.size(); ++i) {
      const ClientStory& story = farm.history().clients[i];
      if (clients[i].login != LoginKind::kDigestMd5 || !story.logged_in) continue;
      ++logged_in;
      if (HeardProof(clients[i], story)) continue;
      failures.push_back(absl::StrCat(story.name, " was logged in without the server's proof"));
    }
    return failures;
  });
  EXPECT_GT(logged_in, 0u);
}

std::string NameOf(const ::testing::TestParamInfo<Weather>& test) {
  return WeatherName(test.param);
}
INSTANTIATE_TEST_SUITE_P(Weather, DigestSim,
                         ::testing::Values(Weather::kFair, Weather::kUnruly, Weather::kHostile,
                                           Weather::kDraining),
                         &NameOf);

}  // namespace
}  // namespace postern::sim
