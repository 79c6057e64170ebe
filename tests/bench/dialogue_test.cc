#include "bench/maildrop/dialogue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/pop3/sasl.h"
#include "tls/digest.h"

namespace postern::maildrop {
namespace {

class DialogueTest : public testing::Test {
 protected:
  DialogueTest() {
    options_.mailbox.store = "store1";
    options_.mailbox.messages = 5;
  }

  Dialogue Make(ListenTls tls = ListenTls::kOff, Fault fault = Fault::kNone,
                std::string challenge = {}) {
    return Dialogue(&options_, &deletions_, tls, fault, std::move(challenge));
  }

  Dialogue LoggedIn(const std::string& user = "alice@example.org") {
    Dialogue dialogue = Make();
    dialogue.OnLine(absl::StrCat("USER ", user));
    EXPECT_EQ(dialogue.OnLine("PASS x").text, "+OK 5 messages on store1\r\n");
    return dialogue;
  }

  Options options_;
  Deletions deletions_{10};
};

TEST_F(DialogueTest, AnyPasswordButOneIsRight) {
  Dialogue dialogue = Make();
  EXPECT_EQ(dialogue.Greet().text, "+OK store1 ready\r\n");
  EXPECT_EQ(dialogue.OnLine("PASS early").text, "-ERR USER first\r\n");
  dialogue.OnLine("user alice");
  EXPECT_EQ(dialogue.OnLine("PASS wrong").text, "-ERR [AUTH] Authentication failed.\r\n");
  EXPECT_EQ(dialogue.mailbox(), nullptr);
  dialogue.OnLine("USER alice");
  EXPECT_TRUE(absl::StartsWith(dialogue.OnLine("pass with spaces ").text, "+OK"));
  EXPECT_NE(dialogue.mailbox(), nullptr);
}

TEST_F(DialogueTest, OnePasswordCanBeTheOnlyRightOne) {
  options_.password = "pass with a space ";
  Dialogue dialogue = Make();
  dialogue.OnLine("USER alice");
  EXPECT_TRUE(absl::StartsWith(dialogue.OnLine("PASS pass with a space").text, "-ERR [AUTH]"));
  dialogue.OnLine("USER alice");
  EXPECT_TRUE(absl::StartsWith(dialogue.OnLine("PASS pass with a space ").text, "+OK"));
}

TEST_F(DialogueTest, AuthPlainWithAndWithoutInitialResponse) {
  const Secret right = pop3::EncodePlain("", "alice", "x");
  Dialogue first = Make();
  EXPECT_TRUE(
      absl::StartsWith(first.OnLine(absl::StrCat("AUTH PLAIN ", right.view())).text, "+OK"));
  Dialogue second = Make();
  EXPECT_EQ(second.OnLine("auth plain").text, "+ \r\n");
  EXPECT_EQ(second.OnLine("*").text, "-ERR cancelled\r\n");
  EXPECT_EQ(second.OnLine("AUTH PLAIN").text, "+ \r\n");
  EXPECT_TRUE(absl::StartsWith(second.OnLine(right.view()).text, "+OK"));
  Dialogue third = Make();
  EXPECT_EQ(third.OnLine("AUTH PLAIN !!").text, "-ERR no base64\r\n");
  EXPECT_EQ(third.OnLine("AUTH PLAIN eA==").text, "-ERR no PLAIN message\r\n");
  EXPECT_EQ(third.OnLine("AUTH CRAM-MD5").text, "-ERR no such mechanism\r\n");
}

TEST_F(DialogueTest, AMasterUserActsForAnother) {
  options_.mailbox.samples = true;
  Dialogue dialogue = Make();
  const Secret master = pop3::EncodePlain("bob@example.org", "proxy", "x");
  dialogue.OnLine(absl::StrCat("AUTH PLAIN ", master.view()));
  ASSERT_NE(dialogue.mailbox(), nullptr);
  Dialogue bob = LoggedIn("bob@example.org");
  EXPECT_EQ(dialogue.mailbox()->UniqueIdOf(4), bob.mailbox()->UniqueIdOf(4));
}

TEST_F(DialogueTest, ApopProvesThePassword) {
  options_.apop = true;
  options_.password = "tanstaaf";
  const std::string challenge = "<1896.697170952@dbc.mtview.ca.us>";  // RFC 1939 section 7
  Dialogue dialogue = Make(ListenTls::kOff, Fault::kNone, challenge);
  EXPECT_EQ(dialogue.Greet().text, absl::StrCat("+OK store1 ready ", challenge, "\r\n"));
  EXPECT_TRUE(absl::StartsWith(dialogue.OnLine("APOP mrose c4c9334bac560ecc979e58001b3e22fc").text,
                               "-ERR [AUTH]"));
  EXPECT_TRUE(
      absl::StartsWith(dialogue.OnLine("APOP mrose c4c9334bac560ecc979e58001b3e22fb").text, "+OK"));
}

TEST_F(DialogueTest, XclientIsToldInTheAnswerToTheLogin) {
  options_.xclient = true;
  Dialogue dialogue = Make();
  EXPECT_EQ(dialogue.Greet().text, "+OK [XCLIENT] store1 ready\r\n");
  EXPECT_EQ(dialogue.OnLine("XCLIENT ADDR=nonsense").text, "-ERR Invalid parameters\r\n");
  EXPECT_EQ(dialogue.client_facts(), nullptr);
  EXPECT_EQ(dialogue.OnLine("xclient UNKNOWN=1").text, "+OK Updated\r\n");
  EXPECT_EQ(dialogue.client_facts(), nullptr);
  EXPECT_EQ(dialogue.OnLine("XCLIENT ADDR=192.0.2.1").text, "+OK Updated\r\n");
  EXPECT_EQ(dialogue.OnLine("XCLIENT PORT=99").text, "+OK Updated\r\n");
  dialogue.OnLine("USER a");
  EXPECT_EQ(dialogue.OnLine("PASS b").text,
            "+OK 5 messages on store1 for addr=192.0.2.1 port=99\r\n");
  EXPECT_EQ(dialogue.OnLine("XCLIENT PORT=98").text, "-ERR unknown command\r\n");
}

TEST_F(DialogueTest, UsersMayHaveDifferentNumbersOfMessages) {
  options_.mailbox.counts = *SizeModel::ParseCounts("uniform:0-9");
  std::vector<int> users_with(10);
  for (int i = 0; i < 200; ++i) {
    const std::string user = absl::StrCat("user", i);
    for (int again = 0; again < 2; ++again) {
      Dialogue dialogue = Make();
      dialogue.OnLine(absl::StrCat("USER ", user));
      dialogue.OnLine("PASS x");
      ASSERT_LE(dialogue.mailbox()->size(), 9u);
      ++users_with[dialogue.mailbox()->size()];
    }
  }
  for (size_t i = 0; i < users_with.size(); ++i) {
    EXPECT_GT(users_with[i], 0) << i;
    EXPECT_EQ(users_with[i] % 2, 0) << "a mailbox changed its size";
  }
}

TEST_F(DialogueTest, CapaSaysWhatHoldsNow) {
  Dialogue dialogue = Make(ListenTls::kStls);
  std::string capa = dialogue.OnLine("CAPA").text;
  EXPECT_TRUE(absl::StrContains(capa, "\r\nPIPELINING\r\n"));
  EXPECT_TRUE(absl::StrContains(capa, "\r\nSTLS\r\n"));
  EXPECT_TRUE(absl::StrContains(capa, "\r\nSASL PLAIN\r\n"));
  EXPECT_EQ(dialogue.OnLine("STLS").action, Action::kStartTls);
  dialogue.OnTlsStarted();
  EXPECT_FALSE(absl::StrContains(dialogue.OnLine("CAPA").text, "STLS"));
  EXPECT_EQ(dialogue.OnLine("STLS").text, "-ERR not before login\r\n");
  dialogue.OnLine("USER a");
  dialogue.OnLine("PASS b");
  EXPECT_FALSE(absl::StrContains(dialogue.OnLine("CAPA").text, "SASL"));
  options_.pipelining = false;
  EXPECT_FALSE(absl::StrContains(dialogue.OnLine("CAPA").text, "PIPELINING"));
  options_.capabilities = {"EXPIRE NEVER"};
  EXPECT_EQ(dialogue.OnLine("CAPA").text, "+OK\r\nEXPIRE NEVER\r\n.\r\n");
}

TEST_F(DialogueTest, AUserSaidInTheClearIsForgotten) {
  Dialogue dialogue = Make(ListenTls::kStls);
  dialogue.OnLine("USER alice");
  dialogue.OnTlsStarted();
  EXPECT_EQ(dialogue.OnLine("PASS x").text, "-ERR USER first\r\n");
}

TEST_F(DialogueTest, StatListAndUidlAgree) {
  Dialogue dialogue = LoggedIn();
  EXPECT_EQ(dialogue.OnLine("STAT").text, "+OK 5 25000\r\n");
  EXPECT_EQ(dialogue.OnLine("LIST 2").text, "+OK 2 5000\r\n");
  EXPECT_EQ(dialogue.OnLine("LIST 6").text, "-ERR no such message\r\n");
  EXPECT_EQ(dialogue.OnLine("LIST 0").text, "-ERR no such message\r\n");
  EXPECT_EQ(dialogue.OnLine("UIDL -1").text, "-ERR no such message\r\n");
  EXPECT_EQ(dialogue.OnLine("LIST").action, Action::kListing);
  dialogue.OnLine("DELE 2");
  EXPECT_EQ(dialogue.OnLine("STAT").text, "+OK 4 20000\r\n");
  size_t index = 1;
  EXPECT_EQ(ListingPart(*dialogue.mailbox(), false, 4096, &index),
            "1 5000\r\n3 5000\r\n4 5000\r\n5 5000\r\n.\r\n");
  // In parts, it is the same.
  std::string parts;
  for (index = 1; index <= 5;) parts += ListingPart(*dialogue.mailbox(), true, 64, &index);
  index = 1;
  EXPECT_EQ(parts, ListingPart(*dialogue.mailbox(), true, 4096, &index));
}

TEST_F(DialogueTest, DeletionsLastFromQuitOn) {
  Dialogue dialogue = LoggedIn();
  const std::string third = dialogue.mailbox()->UniqueIdOf(3);
  EXPECT_EQ(dialogue.OnLine("DELE 1").text, "+OK message 1 deleted\r\n");
  EXPECT_EQ(dialogue.OnLine("DELE 1").text, "-ERR no such message\r\n");
  EXPECT_EQ(dialogue.OnLine("RETR 1").text, "-ERR no such message\r\n");
  dialogue.OnLine("RSET");
  EXPECT_EQ(dialogue.OnLine("DELE 1").text, "+OK message 1 deleted\r\n");
  dialogue.OnLine("DELE 2");
  EXPECT_EQ(LoggedIn().mailbox()->size(), 5u) << "deleted before QUIT";
  EXPECT_EQ(dialogue.OnLine("QUIT").action, Action::kClose);

  Dialogue again = Make();
  again.OnLine("USER alice@example.org");
  EXPECT_EQ(again.OnLine("PASS x").text, "+OK 3 messages on store1\r\n");
  EXPECT_EQ(again.mailbox()->UniqueIdOf(1), third) << "a message changed its identity";
  again.OnLine("DELE 2");
  again.OnLine("QUIT");
  Dialogue last = Make();
  last.OnLine("USER alice@example.org");
  EXPECT_EQ(last.OnLine("PASS x").text, "+OK 2 messages on store1\r\n");
  EXPECT_EQ(last.mailbox()->UniqueIdOf(1), third);
  EXPECT_EQ(LoggedIn("bob@example.org").mailbox()->size(), 5u) << "another user's mail is gone";
}

TEST_F(DialogueTest, AFullTableOfDeletionsSaysSo) {
  for (const char* user : {"a", "b"}) {
    Dialogue dialogue = LoggedIn(user);
    for (int i = 1; i <= 5; ++i) dialogue.OnLine(absl::StrCat("DELE ", i));
    EXPECT_EQ(dialogue.OnLine("QUIT").text, "+OK bye\r\n");
  }
  Dialogue dialogue = LoggedIn("c");
  dialogue.OnLine("DELE 1");
  EXPECT_TRUE(absl::StartsWith(dialogue.OnLine("QUIT").text, "-ERR [SYS/PERM]"));
  EXPECT_EQ(LoggedIn("c").mailbox()->size(), 5u);
}

TEST_F(DialogueTest, RetrAndTopNameTheirMessage) {
  Dialogue dialogue = LoggedIn();
  Answer answer = dialogue.OnLine("RETR 3");
  EXPECT_EQ(answer.action, Action::kMessage);
  EXPECT_EQ(answer.index, 3u);
  EXPECT_EQ(answer.text, "+OK 5000 octets\r\n");
  answer = dialogue.OnLine("TOP 3 10");
  EXPECT_EQ(answer.action, Action::kMessage);
  EXPECT_EQ(answer.body_lines, 10u);
  EXPECT_TRUE(absl::StartsWith(dialogue.OnLine("TOP 3").text, "-ERR"));
  EXPECT_TRUE(absl::StartsWith(dialogue.OnLine("RETR x").text, "-ERR"));
}

TEST_F(DialogueTest, FaultsMisbehaveAsTheyAreNamed) {
  EXPECT_EQ(Make(ListenTls::kOff, Fault::kNoGreeting).Greet().action, Action::kStall);
  EXPECT_EQ(Make(ListenTls::kOff, Fault::kRstOnConnect).Greet().action, Action::kReset);
  EXPECT_EQ(Make(ListenTls::kOff, Fault::kErrGreeting).Greet().action, Action::kClose);
  EXPECT_FALSE(absl::StartsWith(Make(ListenTls::kOff, Fault::kBadGreeting).Greet().text, "+OK"));
  EXPECT_EQ(Make(ListenTls::kOff, Fault::kCloseAfterUser).OnLine("USER a").action, Action::kClose);
  const auto pass = [this](Fault fault) {
    Dialogue dialogue = Make(ListenTls::kOff, fault);
    dialogue.OnLine("USER a");
    return dialogue.OnLine("PASS b");
  };
  EXPECT_EQ(pass(Fault::kStallAfterPass).action, Action::kStall);
  EXPECT_TRUE(absl::StartsWith(pass(Fault::kRefuseLogin).text, "-ERR [AUTH]"));
  EXPECT_TRUE(absl::StartsWith(pass(Fault::kRefuseTemporarily).text, "-ERR [SYS/TEMP]"));
  EXPECT_TRUE(absl::StartsWith(pass(Fault::kInUse).text, "-ERR [IN-USE]"));
  EXPECT_EQ(pass(Fault::kLongReply).text.size(), 4000u);
}

TEST(ListenTest, TheSuffixChoosesTls) {
  const absl::StatusOr<Listen> listen = ParseListen("127.0.0.1:1995,implicit", ListenTls::kOff);
  ASSERT_TRUE(listen.ok());
  EXPECT_EQ(listen->tls, ListenTls::kImplicit);
  EXPECT_EQ(listen->address.ToString(), "127.0.0.1:1995");
  EXPECT_EQ(ParseListen("[::1]:110", ListenTls::kStls)->tls, ListenTls::kStls);
  EXPECT_FALSE(ParseListen("127.0.0.1:1995,tls", ListenTls::kOff).ok());
  EXPECT_FALSE(ParseListen("localhost", ListenTls::kOff).ok());
}

}  // namespace
}  // namespace postern::maildrop
