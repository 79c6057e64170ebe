// Drives a LoginDialogue the way a session does and writes down everything it decided, so that two
// ways of cutting the same input can be compared.
#ifndef POSTERN_TESTS_POP3_DIALOGUE_TRANSCRIPT_H_
#define POSTERN_TESTS_POP3_DIALOGUE_TRANSCRIPT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/pop3/login_dialogue.h"

namespace postern::pop3 {

inline constexpr char kTestChallenge[] = "<1234567890.9876543210@pop.example.net>";

// "reply:<text>", "starttls:<text>", "login:<method>:<user>:<secret>", "close:<reason>:<text>".
std::string Describe(const Decision& decision);

class DialogueTranscript {
 public:
  // `options` must outlive the transcript.
  DialogueTranscript(const DialogueOptions* options, bool tls_active);

  // Feeds one segment. Every login is refused; after a STARTTLS decision the handshake succeeds.
  void Feed(absl::string_view segment);

  const std::vector<std::string>& decisions() const { return decisions_; }
  bool ended() const { return ended_; }
  LoginDialogue& dialogue() { return dialogue_; }
  const std::string& pending() const { return pending_; }

 private:
  LoginDialogue dialogue_;
  std::string pending_;
  std::vector<std::string> decisions_;
  bool ended_ = false;
};

// The decisions for `input` cut at the given places.
std::vector<std::string> Decisions(const DialogueOptions& options, bool tls_active,
                                   const std::vector<absl::string_view>& segments);

}  // namespace postern::pop3

#endif  // POSTERN_TESTS_POP3_DIALOGUE_TRANSCRIPT_H_
