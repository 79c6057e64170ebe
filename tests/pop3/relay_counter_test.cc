#include "proxy/pop3/relay_counter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace postern::pop3 {
namespace {

using Boundary = RelayCounter::Boundary;

// Everything the counter says, as one line.
std::string State(const RelayCounter& counter) {
  std::string text;
  for (const uint32_t count : counter.counts().commands) absl::StrAppend(&text, count, " ");
  return absl::StrCat(text, "messages=", counter.counts().messages_retrieved,
                      " quit=", counter.quit_sent() ? 1 : 0,
                      " boundary=", static_cast<int>(counter.boundary()),
                      " pending=", counter.response_pending() ? 1 : 0);
}

// One step of a session: bytes of one side.
struct Step {
  bool from_client;
  std::string bytes;
};

TEST(RelayCounter, CommandsInAnyCaseAreCountedByVerb) {
  RelayCounter counter;
  counter.OnClientBytes(
      "STAT\r\nlist\r\nLIST 1\r\nRetr 1\r\nDELE 1\nNOOP \r\nRSET\r\nTOP 1 0\r\nUIDL\r\n"
      "CAPA\r\nSTLS\r\n\r\nSTATS\r\n RETR 1\r\nTO\r\nQUITQUIT\r\nQUIT now\r\nSTAT");
  const RelayCounts& counts = counter.counts();
  EXPECT_EQ(counts.of(RelayCommand::kStat), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kList), 2u);
  EXPECT_EQ(counts.of(RelayCommand::kRetr), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kDele), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kNoop), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kRset), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kTop), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kUidl), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kCapa), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kQuit), 1u);
  EXPECT_EQ(counts.of(RelayCommand::kOther), 6u);
  EXPECT_FALSE(counter.quit_sent());
  counter.OnClientBytes(absl::string_view("\r\n\0TOP 1 0\r\n", 11));
  EXPECT_EQ(counts.of(RelayCommand::kTop), 1u);
}

TEST(RelayCounter, QuitIsAWholeLineAndNothingLess) {
  struct Case {
    absl::string_view bytes;
    bool quit;
  };
  const Case cases[] = {
      {"QUIT\r\n", true},
      {"QUIT\n", true},
      {"quit\r\n", true},
      {"QuIt  \r\n", true},
      {"QUIT\r", false},
      {"QUIT", false},
      {"QUI", false},
      {"QUIT x\r\n", false},
      {"QUITS\r\n", false},
      {" QUIT\r\n", false},
      {"QU IT\r\n", false},
      {"QUIT\rx\r\n", false},
      {"NOOP\r\nQUIT\r\n", true},
      {"RETR QUIT\r\n", false},
      {"QUIT\r\nSTAT\r\n", true},
      {"XQUIT\r\n", false},
      {absl::string_view("QUIT\0\r\n", 7), false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.bytes));
    RelayCounter counter;
    counter.OnClientBytes(c.bytes);
    EXPECT_EQ(counter.quit_sent(), c.quit);
    RelayCounter by_byte;
    for (size_t i = 0; i < c.bytes.size(); ++i) by_byte.OnClientBytes(c.bytes.substr(i, 1));
    EXPECT_EQ(State(by_byte), State(counter));
  }
}

