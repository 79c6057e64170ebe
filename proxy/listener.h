// Where clients come in: one listening socket of one worker.
#ifndef POSTERN_PROXY_LISTENER_H_
#define POSTERN_PROXY_LISTENER_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/io/io.h"
#include "proxy/io/timer_wheel.h"

namespace postern {

// Opens, binds and listens on a TCP port; every worker opens its own (SO_REUSEPORT) and the kernel
// spreads the connections. `v6only` counts for IPv6. Errors say what to change ("address in use
// ...").
absl::StatusOr<int> OpenListeningSocket(const SocketAddress& address, bool v6only, int backlog);

class Listener;

// Whether nobody listens on `address` yet. Sockets that share a port (SO_REUSEPORT) let a second
// process of the same user in without a word, and it gets half of the connections: so whoever opens
// an address for the first time asks before. Asks again until `patience` is over, as what a killed
// process had open may outlive it for a moment. Blocks meanwhile.
absl::Status CheckUnused(const SocketAddress& address, bool v6only, DurationNs patience);

class ListenerOwner {
 public:
  virtual ~ListenerOwner() = default;
  virtual void OnAccepted(Listener* listener, int fd) = 0;
  // -errno of a failed accept; the listener tries again by itself.
  virtual void OnAcceptError(Listener* listener, int error) = 0;
  // Its socket is closed; it may be deleted.
  virtual void OnListenerStopped(Listener* listener) = 0;
};

// Accepts until it is stopped. Running out of descriptors leaves connections in the kernel's
// backlog and tries again a little later; it never spins. Worker thread only.
class Listener : public ListNode<Listener> {
 public:
  // `address` identifies the listener across reloads; `index` is its place in the configuration.
  Listener(io::Io* io, ListenerOwner* owner, std::string address, size_t index, int fd);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  void Start();
  void Stop();

  const std::string& address() const { return address_; }
  size_t index() const { return index_; }
  void set_index(size_t index) { index_ = index; }

 private:
  static void OnAccept(io::IoOp& op, void* owner);
  static void OnRetry(io::Timer& timer, void* owner);
  void Finish();

  io::Io* io_;
  ListenerOwner* owner_;
  std::string address_;
  size_t index_;
  int fd_;
  bool stopping_ = false;
  io::IoOp accept_;
  io::Timer retry_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_LISTENER_H_
