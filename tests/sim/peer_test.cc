// The peers of the simulation against each other, with nothing in between: what they do without a
// proxy is what a proxy will be measured by.
#include "tests/sim/peer.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/scripted_client.h"
#include "tests/sim/scripted_server.h"
#include "tests/sim/test_tls.h"

namespace postern::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

enum class Security { kPlain, kImplicit, kStls };

// A client and a server on one connection.
struct Couple {
  Couple(uint64_t seed, const FaultPlan& plan, ServerScript script)
      : io(seed, plan),
        connection(&io.scheduler(), 999),
        client_end(&connection, 0),
        server_end(&connection, 1),
        client(&io, &client_end),
        server(&io, &server_end, &store, std::move(script)) {
    store.Add("anna", "secret", 3, 4000);
  }
  void Run() {
    server.Start();
    client.Begin();
    for (int turn = 0; turn < 200000 && !io.quiet(); ++turn) io.RunOnce(kSecond);
    EXPECT_TRUE(io.quiet());
  }
  MaildropStore store;
  SimIo io;
  Connection connection;
  Endpoint client_end;
  Endpoint server_end;
  ScriptedClient client;
  ScriptedServer server;
};

ServerScript Script(Security security) {
  ServerScript script;
  script.implicit_tls = security == Security::kImplicit;
  script.model.stls = security == Security::kStls;
  script.tls = TestTls::Get().ServerEngines();
  return script;
}

void StartSession(ScriptedClient* client, Security security) {
  if (security == Security::kImplicit) client->Secure(TestTls::Get().ClientEngines());
  client->Expect();
  if (security == Security::kStls) {
    client->Send("STLS\r\n");
    client->Expect();
    client->SecureAfterOk(TestTls::Get().ClientEngines());
  }
}

class PeerSecurity : public ::testing::TestWithParam<Security> {};

TEST_P(PeerSecurity, AWholeSessionInEveryWorld) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Random random(seed);
    Couple couple(seed, FaultPlan::Unruly(random), Script(GetParam()));
    StartSession(&couple.client, GetParam());
    couple.client.Send("USER anna\r\nPASS secret\r\n");
    couple.client.Expect();
    couple.client.ExpectLogin();
    couple.client.Send("RETR 2\r\nDELE 2\r\nQUIT\r\n");
    couple.client.ExpectMultiline();
    couple.client.Expect(2);
    couple.client.WaitForEnd();
    couple.Run();
    EXPECT_TRUE(couple.client.finished());
    EXPECT_EQ(couple.client.heard_after_login(), couple.server.record().answers);
    EXPECT_NE(couple.client.heard().find(OnTheWire(couple.store.Find("anna")->messages[1])),
              std::string::npos);
    EXPECT_EQ(couple.client.end(),
              GetParam() == Security::kPlain ? Peer::End::kFin : Peer::End::kCloseNotify);
    EXPECT_THAT(couple.store.Find("anna")->deleted, ElementsAre(1));
    EXPECT_THAT(couple.server.record().passwords_offered, ElementsAre("secret"));
  }
}