TEST(RelayCounter, WhereAResponseEnds) {
  struct Case {
    const char* behaviour;
    absl::string_view command;
    absl::string_view response;
    Boundary boundary;
    uint32_t messages;
  };
  const Case cases[] = {
      {"nothing yet", "STAT\r\n", "", Boundary::kBetween, 0},
      {"half a status line", "STAT\r\n", "+OK 1", Boundary::kInside, 0},
      {"CR is no end", "STAT\r\n", "+OK 1\r", Boundary::kInside, 0},
      {"single line", "STAT\r\n", "+OK 1 2\r\n", Boundary::kBetween, 0},
      {"list begun", "LIST\r\n", "+OK\r\n", Boundary::kInside, 0},
      {"empty list", "LIST\r\n", "+OK\r\n.\r\n", Boundary::kBetween, 0},
      {"list", "LIST \r\n", "+OK\r\n1 120\r\n2 9\r\n.\r\n", Boundary::kBetween, 0},
      {"list of one", "LIST 1\r\n", "+OK 1 120\r\n", Boundary::kBetween, 0},
      {"uidl", "UIDL\r\n", "+OK\r\n1 abc\r\n", Boundary::kInside, 0},
      {"uidl of one", "UIDL 1\r\n", "+OK 1 abc\r\n", Boundary::kBetween, 0},
      {"capa", "CAPA\r\n", "+OK\r\nTOP\r\n.\r\n", Boundary::kBetween, 0},
      {"bare auth", "AUTH\r\n", "+OK\r\nPLAIN\r\n.\r\n", Boundary::kBetween, 0},
      {"auth with argument", "AUTH X\r\n", "+OK\r\n", Boundary::kBetween, 0},
      {"bare lang", "LANG\r\n", "+OK\r\nen\r\n.\r\n", Boundary::kBetween, 0},
      {"refused retr", "RETR 1\r\n", "-ERR no such message\r\n", Boundary::kBetween, 0},
      {"refused list", "LIST\r\n", "-ERR no\r\n", Boundary::kBetween, 0},
      {"retr begun", "RETR 1\r\n", "+OK\r\nSubject: x\r\n", Boundary::kInside, 0},
      {"retr", "RETR 1\r\n", "+OK\r\nSubject: x\r\n\r\nhi\r\n.\r\n", Boundary::kBetween, 1},
      {"empty message", "RETR 1\r\n", "+OK\r\n.\r\n", Boundary::kBetween, 1},
      {"top is no message", "TOP 1 0\r\n", "+OK\r\nSubject: x\r\n\r\n.\r\n", Boundary::kBetween, 0},
      {"stuffed dots", "RETR 1\r\n", "+OK\r\n..\r\n...\r\n..x\r\n", Boundary::kInside, 0},
      {"dot in a line", "RETR 1\r\n", "+OK\r\na.\r\n", Boundary::kInside, 0},
      {"dot and text", "RETR 1\r\n", "+OK\r\n.a\r\n", Boundary::kInside, 0},
      {"dot and two CRs", "RETR 1\r\n", "+OK\r\n.\r\r\n", Boundary::kInside, 0},
      {"half an end", "RETR 1\r\n", "+OK\r\nx\r\n.\r", Boundary::kInside, 0},
      {"status lines in the text", "RETR 1\r\n", "+OK\r\n+OK\r\n-ERR\r\nQUIT\r\n",
       Boundary::kInside, 0},
      {"bare LF server", "RETR 1\n", "+OK\nhi\n.\n", Boundary::kBetween, 1},
      {"bare LF text, proper end", "RETR 1\r\n", "+OK\r\nhi\n.\r\n", Boundary::kBetween, 1},
      {"bare LF dot in CRLF stream", "RETR 1\r\n", "+OK\r\nhi\n.\nmore", Boundary::kInside, 0},
      {"unasked good-bye", "", "-ERR Disconnected for inactivity\r\n", Boundary::kBetween, 0},
      {"half an unasked good-bye", "", "-ERR Disc", Boundary::kInside, 0},
      {"unasked +OK", "", "+OK\r\n", Boundary::kUnknown, 0},
      {"garbage", "STAT\r\n", "\x16\x03\x01", Boundary::kUnknown, 0},
      {"blank line", "STAT\r\n", "\r\n", Boundary::kUnknown, 0},
      {"text behind the end", "RETR 1\r\n", "+OK\r\n.\r\nmore\r\n", Boundary::kUnknown, 1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.behaviour);
    RelayCounter counter;
    counter.OnClientBytes(c.command);
    counter.OnServerBytes(c.response);
    EXPECT_EQ(counter.boundary(), c.boundary);
    EXPECT_EQ(counter.counts().messages_retrieved, c.messages);
    for (size_t cut = 0; cut <= c.response.size(); ++cut) {
      RelayCounter split;
      split.OnClientBytes(c.command);
      split.OnServerBytes(c.response.substr(0, cut));
      split.OnServerBytes(c.response.substr(cut));
      ASSERT_EQ(State(split), State(counter)) << cut;
    }
  }
}

TEST(RelayCounter, OutstandingCommandsArePending) {
  RelayCounter counter;
  EXPECT_FALSE(counter.response_pending());
  counter.OnClientBytes("STA");
  EXPECT_FALSE(counter.response_pending());
  counter.OnClientBytes("T\r\nNOOP\r\n");
  EXPECT_TRUE(counter.response_pending());
  counter.OnServerBytes("+OK 0 0\r\n");
  EXPECT_TRUE(counter.response_pending());
  EXPECT_EQ(counter.boundary(), Boundary::kBetween);
  counter.OnServerBytes("+OK\r\n");
  EXPECT_FALSE(counter.response_pending());
}

