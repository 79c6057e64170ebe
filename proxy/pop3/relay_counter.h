// Watches a session after login and counts, without touching a byte: commands by verb, messages
// retrieved, whether QUIT was sent, and whether the server's stream stands between two responses
// (its end is then a clean end) or inside one (its end is then a truncation).
//
// No I/O, no heap, under 100 bytes: one lives in every idle session. Message bodies cost one
// memchr per line. The counter follows pipelining and never guesses: when a peer leaves the
// protocol, or keeps more commands unanswered than it can remember, it says kUnknown from then on
// and goes on counting commands. Worker thread only.
#ifndef POSTERN_PROXY_POP3_RELAY_COUNTER_H_
#define POSTERN_PROXY_POP3_RELAY_COUNTER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::pop3 {

// In the order of the metric's label values.
enum class RelayCommand : uint8_t {
  kStat,
  kList,
  kRetr,
  kDele,
  kNoop,
  kRset,
  kTop,
  kUidl,
  kCapa,
  kQuit,
  kOther,
};
inline constexpr int kRelayCommandCount = static_cast<int>(RelayCommand::kOther) + 1;

// "stat", ..., "other": for logs.
absl::string_view RelayCommandName(RelayCommand command);

struct RelayCounts {
  std::array<uint32_t, kRelayCommandCount> commands{};  // whole lines sent by the client
  uint32_t messages_retrieved = 0;                      // RETR answered +OK, up to its last "."

  uint32_t of(RelayCommand command) const { return commands[static_cast<size_t>(command)]; }
};

class RelayCounter {
 public:
  enum class Boundary : uint8_t {
    kBetween,  // the last response is complete; others may be outstanding, see below
    kInside,   // a response has begun and has not ended
    kUnknown,  // lost track; stays so
  };

  // Everything the client sent behind its login, in order, pipelined bytes included. Must be called
  // for a command before OnServerBytes() is called for its response.
  void OnClientBytes(absl::string_view bytes);

  // Everything the server sent behind its answer to the login, in order.
  void OnServerBytes(absl::string_view bytes);

  // Inside the body of the one response that is outstanding: what the server says next is body or
  // its last line, so all of what has arrived but its end may go by unseen.
  bool alone_in_body() const {
    return !lost_ && pending_count_ == 0 && server_at_ >= ServerAt::kLineStart;
  }
  // The server's next bytes went by unseen. Only when alone_in_body(), and at least kTailBytes that
  // had arrived behind them are still to come to OnServerBytes(): the last line is never cut in
  // two, because nothing follows it.
  void SkipBody();
  // "\r\n.\r\n"
  static constexpr size_t kTailBytes = 5;

  // A whole QUIT line went by: QUIT in any case, spaces, CRLF or LF. It stays true whatever the
  // client says behind it, since the server acts on the QUIT.
  bool quit_sent() const { return quit_sent_; }

  // That QUIT is not wholly answered yet, so that nobody knows whether the deletions were carried
  // out. Always false once the boundary is unknown.
  bool quit_pending() const { return !lost_ && until_quit_answered_ > 0; }

  Boundary boundary() const;

  // A whole command is not yet wholly answered. Always false once the boundary is unknown.
  bool response_pending() const;

  const RelayCounts& counts() const { return counts_; }

  // Commands that may be unanswered at a time; mpop sends up to 100.
  static constexpr size_t kPendingMax = 128;

 private:
  enum class ClientAt : uint8_t { kVerb, kGap, kArgument };
  enum class ServerAt : uint8_t {
    kStart,      // of a response, nothing of it seen
    kStatus,     // in the status line
    kLineStart,  // of the lines behind it
    kLine,       // in one of them
    kDot,        // "." at the start of a line
    kDotCr,      // ".\r" at the start of a line
  };
  // What answers a command; two bits each in pending_.
  enum class Response : uint8_t { kSingle, kMulti, kMessage };

  void EndCommand();
  static RelayCommand CommandOf(uint32_t verb);
  Response ResponseTo(RelayCommand command) const;
  void Push(Response response);
  Response Pop();
  size_t TakeStatusBytes(absl::string_view bytes);
  void EndStatus(bool crlf);
  size_t TakeBodyBytes(absl::string_view bytes);
  void EndBody();

  RelayCounts counts_;
  std::array<uint8_t, kPendingMax / 4> pending_{};  // a ring
  uint32_t verb_ = 0;         // up to four letters of the current command, upper case
  uint8_t verb_letters_ = 0;  // 5: more than four
  uint8_t pending_first_ = 0;
  uint8_t pending_count_ = 0;
  uint8_t until_quit_answered_ = 0;  // responses that are outstanding, QUIT's the last of them
  ClientAt client_at_ = ClientAt::kVerb;
  ServerAt server_at_ = ServerAt::kStart;
  Response response_ = Response::kSingle;  // the one in whose body we are
  bool quit_sent_ = false;
  bool lost_ = false;
  bool status_ok_ = false;
  bool last_was_cr_ = false;        // the server's last byte, while in the status line
  bool server_speaks_crlf_ = true;  // the current response's status line ended so
};
static_assert(sizeof(RelayCounter) <= 100, "one lives in every idle session");

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_RELAY_COUNTER_H_
