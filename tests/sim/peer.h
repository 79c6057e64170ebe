// A peer of the code under test: one end of a virtual connection, with TLS when asked for.
//
// What a peer says is a list of steps carried out in order, each when the one before is done: text,
// pauses, ends, resets. Output leaves in chunks at the peer's own pace and waits while the window
// is full. Input is collected in heard(); subclasses react in OnHeard() and OnEnd(). All of it runs
// from scheduler actions; nothing blocks and nothing needs a thread.
#ifndef POSTERN_TESTS_SIM_PEER_H_
#define POSTERN_TESTS_SIM_PEER_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/time.h"
#include "tests/sim/sim_io.h"
#include "tls/engine.h"

namespace postern::sim {

class Peer {
 public:
  // How the other side ended, as seen first. On TLS kFin is an end without close_notify.
  enum class End { kNone, kFin, kCloseNotify, kReset, kTlsError };
  using EngineMaker = std::function<std::unique_ptr<tls::Engine>(ByteArena* output)>;

  struct Pace {
    size_t chunk_max = SIZE_MAX;  // bytes written at once
    DurationNs chunk_delay = 0;   // up to this long between chunks
    size_t read_max = SIZE_MAX;   // bytes read at once
    DurationNs read_delay = 0;    // up to this long between reads
  };

  Peer(SimIo* world, Endpoint* endpoint);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  virtual ~Peer();

  void set_pace(const Pace& pace) { pace_ = pace; }
  // The first call starts everything; it may come at any time after the connection was made.
  void Begin();

  // --- said in order ----------------------------------------------------------------------------

  // Text, encrypted when TLS is active by then.
  void Say(absl::string_view text);
  // Bytes past TLS.
  void SayRaw(absl::string_view wire);
  void Pause(DurationNs duration);
  // TLS only: the orderly end inside TLS; the connection stays open.
  void CloseNotify();
  void HalfClose();
  void Close();
  void Reset();
  void Do(std::function<void()> action);
  // Handshakes from here on. The engine is made when the step is reached.
  void StartTls(EngineMaker maker);

  // --- at once ----------------------------------------------------------------------------------

  void ResetNow();
  void CloseNow();
  // Stops or resumes reading; the window fills meanwhile.
  void SetReading(bool reading);

  const std::string& heard() const { return heard_; }
  End end() const { return end_; }
  bool closed() const { return endpoint_->closed(); }
  bool secured() const { return tls_ != nullptr && tls_->handshake_done(); }
  // Everything said has been handed to the network.
  bool output_done() const { return steps_.empty() && wire_.empty(); }
  // Writing failed: what was said since has not left.
  bool output_failed() const { return deaf_; }
  // We ended the connection with a reset, on purpose or by closing over unread bytes.
  bool closed_by_reset() const { return endpoint_->closed_by_reset(); }
  // The network broke this connection by an injected error.
  bool broken() const { return endpoint_->broken(); }
  uint64_t id() const { return endpoint_->id(); }

 protected:
  // More was added to heard().
  virtual void OnHeard() {}
  // end() has just become something else than kNone.
  virtual void OnEnd() {}

  SimIo* world() { return world_; }

 private:
  struct Step {
    enum class Kind { kText, kRaw, kPause, kCloseNotify, kHalfClose, kClose, kReset, kDo, kTls };
    Kind kind;
    std::string text;
    DurationNs duration = 0;
    std::function<void()> action;
    EngineMaker maker;
  };

  void Add(Step step);
  void After(DurationNs delay, void (Peer::*method)());
  void Changed();
  void Pump();
  void PumpNow();
  // Whether something was written and more may follow at once.
  bool PumpWire();
  // Carries out the first step; false when it has to wait.
  bool TakeStep();
  void ReadSome();
  void PacedRead();
  void Hear(absl::string_view bytes);
  void HearCiphertext(absl::string_view bytes);
  void DriveTls();
  void CollectOutput();
  void SetEnd(End end);
  void PumpSoon();

  SimIo* world_;
  Endpoint* endpoint_;
  std::shared_ptr<bool> alive_;
  Pace pace_;
  bool begun_ = false;
  bool reading_ = true;
  bool tls_due_ = false;  // what comes now is ciphertext, and the engine is not there yet
  bool read_scheduled_ = false;
  bool pump_scheduled_ = false;
  bool deaf_ = false;  // writing failed: what is still to be said is dropped
  TimeNs paused_until_ = 0;
  TimeNs write_not_before_ = 0;
  std::deque<Step> steps_;
  std::string wire_;
  std::string heard_;
  End end_ = End::kNone;
  BlockPool blocks_;
  ByteArena tls_output_{&blocks_};
  std::unique_ptr<tls::Engine> tls_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_PEER_H_
