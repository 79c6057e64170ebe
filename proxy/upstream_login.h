// The backend's half of a login: connect, TLS, greeting, credentials, verdict. One backend, one
// attempt; who tries which backend next is the session's business.
#ifndef POSTERN_PROXY_UPSTREAM_LOGIN_H_
#define POSTERN_PROXY_UPSTREAM_LOGIN_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "metrics/worker_stats.h"
#include "proxy/base/secret.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/channel.h"
#include "proxy/config/config.h"
#include "proxy/coro/task.h"
#include "proxy/pop3/client_identity.h"
#include "tls/context.h"

namespace postern {

class OfferBook;

// What a worker remembers of a backend from one login to the next. Worker thread only.
struct BackendMemory {
  bool pipelining = false;  // its CAPA said PIPELINING
  bool knows_capa = false;  // it did not refuse the command
  TimeNs capa_read_at = 0;  // 0: never
};

// How far an attempt goes. Sessions log in; health checks may stop before.
enum class UpstreamGoal { kConnected, kGreeted, kSecured, kCapabilities, kLoggedIn };

// Everything one attempt needs. The session owns it all; it outlives the attempt.
struct UpstreamAttempt {
  UpstreamAttempt(Channel* upstream_channel, const config::Backend* backend_config,
                  const config::Timeouts* timeouts_config, const tls::ClientContext* tls_context,
                  metrics::BackendStats* backend_stats, BackendMemory* backend_memory)
      : channel(upstream_channel),
        backend(backend_config),
        timeouts(timeouts_config),
        tls(tls_context),
        stats(backend_stats),
        memory(backend_memory) {}

  Channel* channel;
  const config::Backend* backend;
  const config::Timeouts* timeouts;
  const tls::ClientContext* tls;  // null when the backend speaks plain
  metrics::BackendStats* stats;
  BackendMemory* memory;
  SocketAddress address;
  UpstreamGoal goal = UpstreamGoal::kLoggedIn;
  TimeNs deadline = kNever;  // the client's own
  absl::string_view user;
  absl::string_view authorization_id;  // set for a master login: the user; `user` is the master
  absl::string_view password;
  std::string made_user;  // what `user` points to when it was made of two names
  // The password is not the one that the client has shown: nothing of it may reach the client.
  bool foreign_password = false;
  // Where the backend takes the client's own mechanism: its name, and the first message in base64
  // when the exchange is carried.
  absl::string_view mechanism;
  absl::string_view sasl_message;
  absl::string_view sasl_response;  // the one under way, while it is
  // Whom we speak for and the session's name, for backends that want to know.
  pop3::ClientIdentity identity;
  std::string session;
  // Where an answer to CAPA is noted, under which number; null: nowhere.
  OfferBook* offers = nullptr;
  size_t backend_index = 0;
  std::string* greeting = nullptr;  // where to write the greeting's line down; null: nowhere
  // What the backend said when an attempt with the goal kSecured opened the connection, which then
  // has waited: it goes on from there. Empty: the connection is to be opened.
  std::string opened_with;
  // A refusal leaves the channel as it is, for another attempt that goes on from there.
  bool stays = false;
  // APOP: the answer of `user` to the challenge in `opened_with`; empty: another way to log in.
  absl::string_view apop_digest;
};

struct UpstreamVerdict {
  enum class Kind {
    kAccepted,   // the goal is reached
    kRefused,    // the backend judged the credentials
    kFailed,     // no verdict; `error` says why
    kChallenge,  // of a carried exchange: `reply` is for the client, whose answer it needs
  };
  UpstreamVerdict() = default;

  Kind kind = Kind::kFailed;
  metrics::UpstreamError error = metrics::UpstreamError::kLocal;
  std::string reply;           // the backend's line to the client, cleaned, with CRLF
  std::string detail;          // for the log; no peer text that was not escaped, no secret
  bool password_sent = false;  // from here on nobody else may be offered it
  bool retry_same = true;      // kFailed: whether the same backend is worth another try
};

// On kAccepted the channel is as far as the goal said, logged in by default, and may hold bytes the
// backend sent behind its verdict; on any other verdict it has been stopped and waits to be closed
// (but see UpstreamAttempt::stays).
coro::Task<UpstreamVerdict> LogInUpstream(UpstreamAttempt* attempt);

// After kChallenge: gives the backend the client's answer, base64 or "*". Until then the channel
// waits without a deadline. The same rules as above.
coro::Task<UpstreamVerdict> AnswerChallenge(UpstreamAttempt* attempt, absl::string_view response);

}  // namespace postern

#endif  // POSTERN_PROXY_UPSTREAM_LOGIN_H_
