#include "proxy/name_client.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/srv_records.h"

namespace postern {
namespace {

// c-ares doubles it for the second try: three seconds in all.
constexpr int kTimeoutMs = 1000;
constexpr int kTries = 2;

// One name on its way; c-ares holds a pointer to it until the callback.
struct HostQuery {
  std::string host;
  uint16_t port = 0;
  bool done = false;
  int status = ARES_SUCCESS;
  std::vector<SocketAddress> found;
  DurationNs ttl = 0;
};

struct SrvQuery {
  std::string name;
  bool done = false;
  std::string error;
  std::vector<SrvRecord> records;
};

// The shorter of two lives, where 0 is no knowledge.
DurationNs Shorter(DurationNs a, DurationNs b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

void OnAddresses(void* argument, int status, int, ares_addrinfo* result) {
  auto* query = static_cast<HostQuery*>(argument);
  query->done = true;
  query->status = status;
  if (result == nullptr) return;
  for (const ares_addrinfo_node* node = result->nodes; node != nullptr; node = node->ai_next) {
    query->found.emplace_back(node->ai_addr, static_cast<socklen_t>(node->ai_addrlen))
        .set_port(query->port);
    query->ttl = Shorter(query->ttl, static_cast<DurationNs>(node->ai_ttl) * kSecond);
  }
  for (const ares_addrinfo_cname* alias = result->cnames; alias != nullptr; alias = alias->next) {
    query->ttl = Shorter(query->ttl, static_cast<DurationNs>(alias->ttl) * kSecond);
  }
  ares_freeaddrinfo(result);
}

void OnSrv(void* argument, int status, int, unsigned char* message, int length) {
  auto* query = static_cast<SrvQuery*>(argument);
  query->done = true;
  if (status != ARES_SUCCESS) {
    query->error = ares_strerror(status);
    return;
  }
  auto records = ParseSrvAnswer(
      absl::string_view(reinterpret_cast<const char*>(message), static_cast<size_t>(length)));
  if (records.ok()) {
    query->records = *std::move(records);
  } else {
    query->error = std::string(records.status().message());
  }
}

// What other services of the machine know (nsswitch.conf).
void AskTheMachine(HostQuery* query) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (getaddrinfo(query->host.c_str(), nullptr, &hints, &list) != 0) return;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    query->found.emplace_back(entry->ai_addr, entry->ai_addrlen).set_port(query->port);
  }
  freeaddrinfo(list);
}

}  // namespace

std::vector<SocketAddress> InFixedOrder(const std::vector<SocketAddress>& found) {
  std::vector<SocketAddress> ordered = found;
  const int preferred = found.empty() ? AF_UNSPEC : found.front().family();
  const auto before = [preferred](const SocketAddress& a, const SocketAddress& b) {
    if (a.family() != b.family()) return a.family() == preferred;
    return a.ToString() < b.ToString();
  };
  std::sort(ordered.begin(), ordered.end(), before);
  ordered.erase(std::unique(ordered.begin(), ordered.end()), ordered.end());
  return ordered;
}

struct NameClient::Impl {
  explicit Impl(const std::string& servers) : own_servers(servers) {
    static std::once_flag once;
    std::call_once(once, [] { CHECK(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS); });
  }