TEST_P(PeerSecurity, NothingIsDeletedWithoutAWholeQuit) {
  for (size_t bytes = 0; bytes <= 6; ++bytes) {
    Couple couple(bytes, FaultPlan::Kind(), Script(GetParam()));
    StartSession(&couple.client, GetParam());
    couple.client.Send("USER anna\r\nPASS secret\r\n");
    couple.client.Expect();
    couple.client.ExpectLogin();
    couple.client.Send("DELE 1\r\n");
    couple.client.Expect();
    couple.client.Send(std::string("QUIT\r\n").substr(0, bytes));
    couple.client.Leave();
    couple.Run();
    EXPECT_EQ(couple.store.Find("anna")->deleted.size(), bytes == 6 ? 1u : 0u) << bytes;
    EXPECT_EQ(couple.server.record().quit, bytes == 6);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PeerSecurity,
                         ::testing::Values(Security::kPlain, Security::kImplicit, Security::kStls));

TEST(ScriptedServer, RefusesAndLetsTheScriptGoOn) {
  Couple couple(1, FaultPlan::Kind(), Script(Security::kPlain));
  couple.client.Expect();
  couple.client.Send("USER anna\r\nPASS wrong\r\n");
  couple.client.Expect();
  couple.client.ExpectLogin();
  couple.client.Send("STAT\r\n");
  couple.client.Otherwise();
  couple.client.Send("QUIT\r\n");
  couple.client.Expect();
  couple.Run();
  EXPECT_FALSE(couple.client.logged_in());
  EXPECT_THAT(couple.client.replies(),
              ElementsAre(StartsWith("+OK"), "+OK", StartsWith("-ERR [AUTH]"), "+OK bye"));
  EXPECT_THAT(couple.server.record().commands, ElementsAre("USER anna", "PASS wrong", "QUIT"));
}

class ServerFaults : public ::testing::TestWithParam<int> {};

TEST_P(ServerFaults, StrikeAndLeaveTheWorldQuiet) {
  ServerScript script = Script(Security::kPlain);
  script.fault = static_cast<ServerFault>(GetParam());
  script.at = 40;
  script.delay = 3 * kSecond;
  script.model.stls = true;
  Couple couple(1, FaultPlan::Kind(), script);
  const bool tls =
      script.fault == ServerFault::kStlsRefused || script.fault == ServerFault::kStlsExtraLine;
  couple.client.Send(tls ? "STLS\r\n"
                         : "CAPA\r\nUSER anna\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n");
  couple.client.Wait(60 * kSecond);
  couple.client.Leave();
  couple.Run();
  EXPECT_EQ(couple.server.struck(), script.fault != ServerFault::kNone)
      << ServerFaultName(script.fault);
  EXPECT_TRUE(couple.server.closed());
}

std::string FaultName(const ::testing::TestParamInfo<int>& info) {
  return ServerFaultName(static_cast<ServerFault>(info.param));
}
INSTANTIATE_TEST_SUITE_P(All, ServerFaults, ::testing::Range(0, kServerFaultCount), &FaultName);

TEST(ScriptedServer, CutsItsAnswerAtTheByte) {
  for (const ServerFault fault : {ServerFault::kCloseAt, ServerFault::kResetAt}) {
    ServerScript script = Script(Security::kPlain);
    script.fault = fault;
    script.at = 17;
    Couple couple(1, FaultPlan::Kind(), script);
    couple.client.Send("USER anna\r\nPASS secret\r\nRETR 1\r\n");
    couple.client.Expect(2);
    couple.client.ExpectLogin();
    couple.client.WaitForEnd();
    couple.Run();
    const std::string heard = couple.client.heard_after_login();
    EXPECT_EQ(couple.server.record().answers.substr(0, heard.size()), heard);
    if (fault == ServerFault::kCloseAt) {
      EXPECT_EQ(heard.size(), 17u);
      EXPECT_EQ(couple.client.end(), Peer::End::kFin);
    } else {
      EXPECT_LE(heard.size(), 17u);
      EXPECT_EQ(couple.client.end(), Peer::End::kReset);
    }
  }
}

TEST(Peer, SlowReadersHearEverything) {
  FaultPlan plan = FaultPlan::Kind();
  plan.window_min = plan.window_max = 100;
  Couple couple(1, plan, Script(Security::kImplicit));
  Peer::Pace pace;
  pace.chunk_max = 1;
  pace.chunk_delay = kMillisecond;
  pace.read_max = 7;
  pace.read_delay = 20 * kMillisecond;
  couple.client.set_pace(pace);
  StartSession(&couple.client, Security::kImplicit);
  couple.client.Send("USER anna\r\nPASS secret\r\nRETR 1\r\nRETR 2\r\nQUIT\r\n");
  couple.client.Expect();
  couple.client.ExpectLogin();
  couple.client.StopReadingFor(40 * kSecond);
  couple.client.WaitForEnd();
  couple.Run();
  EXPECT_EQ(couple.client.heard_after_login(), couple.server.record().answers);
  EXPECT_TRUE(couple.client.finished());
}

}  // namespace
}  // namespace postern::sim
