// What each listener promises its clients before the login (CAPA), out of what its backends were
// heard to say: by health checks that ask CAPA, and by logins.
//
// A listener with a list of its own, or a configuration with one, promises that list. Any other
// promises what every backend holds that it can lead to; one that was not heard yet counts as
// holding the default list, so that before anything is known the default list is promised. The
// proxy's own LOGIN-DELAY is merged into all of them. A mechanism that is carried to the backend is
// withheld where a backend of the listener was heard not to offer it.
//
// Any thread. Taking an offer is a pointer copy under a lock; they are made when a backend says
// something new.
#ifndef POSTERN_PROXY_OFFER_BOOK_H_
#define POSTERN_PROXY_OFFER_BOOK_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/pop3/capability.h"
#include "proxy/pop3/common_capabilities.h"
#include "routing/backend_state.h"

namespace postern {

class OfferBook {
 public:
  // `config` outlives the book. What the backends said is kept in `states`, in the order of
  // config->backends, so that a reload forgets nothing.
  OfferBook(const config::Config* config, routing::BackendStateList states);

  // Whether anything is to be learnt from a backend's answer.
  bool learns() const { return learns_; }
  // A backend has answered CAPA.
  void Learn(size_t backend, pop3::CapabilityLines lines);
  // Of one listener, now. Never null.
  std::shared_ptr<const pop3::Offer> Get(size_t listener) const;
  // How the backends of a pool differ in what they said, for people; empty when they do not.
  std::string Differences(size_t pool) const;

 private:
  // Listeners that lead to the same backends, and what these have in common.
  struct Group {
    std::vector<size_t> reachable;
    pop3::Offer common;  // withheld: of carried_
  };

  void Reconcile();
  void FindCommon(const std::vector<std::shared_ptr<const pop3::CapabilityLines>>& heard,
                  Group* group) const;

  const config::Config* const config_;
  const routing::BackendStateList states_;
  std::vector<Group> groups_;
  std::vector<size_t> group_of_;          // by listener
  std::vector<pop3::Mechanism> carried_;  // that any listener may offer
  bool learns_ = false;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const pop3::Offer>> offers_;  // by listener
  std::vector<std::string> differences_;                    // by pool
};

}  // namespace postern

#endif  // POSTERN_PROXY_OFFER_BOOK_H_
