// The checker against histories that lie: each broken promise must be found, and the honest history
// must pass. A checker that finds nothing would make the whole simulation worthless.
#include "tests/sim/history.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::sim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Anna marks a message, quits and hears everything.
History Honest() {
  History history;
  ClientStory client;
  client.name = "anna";
  client.address = "192.0.2.7:4000";
  client.user = "anna@example.net";
  client.passwords = {"secret"};
  client.session_text = "RETR 1\r\nDELE 1\r\nQUIT\r\n";
  client.wants_quit = client.quit_said = true;
  client.logged_in = client.record_logged_in = true;
  client.replies = {"+OK hello", "+OK", "+OK in"};
  client.login_reply = "+OK in";
  client.end = Peer::End::kFin;
  client.records = 1;
  client.reason = CloseReason::kQuit;
  ServerStory server;
  server.name = "mail";
  MaildropRecord& record = server.record;
  record.received = "USER anna@example.net\r\nPASS secret\r\n";
  record.session_begin = record.received.size();
  record.received += client.session_text;
  record.commands = {"USER anna@example.net", "PASS secret", "RETR 1", "DELE 1", "QUIT"};
  record.session_commands = {"RETR 1", "DELE 1", "QUIT"};
  record.users_offered = {client.user};
  record.passwords_offered = {"secret"};
  record.user = client.user;
  record.logged_in = record.quit = true;
  record.answers = "+OK\r\nhello\r\n.\r\n+OK\r\n+OK bye\r\n";
  record.answer_ends = {15, 20, 29};
  record.marked = record.committed = {0};
  client.heard_after_login = record.answers;
  history.clients = {client};
  history.servers = {server};
  history.connections = history.records = 1;
  return history;
}

TEST(CheckHistory, AcceptsTheHonestOne) { EXPECT_THAT(CheckHistory(Honest()), IsEmpty()); }

struct Lie {
  const char* name;
  std::function<void(History*)> tell;
  const char* found;
};

class CheckHistoryLies : public ::testing::TestWithParam<Lie> {};

TEST_P(CheckHistoryLies, IsFound) {
  History history = Honest();
  GetParam().tell(&history);
  EXPECT_THAT(CheckHistory(history), Contains(HasSubstr(GetParam().found)));
}

const Lie kLies[] = {
    {"OneConnectionForTwo",
     [](History* h) {
       h->clients.push_back(h->clients[0]);
       h->clients[1].name = "bert";
       h->clients[1].user = "bert@example.net";
       h->servers[0].record.users_offered.push_back("bert@example.net");
     },
     "served more than one client"},
    {"AnotherClientsAddress",
     [](History* h) {
       h->servers[0].wants_client = true;
       h->servers[0].told_client = "192.0.2.1:1";
     },
     "was told that anna is \"192.0.2.1:1\" and not 192.0.2.7:4000"},
    {"SwallowedQuit",
     [](History* h) {
       MaildropRecord& record = h->servers[0].record;
       record.received.resize(record.received.size() - 6);
       record.quit = false;
       record.committed.clear();
       h->clients[0].reason = CloseReason::kClientClosed;
     },
     "said QUIT, and its backend never heard it"},
    {"InventedQuit",
     [](History* h) {
       h->clients[0].session_text = "RETR 1\r\nDELE 1\r\n";
       h->clients[0].wants_quit = h->clients[0].quit_said = false;
     },
     "QUIT nobody said"},
    {"QuitThatWasNeverAnswered",
     [](History* h) {
       h->servers[0].fault = ServerFault::kCloseAtQuit;
       h->servers[0].struck = true;
     },
     "went without an answer"},
    {"DeletionWithoutQuit", [](History* h) { h->servers[0].record.quit = false; },
     "deleted without QUIT"},
    {"SilentTruncation", [](History* h) { h->clients[0].heard_after_login.resize(9); },
     "orderly end inside an answer"},
    {"TruncationOnTls",
     [](History* h) {
       h->clients[0].heard_after_login.resize(9);
       h->clients[0].end = Peer::End::kCloseNotify;
     },
     "orderly end inside an answer"},
    {"LostTail", [](History* h) { h->clients[0].heard_after_login.resize(20); },
     "missed the last 9 bytes"},
    {"ForeignBytes", [](History* h) { h->clients[0].heard_after_login[6] = 'X'; },
     "never said: at byte 6"},
    {"DoubledBytes", [](History* h) { h->servers[0].record.received += "QUIT\r\n"; },
     "heard after the login what anna never said"},
    {"SomebodyElsesLogin", [](History* h) { h->servers[0].record.user = "bert@example.net"; },
     "which nobody asked for"},
    {"PasswordOfferedTwice",
     [](History* h) {
       h->servers.push_back(h->servers[0]);
       h->servers[1].record.logged_in = false;
     },
     "gave 1 passwords, and backends saw 2"},
    {"ForeignPassword", [](History* h) { h->servers[0].record.passwords_offered = {"other"}; },
     "a password that anna never gave"},
    {"ControlBytes", [](History* h) { h->servers[0].record.commands[0] = "USER a\tb"; },
     "control bytes before the login"},
    {"WrongPasswordLetIn", [](History* h) { h->clients[0].password_right = false; },
     "logged in with a wrong password"},
    {"RightPasswordCalledWrong",
     [](History* h) {
       h->clients[0].login_reply = "-ERR [AUTH] no";
       h->clients[0].logged_in = false;
       h->servers.clear();
     },
     "gave the right password and was told"},
    {"InsideTold", [](History* h) { h->clients[0].replies.push_back("-ERR 10.0.0.1 is down"); },
     "told about the inside"},
    {"TwoRecords", [](History* h) { h->clients[0].records = 2; }, "more than one session record"},
    {"NeverAccepted",
     [](History* h) {
       h->clients[0].records = 0;
       h->connections = h->records = 0;
     },
     "never got a session"},
    {"NoReason", [](History* h) { h->clients[0].reason = CloseReason::kNone; }, "without a reason"},
    {"LostSession", [](History* h) { h->connections = 2; }, "accepted 2 connections"},
    {"BeforeStls",
     [](History* h) { h->servers[0].record.users_offered = {"victim-anna@example.net"}; },
     "said before STLS"},
};

std::string NameOf(const ::testing::TestParamInfo<Lie>& test) { return test.param.name; }
INSTANTIATE_TEST_SUITE_P(All, CheckHistoryLies, ::testing::ValuesIn(kLies), &NameOf);

}  // namespace
}  // namespace postern::sim
