// What happened in one simulated world, and the rules it must have kept.
//
// The history is plain data, so that the checker itself is tested with histories that lie.
#ifndef POSTERN_TESTS_SIM_HISTORY_H_
#define POSTERN_TESTS_SIM_HISTORY_H_

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/close_reason.h"
#include "proxy/base/time.h"
#include "tests/sim/maildrop_model.h"
#include "tests/sim/peer.h"
#include "tests/sim/scripted_server.h"

namespace postern::sim {

// One client, as it saw things itself.
struct ClientStory {
  std::string name;                    // for messages
  std::string address;                 // as "address:port"
  std::string user;                    // whom it says it is; unique in its world
  std::vector<std::string> passwords;  // in the order it tries them
  bool password_right = true;          // the last of them
  bool known = true;                   // some route knows the user
  bool may_log_in = true;              // nothing about its way of logging in forbids it
  std::string session_text;            // what it says after the login, if it gets there
  bool wants_quit = false;             // session_text holds a whole QUIT line
  bool quit_said = false;              // which the network took
  bool left_by_reset = false;
  bool broken = false;               // an injected error hit its connection
  bool logged_in = false;            // it heard +OK
  std::vector<std::string> replies;  // status lines it waited for
  std::string login_reply;
  std::string heard_after_login;
  Peer::End end = Peer::End::kNone;
  // What the proxy wrote down about it; kNone when there is no record.
  int records = 0;
  CloseReason reason = CloseReason::kNone;
  bool record_logged_in = false;
  std::string backend;   // of the session record
  DurationNs total = 0;  // likewise
};

// One connection to a backend.
struct ServerStory {
  std::string name;
  MaildropRecord record;
  ServerFault fault = ServerFault::kNone;
  bool struck = false;
  // With FarmSpec::shared_users: when it logged somebody in, and when it or we ended.
  size_t backend = 0;
  DurationNs logged_in_at = -1;
  DurationNs ended_at = -1;
  bool broken = false;
  bool wants_client = false;  // it is to be told who the client is
  std::string told_client;    // as "address:port"
};

struct History {
  std::vector<ClientStory> clients;
  std::vector<ServerStory> servers;
  std::string canary;  // the user of the health checks
  // A backend that vanished with the password is asked again.
  bool may_ask_again = false;
  bool errors_injected = false;  // operations failed out of nowhere
  bool drained = false;          // the proxy was told to stop while clients were there
  bool may_turn_away = false;    // so few sessions are allowed that some clients never get one
  size_t connections = 0;        // accepted by the proxy
  size_t records = 0;            // session records written
};

// One sentence per broken rule; empty when all is well.
std::vector<std::string> CheckHistory(const History& history);

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_HISTORY_H_