std::vector<Step> PipelinedSession() {
  const std::string message =
      "+OK 99 octets\r\nSubject: QUIT\r\n\r\n..\r\n+OK\r\n-ERR\r\nQUIT\r\n\n.x\r\n..\r\n.\r\n";
  return {
      {true, "CAPA\r\nstat\r\nLIST\r\nUIDL 2\r\n"},
      {false, "+OK\r\nTOP\r\n.\r\n+OK 2 240\r\n+OK\r\n1 120\r\n2 120\r\n.\r\n+OK 2 x\r\n"},
      {true, "RETR 1\r\nRETR 9\r\nTOP 1 3\nRETR 2\r\nDELE 1\r\n"},
      {false, message + "-ERR no such message\r\n" + message + message + "+OK\r\n"},
      {true, "QUIT\r\n"},
      {false, "+OK bye\r\n"},
  };
}

TEST(RelayCounter, PipelinedSessionByteByByteIsTheSameAsWhole) {
  RelayCounter whole;
  RelayCounter by_byte;
  for (const Step& step : PipelinedSession()) {
    if (step.from_client) {
      whole.OnClientBytes(step.bytes);
    } else {
      whole.OnServerBytes(step.bytes);
    }
    for (const char& c : step.bytes) {
      const absl::string_view byte(&c, 1);
      if (step.from_client) {
        by_byte.OnClientBytes(byte);
      } else {
        by_byte.OnServerBytes(byte);
      }
    }
    ASSERT_EQ(State(by_byte), State(whole));
    ASSERT_EQ(whole.boundary(), Boundary::kBetween);
  }
  EXPECT_EQ(whole.counts().messages_retrieved, 2u);
  EXPECT_TRUE(whole.quit_sent());
  EXPECT_FALSE(whole.response_pending());
}

TEST(RelayCounter, RemembersExactlySoManyCommandsAndThenSaysSo) {
  RelayCounter counter;
  // Around the ring more than once, with every kind in turn.
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < RelayCounter::kPendingMax; ++i) {
      counter.OnClientBytes(i % 3 == 0 ? "RETR 1\r\n" : i % 3 == 1 ? "UIDL\r\n" : "NOOP\r\n");
    }
    ASSERT_EQ(counter.boundary(), Boundary::kBetween);
    for (size_t i = 0; i < RelayCounter::kPendingMax; ++i) {
      counter.OnServerBytes(i % 3 == 2 ? "+OK\r\n" : "+OK\r\nx\r\n.\r\n");
      ASSERT_EQ(counter.boundary(), Boundary::kBetween);
    }
    ASSERT_FALSE(counter.response_pending());
    counter.OnClientBytes("NOOP\r\n");  // shifts the ring
    counter.OnServerBytes("+OK\r\n");
  }
  EXPECT_EQ(counter.counts().messages_retrieved, 5u * 43u);

  for (size_t i = 0; i < RelayCounter::kPendingMax; ++i) counter.OnClientBytes("NOOP\r\n");
  EXPECT_EQ(counter.boundary(), Boundary::kBetween);
  counter.OnClientBytes("NOOP\r\n");
  EXPECT_EQ(counter.boundary(), Boundary::kUnknown);
  EXPECT_FALSE(counter.response_pending());
  // It stays so, and commands are still counted.
  for (size_t i = 0; i < 200; ++i) counter.OnServerBytes("+OK\r\n");
  counter.OnClientBytes("QUIT\r\n");
  EXPECT_EQ(counter.boundary(), Boundary::kUnknown);
  EXPECT_EQ(counter.counts().of(RelayCommand::kQuit), 1u);
  EXPECT_TRUE(counter.quit_sent());
}

