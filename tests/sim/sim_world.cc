// What tests do to the simulated world: listeners, clients, backends.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "tests/sim/sim_io.h"

namespace postern::sim {

int SimIo::Listen(const SocketAddress& local) {
  Descriptor descriptor;
  descriptor.kind = Descriptor::Kind::kListener;
  descriptor.local = local;
  return NewDescriptor(std::move(descriptor));
}

Endpoint* SimIo::ConnectTo(const SocketAddress& listener, const SocketAddress& client) {
  Connection* connection = NewConnection();
  Endpoint* endpoint = NewEndpoint(connection);
  for (const auto& [fd, descriptor] : descriptors_) {
    if (descriptor->kind != Descriptor::Kind::kListener || !(descriptor->local == listener)) {
      continue;
    }
    descriptor->backlog.push_back(Descriptor::Waiting{connection, client});
    PokeAccept(fd);
    return endpoint;
  }
  connection->Reset(0);
  return endpoint;
}

SimIo::Backend* SimIo::FindBackend(const SocketAddress& address) {
  for (Backend& backend : backends_) {
    if (backend.address == address) return &backend;
  }
  return nullptr;
}

void SimIo::AddBackend(const SocketAddress& address, std::function<ConnectAnswer()> answer,
                       std::function<void(Endpoint*)> accepted) {
  RemoveBackend(address);
  backends_.push_back(Backend{address, std::move(answer), std::move(accepted)});
}

void SimIo::Abandon(io::IoOp* op) { Complete(op, -EBADF); }

void SimIo::RemoveBackend(const SocketAddress& address) {
  backends_.erase(
      std::remove_if(backends_.begin(), backends_.end(),
                     [&address](const Backend& backend) { return backend.address == address; }),
      backends_.end());
}

}  // namespace postern::sim
