// One user's mail as one session sees it: the messages that were not deleted when it began,
// numbered from 1, and the marks DELE sets (RFC 1939 section 5).
//
// Several sessions of one user may run at once; none locks the others out. Holds a few words unless
// messages are deleted. Worker thread only.
#ifndef POSTERN_BENCH_MAILDROP_MAILBOX_H_
#define POSTERN_BENCH_MAILDROP_MAILBOX_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/maildrop/deletions.h"
#include "bench/maildrop/message.h"
#include "bench/maildrop/size_model.h"

namespace postern::maildrop {

struct MailboxOptions {
  std::string store;                // the name in headers and samples
  uint64_t messages = 10;           // of each user
  std::optional<SizeModel> counts;  // instead of `messages`
  SizeModel sizes;
  bool samples = false;  // the first messages are readable
  uint64_t seed = 1;

  // Of one user, before anything is deleted. `user_hash` is the StableHash() of the name.
  uint64_t CountOf(uint64_t user_hash) const;
};

class Mailbox {
 public:
  // Both outlive the mailbox.
  Mailbox(const MailboxOptions* options, Deletions* deletions, std::string user);

  const std::string& user() const { return user_; }
  // Messages in this session, marked ones included; `index` below counts from 1 to size().
  size_t size() const { return size_; }
  bool marked(size_t index) const { return !marks_.empty() && marks_[index - 1]; }
  void Mark(size_t index);
  void UnmarkAll() { marks_.clear(); }
  // What STAT answers: without the marked ones.
  void Stat(uint64_t* messages, uint64_t* octets) const;
  uint64_t Octets(size_t index) const;
  std::string UniqueIdOf(size_t index) const;
  MessageStream Open(size_t index, uint64_t body_lines) const;
  // Deletes what is marked. False when the store remembers no more deletions.
  bool Commit();

 private:
  uint64_t NumberOf(size_t index) const;
  MessageId IdOf(size_t index) const;
  bool IsSample(uint64_t number) const;

  const MailboxOptions* options_;
  Deletions* deletions_;
  std::string user_;
  uint64_t user_hash_;
  std::vector<uint32_t> gone_;  // numbers deleted before this session, in order
  size_t size_;
  std::vector<bool> marks_;
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_MAILBOX_H_
