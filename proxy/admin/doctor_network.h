// Listeners and backends as `postern doctor` finds them when it talks to them.
#ifndef POSTERN_PROXY_ADMIN_DOCTOR_NETWORK_H_
#define POSTERN_PROXY_ADMIN_DOCTOR_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/admin/doctor_report.h"
#include "proxy/backend_probe.h"
#include "proxy/config/config.h"
#include "proxy/io/io.h"
#include "proxy/offer_book.h"
#include "routing/backend_state.h"
#include "tls/context.h"

namespace postern::admin {

// What was found at one address of a backend.
struct BackendFindings {
  ProbeAnswer answer;  // as it is configured
  // Not as it is configured: with a PROXY header where none is wanted, or without; its answer tells
  // which of the two would be right. Asked where `answer` makes one wonder.
  bool asked_otherwise = false;
  bool good_otherwise = false;
  std::shared_ptr<const pop3::CapabilityLines> capabilities;  // null: none were told
};

// One address of one backend: what is good, what is wrong and how to mend it.
void TellBackend(const config::Config& config, const config::Backend& backend,
                 const SocketAddress& address, const BackendFindings& findings, int64_t now_unix,
                 DoctorReport* report);

// Blocks; `io` is the caller's alone.
class NetworkDoctor {
 public:
  // Everything outlives the doctor.
  NetworkDoctor(const config::Config* config, io::Io* io, tls::Library* library, int64_t now_unix,
                DoctorReport* report);

  // `running`: the admin endpoint of a server has answered. `certificate_ends`: of those that the
  // files hold now.
  void CheckListeners(bool running, const std::vector<int64_t>& certificate_ends);
  void CheckBackends();
  // What CheckBackends() heard, compared within each pool and with what is offered.
  void CheckPools();

 private:
  // Whether the listener was there.
  bool CheckListener(const config::Listener& listener,
                     const std::vector<int64_t>& certificate_ends);
  void CheckBackend(size_t index);
  BackendFindings AskBackend(size_t index, const SocketAddress& address,
                             const tls::ClientContext* tls);

  const config::Config* config_;
  tls::Library* library_;
  const int64_t now_unix_;
  DoctorReport* report_;
  config::Timeouts timeouts_;
  BackendProbe probe_;
  routing::BackendStates states_;
  routing::BackendStateList list_;
  std::unique_ptr<OfferBook> offers_;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_DOCTOR_NETWORK_H_
