// A small, faithful POP3 server as a value: bytes in, bytes out (RFC 1939, 2449, 5034).
//
// It writes down what a checker needs: every command, the credentials it was offered, each byte it
// answered after the login and where each answer ended, and whether QUIT came whole. Messages
// marked by DELE go when QUIT arrives, and only then.
#ifndef POSTERN_TESTS_SIM_MAILDROP_MODEL_H_
#define POSTERN_TESTS_SIM_MAILDROP_MODEL_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace postern::sim {

// What one user has on one backend, over all its sessions.
struct Maildrop {
  std::string password;
  std::vector<std::string> messages;  // not dot-stuffed
  std::set<size_t> deleted;           // indices, after a QUIT
  bool locked = false;                // by a session, or by somebody who is not in the farm
};

// All users of the farm. Shared by its backends, or one each.
class MaildropStore {
 public:
  // Contents are made from the user's name, so that a byte in the wrong session is recognised:
  // every line carries the name. They contain lines of a lone dot, "+OK", "-ERR" and "QUIT".
  void Add(const std::string& user, const std::string& password, size_t messages,
           size_t message_bytes);
  Maildrop* Find(const std::string& user);

 private:
  std::map<std::string, Maildrop> drops_;
};

struct MaildropOptions {
  std::string greeting = "+OK model ready\r\n";
  bool pipelining = true;  // in CAPA
  bool capa = true;
  bool stls = false;
  bool auth_plain = true;
  bool xclient = false;  // announced and believed
  // "<...@...>" behind the greeting, and APOP is taken; empty: it is not.
  std::string apop_challenge;
  bool locks = false;    // one session for each maildrop, the others hear IN-USE
  bool xoauth2 = false;  // the password is the token; a wrong one gets a challenge first
  // May log in as anybody by SASL PLAIN with an authorization id.
  std::string master_user;
  std::string master_password;
};

// What one connection to a backend was about.
struct MaildropRecord {
  std::string received;               // plaintext, all of it
  std::vector<std::string> commands;  // whole lines without their end
  std::vector<std::string> users_offered;
  std::vector<std::string> passwords_offered;
  std::string told_client;  // by XCLIENT, as "address:port"
  std::string user;         // logged in
  bool logged_in = false;
  size_t session_begin = 0;                   // offset in `received` of what came behind the login
  std::string answers;                        // everything said after the login's own +OK
  std::vector<size_t> answer_ends;            // offsets in `answers`
  std::vector<std::string> session_commands;  // those after the login
  bool quit = false;                          // received whole, after the login
  std::set<size_t> marked;
  std::set<size_t> committed;
};

class MaildropModel {
 public:
  enum class Event {
    kAnswer,    // send `text`
    kStartTls,  // send `text`, then shake hands
    kQuit,      // send `text`, then close
  };
  struct Answer {
    Event event = Event::kAnswer;
    std::string text;
    std::string verb;          // upper case, of the command that asked
    bool login = false;        // the verdict on credentials
    bool after_login = false;  // part of MaildropRecord::answers
  };

  MaildropModel(MaildropStore* store, const MaildropOptions& options)
      : store_(store), options_(options) {}

  std::string greeting() const;
  // Takes any piece of input; returns one answer per whole line in it.
  std::vector<Answer> OnInput(absl::string_view bytes);
  void OnTlsStarted() { options_.stls = false; }
  // The client is gone, or is being let go.
  void Unlock();

  const MaildropRecord& record() const { return record_; }

 private:
  Answer OnLine(const std::string& line);
  Answer BeforeLogin(const std::string& verb, const std::string& argument);
  Answer AfterLogin(const std::string& verb, const std::string& argument);
  Answer Xclient(const std::string& argument);
  Answer Apop(const std::string& argument);
  Answer Plain(const std::string& base64);
  Answer Xoauth2(const std::string& base64);
  Answer Login(const std::string& user, const std::string& password);
  Answer Refusal() const;
  Answer Accept(const std::string& user);
  Answer Retrieve(const std::string& argument, bool top);
  std::string Capabilities() const;
  // The message a command names, or npos.
  size_t Number(absl::string_view argument) const;

  MaildropStore* store_;
  MaildropOptions options_;
  Maildrop* drop_ = nullptr;
  bool has_lock_ = false;
  bool plain_pending_ = false;
  bool xoauth2_pending_ = false;
  bool xoauth2_refused_ = false;  // the error challenge waits for its empty answer
  std::string user_;
  std::string partial_;
  MaildropRecord record_;
};

// A message as RETR sends it: dot-stuffed, with the final ".".
std::string OnTheWire(const std::string& message);

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_MAILDROP_MODEL_H_
