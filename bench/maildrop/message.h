// Mail that nobody wrote: each message follows from (user, number, seed) alone, so a store needs no
// disk and a client can check every byte it fetched.
//
// A message is a header, an empty line and lines of text. Its header ends in
//
//   X-Postern-Message: lines SEED NUMBER OCTETS USERHASH CHECK
//
// where CHECK covers the header in front of it, and the rest says how to make the body again:
// MessageVerifier does, and compares. For a sample, `text` stands for `lines` and the body is
// covered by a checksum in SEED's place. Sans-I/O.
#ifndef POSTERN_BENCH_MAILDROP_MESSAGE_H_
#define POSTERN_BENCH_MAILDROP_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "bench/maildrop/body_lines.h"

namespace postern::maildrop {

// Which message, and how long. The name of a store colours the header only.
struct MessageId {
  absl::string_view user;
  absl::string_view store;
  uint64_t number = 1;  // counts from 1 and never changes, whatever was deleted
  uint64_t seed = 0;
  uint64_t octets = 0;  // before dot-stuffing; at least kMessageBytesMin
};

// The bits that decide size, unique id and text. `user_hash` is the StableHash() of the name.
uint64_t MessageBits(uint64_t user_hash, uint64_t number, uint64_t seed);
uint64_t MessageBits(absl::string_view user, uint64_t number, uint64_t seed);
// For UIDL: 16 hexadecimal digits.
std::string UniqueId(absl::string_view user, uint64_t number, uint64_t seed);

// A whole message on the wire: header, body, the final ".".
class MessageStream {
 public:
  static constexpr uint64_t kAllLines = UINT64_MAX;

  // `body_lines` bounds the body, for TOP.
  explicit MessageStream(const MessageId& id, uint64_t body_lines = kAllLines);
  // A sample: the text as it is, with its own header.
  MessageStream(const MessageId& id, absl::string_view subject, absl::string_view text,
                uint64_t body_lines = kAllLines);

  // Writes at most `capacity` bytes, at least 128; returns how many, 0 when all has been written.
  size_t Write(char* out, size_t capacity);
  // The final "." has been written.
  bool finished() const { return finished_; }

 private:
  std::string front_;  // header, or a whole sample
  size_t written_ = 0;
  BodyLines body_;
  uint64_t body_lines_;
  bool finished_ = false;
};

// The octets of a sample, as LIST counts them.
uint64_t SampleOctets(const MessageId& id, absl::string_view subject, absl::string_view text);

// Takes the answer to RETR behind its status line, in pieces of any size, and says whether it is
// what a synthetic store must send. Mail of another origin is only counted.
class MessageVerifier {
 public:
  enum class Verdict {
    kMore,        // so far, so good
    kVerified,    // whole, every byte right
    kUnverified,  // whole, but not from a synthetic store
    kCorrupt,     // problem() says what
  };

  explicit MessageVerifier(absl::string_view user);
  MessageVerifier(const MessageVerifier&) = delete;
  MessageVerifier& operator=(const MessageVerifier&) = delete;

  // *consumed: bytes that belong to the message; what is behind is the next answer.
  Verdict OnInput(absl::string_view wire, size_t* consumed);

  // A sentence. It may quote the message, printable characters only.
  const std::string& problem() const { return problem_; }
  // Of the message, once its header has been read; 0 before.
  uint64_t number() const { return number_; }

 private:
  enum class State : uint8_t { kHeader, kLines, kText, kForeign };
  Verdict OnHeader(absl::string_view header);
  Verdict CompareLines(absl::string_view wire, size_t* consumed);
  Verdict FinishText();
  Verdict Corrupt(absl::string_view problem);

  uint64_t user_hash_;
  State state_ = State::kHeader;
  std::string kept_;       // the header until it is whole; a sample's body
  size_t terminator_ = 2;  // how much of CR LF . CR LF has just been seen
  BodyLines body_{0, 0};
  absl::string_view expected_;  // of what must come next: shared text, or room_
  char room_[BodyLines::kLineBytesMax];
  bool end_expected_ = false;
  uint64_t number_ = 0;
  uint64_t body_octets_ = 0;
  uint64_t text_hash_ = 0;
  std::string problem_;
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_MESSAGE_H_
