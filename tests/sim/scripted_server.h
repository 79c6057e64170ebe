// A backend's side of one connection: the maildrop model behind a Peer, with one fault at most.
#ifndef POSTERN_TESTS_SIM_SCRIPTED_SERVER_H_
#define POSTERN_TESTS_SIM_SCRIPTED_SERVER_H_

#include <cstddef>
#include <string>

#include "tests/sim/maildrop_model.h"
#include "tests/sim/peer.h"

namespace postern::sim {

enum class ServerFault {
  kNone,
  // before the login
  kCloseAtAccept,
  kResetAtAccept,
  kNoGreeting,
  kSlowGreeting,  // after `delay`
  kErrGreeting,
  kGarbageGreeting,
  kHttpGreeting,
  kNulGreeting,
  kEndlessGreeting,
  kExtraGreeting,  // a second line behind the greeting
  kCloseAfterGreeting,
  kStlsRefused,
  kStlsExtraLine,
  kCapaEndless,
  kNoUserReply,
  kErrUser,
  kNoPassReply,
  kCloseAtPass,  // PASS (or AUTH) arrived, no answer
  kResetAtPass,
  kPassInUse,     // -ERR [IN-USE]
  kPassSysTemp,   // -ERR [SYS/TEMP]
  kPassLong,      // -ERR and 5000 letters
  kPassControls,  // -ERR with control bytes
  kPassGarbage,
  kPassSlow,        // after `delay`
  kPassExtraLines,  // +OK, and at once more lines than were asked for
  // after the login, counted in bytes of answers
  kCloseAt,
  kResetAt,
  kStallAt,
  kCloseAtQuit,       // QUIT arrived: gone without carrying it out
  kNoCloseAfterQuit,  // answers QUIT and leaves the connection open
};
inline constexpr int kServerFaultCount = static_cast<int>(ServerFault::kNoCloseAfterQuit) + 1;
const char* ServerFaultName(ServerFault fault);

struct ServerScript {
  ServerFault fault = ServerFault::kNone;
  size_t at = 0;                 // bytes, for kCloseAt, kResetAt, kStallAt
  DurationNs delay = 0;          // for the slow ones
  DurationNs refusal_delay = 0;  // before -ERR to a login, as servers do to those who guess
  bool clean_tls_end = false;    // close_notify in front of the FIN of kCloseAt
  bool implicit_tls = false;
  // Speaks only once it has read a PROXY header. Not with implicit TLS.
  bool proxy_header = false;
  MaildropOptions model;
  Peer::EngineMaker tls;  // needed for implicit TLS and STLS
  Peer::Pace pace;
};

class ScriptedServer : public Peer {
 public:
  ScriptedServer(SimIo* world, Endpoint* endpoint, MaildropStore* store, ServerScript script);

  void Start();
  const ServerScript& script() const { return script_; }
  const MaildropRecord& record() const { return model_.record(); }
  // The fault has been carried out.
  bool struck() const { return struck_; }
  // The client that it was told of, as "address:port"; empty when it was told of none.
  const std::string& told_client() const { return told_client_; }
  // Bytes of the record's answers that were handed to the connection.
  size_t answered() const { return answered_; }

 protected:
  void OnHeard() override;
  void OnEnd() override;

 private:
  bool ReadProxyHeader();
  void Greet();
  void Perform(const MaildropModel::Answer& answer);
  void PerformLogin(const MaildropModel::Answer& answer);
  // Says an answer after the login, up to the byte where the fault strikes.
  void SayAnswer(const std::string& text);
  bool Strike(ServerFault fault);

  ServerScript script_;
  MaildropModel model_;
  std::string told_client_;
  size_t used_ = 0;  // bytes of heard() given to the model
  size_t answered_ = 0;
  bool struck_ = false;
  bool silent_ = false;  // says nothing any more
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_SCRIPTED_SERVER_H_