TEST(RelayCounter, QuitIsPendingUntilItsOwnAnswerIsWhole) {
  RelayCounter counter;
  counter.OnClientBytes("NOOP\r\nQUIT x\r\n");
  EXPECT_FALSE(counter.quit_pending());
  counter.OnClientBytes("UIDL\r\nQUIT\r\nQUIT\r\nNOOP\r\n");
  EXPECT_TRUE(counter.quit_pending());
  counter.OnServerBytes("+OK\r\n-ERR\r\n+OK\r\n1 a\r\n.\r\n+OK by");
  EXPECT_TRUE(counter.quit_pending());
  counter.OnServerBytes("e\r\n");
  EXPECT_FALSE(counter.quit_pending());
  EXPECT_TRUE(counter.response_pending());
  // What the server says without having been asked answers nothing.
  RelayCounter other;
  other.OnServerBytes("-ERR idle\r\n");
  other.OnClientBytes("QUIT\r\n");
  EXPECT_TRUE(other.quit_pending());
  other.OnServerBytes("nonsense");
  EXPECT_EQ(other.boundary(), Boundary::kUnknown);
  EXPECT_FALSE(other.quit_pending());
}

TEST(RelayCounter, LongLinesInBothDirections) {
  RelayCounter counter;
  const std::string long_line(10 << 20, 'x');
  counter.OnClientBytes("RETR ");
  counter.OnClientBytes(long_line);
  counter.OnClientBytes("\r\n");
  EXPECT_EQ(counter.counts().of(RelayCommand::kRetr), 1u);
  counter.OnServerBytes("+OK\r\n");
  counter.OnServerBytes(long_line);
  EXPECT_EQ(counter.boundary(), Boundary::kInside);
  counter.OnServerBytes("\r\n.\r\n");
  EXPECT_EQ(counter.boundary(), Boundary::kBetween);
  EXPECT_EQ(counter.counts().messages_retrieved, 1u);
}

// Of what has arrived all but the last kTailBytes may go by unseen: the end is found wherever the
// cuts are.
TEST(RelayCounter, FindsTheEndBehindSkippedBytes) {
  const std::string body =
      "Subject: x\r\n\r\n..\r\n.\r"
      "x\r\n.. a dot\r\n\n.\nlone\r\n..\r\n\r\n.\r\n";
  for (size_t arrived = 1; arrived <= body.size(); ++arrived) {
    for (size_t skip_from = 0; skip_from <= arrived; ++skip_from) {
      RelayCounter counter;
      counter.OnClientBytes("RETR 1\r\n");
      EXPECT_FALSE(counter.alone_in_body());
      counter.OnServerBytes("+OK\r\n");
      counter.OnServerBytes(absl::string_view(body).substr(0, skip_from));
      if (arrived - skip_from <= RelayCounter::kTailBytes) continue;
      ASSERT_TRUE(counter.alone_in_body());
      counter.SkipBody();
      const absl::string_view rest =
          absl::string_view(body).substr(arrived - RelayCounter::kTailBytes);
      counter.OnServerBytes(rest.substr(0, rest.size() - 1));
      ASSERT_EQ(counter.boundary(), Boundary::kInside) << arrived << " " << skip_from;
      counter.OnServerBytes(rest.substr(rest.size() - 1));
      ASSERT_EQ(counter.boundary(), Boundary::kBetween) << arrived << " " << skip_from;
      ASSERT_EQ(counter.counts().messages_retrieved, 1u);
    }
  }
}

TEST(RelayCounter, IsAloneInABodyOnlyWithoutAnotherCommand) {
  RelayCounter counter;
  counter.OnClientBytes("RETR 1\r\n");
  counter.OnServerBytes("+OK");
  EXPECT_FALSE(counter.alone_in_body()) << "the status line is no body";
  counter.OnServerBytes("\r\n");
  EXPECT_TRUE(counter.alone_in_body());
  counter.OnClientBytes("RETR 2\r\n");
  EXPECT_FALSE(counter.alone_in_body()) << "the next response may follow";
  counter.OnServerBytes(".\r\n+OK\r\nx");
  EXPECT_TRUE(counter.alone_in_body());
  counter.OnServerBytes("\r\n.\r\n");
  EXPECT_FALSE(counter.alone_in_body());
  counter.OnClientBytes("NOOP\r\n");
  EXPECT_FALSE(counter.alone_in_body());
}

TEST(RelayCounter, NamesFollowTheVerbs) {
  EXPECT_EQ(RelayCommandName(RelayCommand::kStat), "stat");
  EXPECT_EQ(RelayCommandName(RelayCommand::kTop), "top");
  EXPECT_EQ(RelayCommandName(RelayCommand::kQuit), "quit");
  EXPECT_EQ(RelayCommandName(RelayCommand::kOther), "other");
}

}  // namespace
}  // namespace postern::pop3
