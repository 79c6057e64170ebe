// What an operator says about one lookup, whatever asks it, and what a kind of source is like.
#ifndef POSTERN_ROUTING_LOOKUP_LOOKUP_OPTIONS_H_
#define POSTERN_ROUTING_LOOKUP_LOOKUP_OPTIONS_H_

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "proxy/base/time.h"
#include "routing/lookup/source.h"

namespace postern::routing {

struct LookupOptions {
  std::string name;   // metric label
  std::string title;  // what logs call it; empty: lookup and its name
  // What follows from its silence, for logs; empty: logins wait.
  std::string silence;
  DurationNs timeout = 3 * kSecond;        // of one question, the wait for its turn included
  int connections = 4;                     // threads that ask at the same time
  size_t queue_max = 1000;                 // who else may wait; beyond: kTemporary at once
  DurationNs ttl = 60 * kSecond;           // kFound is remembered; 0: not
  DurationNs negative_ttl = 10 * kSecond;  // kUnknown and kForbidden are; 0: not
  DurationNs stale = 600 * kSecond;        // after `ttl`, used when there is no new answer
  size_t entries = 100000;                 // remembered answers, at most
  int breaker_failures = 5;                // in a row; then nobody is asked but a probe
  DurationNs breaker_probe = kSecond;      // between two probes
};

// What the answers of a source depend on, and what they are worth. Its factory says it.
struct LookupTraits {
  // The source sees the password, or the digest with its challenge, and kFound says that it is
  // good. Otherwise it only knows users, and we or a backend judge: an answer with a login_secret
  // is then that of the user, and what the client shows must match it.
  bool judges_credentials = false;
  // Who shows a digest (APOP, CRAM-MD5) can be judged: by the source, or by the secret it answers.
  bool judges_digests = false;
  // The answer may depend on who connects: address, listener, TLS, name asked for.
  bool sees_client = false;
};

// Makes a source for one thread, on that thread.
using LookupFactory = std::function<std::unique_ptr<LookupSource>()>;

// Stands for a question in tables. Nobody without the digest's key can find two questions with the
// same one.
struct LookupKey {
  std::array<char, 16> bytes{};
  friend bool operator==(const LookupKey& a, const LookupKey& b) { return a.bytes == b.bytes; }
  template <typename H>
  friend H AbslHashValue(H state, const LookupKey& key) {
    return H::combine(std::move(state), key.bytes);
  }
};

// A keyed digest of a message: HMAC with a random key of this process. Any thread.
using LookupDigest = std::function<LookupKey(absl::string_view message)>;

// The key of a question: user, method and credential for sources that judge credentials, the
// client's side for those that see it. Nothing else of the question counts.
LookupKey KeyOf(const LookupQuestion& question, const LookupTraits& traits,
                const LookupDigest& digest);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_LOOKUP_OPTIONS_H_
