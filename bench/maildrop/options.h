// What postern-maildrop can be told on its command line.
#ifndef POSTERN_BENCH_MAILDROP_OPTIONS_H_
#define POSTERN_BENCH_MAILDROP_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/maildrop/mailbox.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/io/make_io.h"
#include "tls/options.h"

namespace postern::maildrop {

enum class ListenTls { kOff, kStls, kImplicit };
absl::string_view Name(ListenTls tls);

struct Listen {
  SocketAddress address;
  ListenTls tls = ListenTls::kOff;
};

// Ways to misbehave, for whoever tests a proxy or a client against this store.
enum class Fault {
  kNone,
  kNoGreeting,         // accepts and says nothing
  kBadGreeting,        // greets in another protocol
  kErrGreeting,        // greets with -ERR
  kCloseOnConnect,     // ends the connection at once
  kRstOnConnect,       // resets it
  kCloseAfterUser,     // ends it instead of answering USER
  kStallAfterPass,     // never answers PASS
  kRefuseLogin,        // -ERR [AUTH] for every password
  kRefuseTemporarily,  // -ERR [SYS/TEMP]
  kInUse,              // -ERR [IN-USE]
  kLongReply,          // a status line of 4000 octets to PASS
  kStallMidRetr,       // stops in the middle of a message
  kCloseMidRetr,       // ends the connection there
  kRstMidRetr,         // resets it there
  kNoTerminator,       // leaves out the final dot of RETR and ends the connection
};
// The names for --fault, in order.
const std::vector<std::pair<std::string, Fault>>& FaultNames();

struct Options {
  std::vector<Listen> listen;
  tls::CertificateFiles certificate;
  MailboxOptions mailbox;
  std::string password;  // empty: every password is right but wrong_password
  std::string wrong_password = "wrong";
  bool apop = false;
  bool pipelining = true;
  std::vector<std::string> capabilities;  // replaces the lines of CAPA that are fixed
  bool xclient = false;
  bool proxy_protocol = false;  // every connection begins with a header
  // Waits before the answer.
  DurationNs greeting_latency = 0;
  DurationNs user_latency = 0;
  DurationNs pass_latency = 0;  // to any login
  DurationNs list_latency = 0;  // to STAT, LIST and UIDL
  DurationNs retr_latency = 0;  // to RETR and TOP
  DurationNs quit_latency = 0;
  DurationNs idle_timeout = 600 * kSecond;
  Fault fault = Fault::kNone;
  uint32_t fault_percent = 100;  // of the sessions
  int threads = 1;
  io::IoKind io = io::IoKind::kAuto;
  size_t sessions_max = 1000000;  // of one thread
  int backlog = 4096;
  int mss = 0;  // octets of a TCP segment, with its options; 0: what the path allows
  size_t deletions_max = 1000000;
  bool quiet = false;
  bool verbose = false;
};

// Parses the command line. Errors are sentences. When the program is to end at once and well
// (--help), *exit_code is set and the value is of no use.
absl::StatusOr<Options> ParseCommandLine(int argc, char** argv, int* exit_code);

// "127.0.0.1:1110" or "127.0.0.1:1995,implicit"; `tls` is what counts without the suffix.
absl::StatusOr<Listen> ParseListen(absl::string_view text, ListenTls tls);

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_OPTIONS_H_
