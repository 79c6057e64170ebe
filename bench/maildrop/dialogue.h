// The store's side of a POP3 session, sans-I/O: a command line in, what to answer out (RFC 1939,
// 2449, 2595, 5034). Worker thread only.
#ifndef POSTERN_BENCH_MAILDROP_DIALOGUE_H_
#define POSTERN_BENCH_MAILDROP_DIALOGUE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/maildrop/client_facts.h"
#include "bench/maildrop/deletions.h"
#include "bench/maildrop/mailbox.h"
#include "bench/maildrop/options.h"
#include "proxy/base/time.h"

namespace postern::maildrop {

enum class Action : uint8_t {
  kReply,     // send `text`
  kMessage,   // send `text`, then message `index` with `body_lines` lines of its body
  kListing,   // send `text`, then all messages: sizes, or unique ids
  kStartTls,  // send `text`, then shake hands
  kClose,     // send `text`, then end the connection
  kReset,     // reset the connection
  kStall,     // say nothing any more
};

struct Answer {
  Action action = Action::kReply;
  std::string text;
  DurationNs pause = 0;  // wait this long first
  size_t index = 0;
  uint64_t body_lines = 0;
  bool unique_ids = false;
};

class Dialogue {
 public:
  // RFC 2449 allows 255; a SASL response may need more (RFC 5034): 12 KiB in base64, and a name.
  static constexpr size_t kLineBytesMax = 20480;

  // `fault` is what this session does wrong. `challenge` is the APOP one, empty when not offered.
  // All pointers outlive the dialogue.
  Dialogue(const Options* options, Deletions* deletions, ListenTls tls, Fault fault,
           std::string challenge);

  // What to do when a client has come.
  Answer Greet() const;
  // `line` comes without its line end.
  Answer OnLine(absl::string_view line);
  void OnTlsStarted();
  // What a PROXY protocol header said.
  void SetClientFacts(const ClientFacts& facts);

  // Null before login.
  const Mailbox* mailbox() const { return mailbox_ ? &*mailbox_ : nullptr; }
  // Null when nobody said anything about the client.
  const ClientFacts* client_facts() const { return client_facts_.get(); }
  Fault fault() const { return fault_; }

 private:
  Answer BeforeLogin(absl::string_view verb, absl::string_view argument);
  Answer AfterLogin(absl::string_view verb, absl::string_view argument);
  Answer Capa() const;
  Answer Xclient(absl::string_view words);
  Answer User(absl::string_view name);
  Answer Auth(absl::string_view argument);
  Answer Plain(absl::string_view base64);
  Answer Apop(absl::string_view argument);
  Answer Login(absl::string_view user, bool right);
  Answer List(absl::string_view argument, bool unique_ids);
  Answer Retrieve(absl::string_view argument, bool top);
  Answer Stat() const;
  Answer Delete(absl::string_view argument);
  Answer Quit();
  bool IsRight(absl::string_view password) const;
  // The message `argument` names, nothing when there is none.
  std::optional<size_t> Index(absl::string_view argument) const;

  const Options* options_;
  Deletions* deletions_;
  bool stls_;
  Fault fault_;
  std::string challenge_;
  std::string user_;
  bool plain_expected_ = false;
  std::optional<Mailbox> mailbox_;
  std::unique_ptr<ClientFacts> client_facts_;
};

// Lines of LIST or UIDL from message *index on, up to `bytes_max` (at least 64); moves *index on.
// Ends with the final "." and *index behind the last message.
std::string ListingPart(const Mailbox& mailbox, bool unique_ids, size_t bytes_max, size_t* index);

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_DIALOGUE_H_
