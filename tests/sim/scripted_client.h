// A client that follows a script and writes down what it was told.
//
//   ScriptedClient client(&io, io.ConnectTo(listener, address));
//   client.Expect();                                  // greeting
//   client.Send("USER anna\r\nPASS secret\r\n");      // any split: see Peer::Pace
//   client.Expect(2);
//   client.ExpectLogin();  ...
//   client.Begin();
//
// Steps wait for replies only where the script says so, so that pipelining is the normal case.
#ifndef POSTERN_TESTS_SIM_SCRIPTED_CLIENT_H_
#define POSTERN_TESTS_SIM_SCRIPTED_CLIENT_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/peer.h"

namespace postern::sim {

class ScriptedClient : public Peer {
 public:
  ScriptedClient(SimIo* world, Endpoint* endpoint) : Peer(world, endpoint) {}

  // --- the script -------------------------------------------------------------------------------

  void Send(std::string text);
  // Sends what `make` returns when the step is reached: for answers to a challenge.
  void SendMade(std::function<std::string()> make);
  // Sets `*flag` when everything said before has been taken by the network.
  void Mark(bool* flag);
  // Waits for so many status lines.
  void Expect(size_t lines = 1);
  // Waits for the status line that answers the login. If it refuses, the rest of the script is
  // skipped up to the next Otherwise().
  void ExpectLogin();
  // Waits for a status line and, when it is +OK, for everything up to the lone dot.
  void ExpectMultiline();
  // Waits for so many bytes in heard(), whatever they are.
  void ExpectBytes(size_t bytes);
  // Where a refused login goes on. An accepted one skips from here to the end of the script.
  void Otherwise();
  // Only if the last status line was +OK; else the connection is closed.
  void SecureAfterOk(EngineMaker maker);
  // Implicit TLS: from the first byte.
  void Secure(EngineMaker maker);
  void Wait(DurationNs duration);
  void StopReadingFor(DurationNs duration);
  void EndTls();
  void EndOutput();  // half-close
  void Leave();      // close
  void Abort();      // reset
  void WaitForEnd();

  // --- the story --------------------------------------------------------------------------------

  // Every status line heard where the script expected one, without its line end.
  const std::vector<std::string>& replies() const { return replies_; }
  bool logged_in() const { return logged_in_; }
  // The status line that answered the login; empty when none came.
  const std::string& login_reply() const { return login_reply_; }
  // What came behind the +OK of the login, as far as it came.
  std::string heard_after_login() const {
    return logged_in_ ? heard().substr(login_end_) : std::string();
  }
  // The script has come to its end.
  bool finished() const { return finished_; }

 protected:
  void OnHeard() override { Go(); }
  void OnEnd() override;

 private:
  struct Step {
    enum class Kind {
      kSend,
      kSendMade,
      kMark,
      kExpect,
      kExpectLogin,
      kExpectMultiline,
      kExpectBytes,
      kOtherwise,
      kSecureAfterOk,
      kSecure,
      kWait,
      kStopReading,
      kEndTls,
      kEndOutput,
      kLeave,
      kAbort,
      kWaitForEnd,
      kStart
    };
    Kind kind;
    std::string text;
    size_t count = 0;
    DurationNs duration = 0;
    EngineMaker maker;
    std::function<std::string()> make;
    bool* flag = nullptr;
  };

  void Add(Step step);
  // Carries the script on as far as it goes.
  void Go();
  // False: the step is not done yet.
  bool Take(Step& step);
  bool TakeStatusLine();
  bool TakeMultiline();
  void SkipToOtherwise();

  std::deque<Step> steps_;
  std::vector<std::string> replies_;
  size_t parsed_ = 0;          // bytes of heard() that are accounted for
  bool body_pending_ = false;  // inside a multi-line answer
  bool going_ = false;
  bool logged_in_ = false;
  bool finished_ = false;
  bool started_ = false;
  size_t login_end_ = 0;
  std::string login_reply_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_SCRIPTED_CLIENT_H_
