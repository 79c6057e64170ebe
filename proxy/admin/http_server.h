// The admin endpoint: metrics, health and status over HTTP.
//
//   GET /metrics         Prometheus text format 0.0.4
//   GET /healthz         200 "ok" while the process can answer and none of its workers is stalled
//   GET /readyz          200 "ready", or 503 and the reasons, one per line
//   GET /api/v1/status   JSON for programs and for the page below
//   GET /                the status page
//   POST /api/v1/...     changes, see change_api.h and backend_api.h; users and sessions, see
//                        operator_api.h
//   anything else        404 and {"error": ...}
//
// It knows nothing of the server it tells about: the answers come from callbacks. Reading numbers
// asks for no password, so the address should be loopback or a unix socket; see IsLocalOnly().
//
// Limits: a request is at most 16 KiB, its body 8 KiB; reading one and writing an answer each have
// a total deadline that dripping bytes do not extend. As many requests are served at a time as
// there are threads, further connections wait in the kernel's queue.
#ifndef POSTERN_PROXY_ADMIN_HTTP_SERVER_H_
#define POSTERN_PROXY_ADMIN_HTTP_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "proxy/base/time.h"
#include "proxy/config/overlay.h"
#include "proxy/operator_actions.h"
#include "routing/backend_state.h"

namespace postern::admin {

struct Readiness {
  bool ready = true;
  std::vector<std::string> reasons;  // sentences without secrets; why not ready
};

struct BackendChange {
  enum class What { kService, kWeight };

  std::string backend;
  What what = What::kService;
  routing::Service service = routing::Service::kEnabled;
  int weight = routing::BackendWeight::kAsConfigured;
  std::string who;     // escaped
  std::string reason;  // escaped; empty when none was given
  // kDraining: its sessions end one by one over this time; 0: they may stay.
  DurationNs over = 0;
};

// NotFound when there is no such backend.
using ChangeHandler = std::function<absl::Status(const BackendChange& change)>;

// Backends that come and go. NotFound names what there is not, InvalidArgument is a mistake in the
// question, FailedPrecondition says why it cannot be now, Aborted that somebody is still there.
struct BackendHandlers {
  std::function<absl::Status(const config::AddedBackend& wanted)> add;
  std::function<absl::Status(const std::string& name, const Signature& by)> remove;
};

// Called on the endpoint's threads, several at a time except `metrics`, which is never called twice
// at once: however many scrape, it costs one core at most. An exception becomes a 500.
struct AdminHandlers {
  std::function<std::string()> metrics;
  std::function<Readiness()> healthy;  // may be empty: always healthy
  std::function<Readiness()> ready;
  std::function<std::string()> status_json;
  ChangeHandler change;                // may be empty: nothing can be changed
  BackendHandlers backends;            // both or neither
  OperatorActions* actions = nullptr;  // null: users and sessions are nobody's business
};

struct AdminOptions {
  std::string address = "127.0.0.1:9110";  // "IP:port", "[IPv6]:port" or "unix:/path"; port 0: any
  std::shared_ptr<const Secret> token;     // for changes over TCP; null: there are none
  int threads = 4;
  DurationNs read_timeout = 5 * kSecond;    // first byte of a request to its last
  DurationNs write_timeout = 10 * kSecond;  // a whole answer; Prometheus waits 10 s, too
  DurationNs idle_timeout = 5 * kSecond;    // between requests; less when others wait
};

// Whether only this machine can reach the address: loopback or a unix socket. False for anything
// that is not an address.
bool IsLocalOnly(absl::string_view address);

// Start() and Stop() belong to one thread, any. Stop() may be called twice; the destructor calls
// it.
class AdminServer {
 public:
  AdminServer(AdminOptions options, AdminHandlers handlers);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Listens and starts the threads; at most once. The error is a sentence for the operator: the
  // address cannot be read, is in use, may not be used, or is a file that is no socket. A unix
  // socket nobody listens on any more is replaced; the new one has mode 0660.
  absl::Status Start();

  // Ends the requests in progress, joins the threads, removes the unix socket.
  void Stop();

  // The port in use, also when the address said 0; 0 for unix sockets and before Start().
  uint16_t port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_HTTP_SERVER_H_