  // A channel of its own for each round: the machine's name servers may have changed.
  void Open() {
    ares_options options{};
    options.timeout = kTimeoutMs;
    options.tries = kTries;
    if (ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) !=
        ARES_SUCCESS) {
      channel = nullptr;
      return;
    }
    if (!own_servers.empty()) ares_set_servers_ports_csv(channel, own_servers.c_str());
  }

  void Close() {
    if (channel != nullptr) ares_destroy(channel);
    channel = nullptr;
  }

  // Until c-ares has called back for everything.
  void Run() {
    while (true) {
      std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets;
      const int wanted = ares_getsock(channel, sockets.data(), static_cast<int>(sockets.size()));
      std::vector<pollfd> waiting;
      for (size_t i = 0; i < sockets.size(); ++i) {
        short events = 0;
        if (ARES_GETSOCK_READABLE(static_cast<unsigned>(wanted), i) != 0) {
          events = static_cast<short>(events | POLLIN);
        }
        if (ARES_GETSOCK_WRITABLE(static_cast<unsigned>(wanted), i) != 0) {
          events = static_cast<short>(events | POLLOUT);
        }
        if (events != 0) waiting.push_back({sockets[i], events, 0});
      }
      if (waiting.empty()) return;
      timeval most{};
      most.tv_sec = kTimeoutMs / 1000;
      const timeval* left = ares_timeout(channel, &most, &most);
      const auto milliseconds = left->tv_sec * 1000 + left->tv_usec / 1000 + 1;
      poll(waiting.data(), waiting.size(), static_cast<int>(milliseconds));
      ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      for (const pollfd& entry : waiting) {
        if (entry.revents == 0) continue;
        const bool in = (entry.revents & ~POLLOUT) != 0;
        const bool out = (entry.revents & POLLOUT) != 0;
        ares_process_fd(channel, in ? entry.fd : ARES_SOCKET_BAD, out ? entry.fd : ARES_SOCKET_BAD);
      }
    }
  }

  void AskForSrv(std::vector<SrvQuery>* queries) {
    Open();
    for (SrvQuery& query : *queries) {
      if (channel == nullptr) {
        query.error = "no memory";
        continue;
      }
      ares_query(channel, query.name.c_str(), ns_c_in, ns_t_srv, &OnSrv, &query);
    }
    if (channel != nullptr) Run();
    Close();
  }

  void AskForHosts(std::vector<HostQuery>* queries) {
    Open();
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    for (HostQuery& query : *queries) {
      query.status = ARES_ENOMEM;
      if (channel == nullptr) continue;
      ares_getaddrinfo(channel, query.host.c_str(), nullptr, &hints, &OnAddresses, &query);
    }
    if (channel != nullptr) Run();
    Close();
    for (HostQuery& query : *queries) {
      const bool unknown = query.status == ARES_ENOTFOUND || query.status == ARES_ENODATA;
      if (query.found.empty() && unknown && own_servers.empty()) AskTheMachine(&query);
    }
  }

  const std::string own_servers;
  ares_channel channel = nullptr;
};

NameClient::NameClient(const std::string& servers) : impl_(std::make_unique<Impl>(servers)) {}
NameClient::~NameClient() = default;

std::vector<NameAnswer> NameClient::LookUp(const std::vector<HostPort>& names) {
  std::vector<SrvQuery> services;
  for (const HostPort& name : names) {
    if (!name.srv) continue;
    services.emplace_back();
    services.back().name = name.host;
  }
  if (!services.empty()) impl_->AskForSrv(&services);
  // Every host that is wanted, those behind the services too, and whose it is.
  std::vector<HostQuery> hosts;
  const auto add = [&hosts](const std::string& host, uint16_t port) {
    hosts.emplace_back();
    hosts.back().host = host;
    hosts.back().port = port;
  };
  size_t service = 0;
  for (const HostPort& name : names) {
    if (!name.srv) {
      add(name.host, name.port);
      continue;
    }
    for (const SrvRecord& record : services[service].records) add(record.target, record.port);
    ++service;
  }
  if (!hosts.empty()) impl_->AskForHosts(&hosts);

  std::vector<NameAnswer> answers(names.size());
  service = 0;
  size_t host = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    NameAnswer& answer = answers[i];
    if (!names[i].srv) {
      const HostQuery& query = hosts[host++];
      answer.ttl = query.ttl;
      if (query.found.empty()) {
        answer.error = query.status == ARES_SUCCESS ? "no address" : ares_strerror(query.status);
      } else {
        answer.orders = {InFixedOrder(query.found)};
      }
      continue;
    }
    const SrvQuery& query = services[service++];
    answer.error = query.error;
    std::vector<SrvServer> servers;
    for (const SrvRecord& record : query.records) {
      const HostQuery& target = hosts[host++];
      answer.ttl = Shorter(answer.ttl, Shorter(record.ttl, target.ttl));
      if (target.found.empty()) {
        answer.error =
            target.host + ": " +
            (target.status == ARES_SUCCESS ? "no address" : ares_strerror(target.status));
        continue;
      }
      servers.push_back({record.priority, record.weight, InFixedOrder(target.found)});
    }
    if (servers.empty()) continue;
    // Name servers rotate their answers; equal ones must give equal orders.
    std::sort(servers.begin(), servers.end(), [](const SrvServer& a, const SrvServer& b) {
      return a.addresses.front().ToString() < b.addresses.front().ToString();
    });
    answer.orders = OrdersOf(std::move(servers));
    answer.error.clear();
  }
  return answers;
}

}  // namespace postern
