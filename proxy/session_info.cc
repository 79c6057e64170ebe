#include "proxy/session_info.h"

#include "proxy/session.h"

namespace postern {

absl::string_view Session::backend_name() const {
  if (backend_ < 0 || phase_ < Phase::kUpstreamLogin || phase_ > Phase::kRelay) return "";
  return config().backends[static_cast<size_t>(backend_)].name;
}

SessionInfo Session::Describe() const {
  SessionInfo info;
  info.id = id_;
  info.user = user_;
  info.client = client_address_.ToString();
  info.listener = listener().name;
  info.backend = std::string(backend_name());
  info.phase = phase_;
  info.accepted_at = accepted_at_;
  info.age = io_->Now() - accepted_at_;
  if (relay_.has_value()) {
    info.idle = io_->Now() - relay_->last_activity();
    info.bytes_from_client = relay_->bytes_from_client();
    info.bytes_to_client = relay_->bytes_from_upstream();
  }
  return info;
}

// The cheap questions come first: a walk asks them of every session.
bool Session::Matches(const SessionFilter& filter) const {
  if (filter.id.has_value() && *filter.id != id_) return false;
  // A login that waits, for a maildrop or in a line, keeps its phase and is in no table.
  if (filter.joined && !affine_ && !entered_) return false;
  if (filter.joined && (phase_ < Phase::kUpstreamLogin || phase_ > Phase::kRelay)) return false;
  if (!filter.user.empty() && filter.user != user_) return false;
  if (filter.group.has_value() && (user_.empty() || !filter.group->Has(user_))) return false;
  if (!filter.backend.empty() && filter.backend != backend_name()) return false;
  if (filter.network.has_value() && !filter.network->Contains(client_address_)) return false;
  return filter.users == nullptr || filter.users->contains(user_);
}

}  // namespace postern
