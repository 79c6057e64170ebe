#include "proxy/admin/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proxy/admin/backend_api.h"
#include "proxy/admin/change_api.h"
#include "proxy/admin/http_connection.h"
#include "proxy/admin/operator_api.h"
#include "proxy/admin/status_page.h"
#include "proxy/base/check.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/status_macros.h"

namespace postern::admin {
namespace {

constexpr size_t kPayloadBytesMax = 8 * 1024;
constexpr int kRequestsPerConnection = 100;
// For so long a first request is waited for even when others wait for the thread.
constexpr DurationNs kFirstRequestGrace = 200 * kMillisecond;

// cpp-httplib for what it does well: the syntax of HTTP and the table of routes. Sockets, threads
// and deadlines are ours; see HttpConnection.
class HttpRouter : public httplib::Server {
 public:
  // Reads one request and writes its answer. False when the connection must be closed.
  bool Serve(HttpConnection& connection, bool last) {
    bool closed = false;
    const auto prepare = [&connection](httplib::Request& request) {
      request.headers.erase(kPeerHeader);
      request.set_header(kPeerHeader, PeerName(connection.socket()));
      // Answers are made anew each time and go a short way: neither compressed (CPU) nor in ranges
      // (many overlapping ones multiply an answer).
      request.headers.erase("Accept-Encoding");
      request.ranges.clear();
      // cpp-httplib decompresses a body before any handler sees it, without a bound: 304 bytes
      // become half a gigabyte. A compressed one stays as it is, and is no JSON.
      request.headers.erase("Content-Encoding");
    };
    return Process(*this, connection, last, closed, prepare) && !closed;
  }

 private:
  // process_request() got the addresses as arguments after 0.11.
  template <typename Self, typename Prepare>
  static bool Process(Self& self, HttpConnection& connection, bool last, bool& closed,
                      const Prepare& prepare) {
    if constexpr (requires { self.process_request(connection, last, closed, prepare); }) {
      return self.process_request(connection, last, closed, prepare);
    } else {
      return self.process_request(connection, "", 0, "", 0, last, closed, prepare);
    }
  }
};

std::string ErrorText(int error) {
  return std::error_code(error, std::generic_category()).message();
}

absl::Status CannotListen(absl::string_view address, int error) {
  absl::string_view advice = "set another address in [admin]";
  if (error == EADDRINUSE) {
    advice =
        "another program, perhaps another postern, listens there: stop it or set another "
        "address in [admin]";
  } else if (error == EACCES || error == EPERM) {
    advice = "this user may not use it: set another address in [admin] or change the permissions";
  } else if (error == EADDRNOTAVAIL) {
    advice = "this machine has no such address: set another one in [admin]";
  } else if (error == ENOENT) {
    advice = "create the directory of the socket or set another address in [admin]";
  }
  return absl::UnavailableError(absl::StrCat("cannot listen on the admin address ", address, ": ",
                                             ErrorText(error), "; ", advice));
}

// Makes room for a unix socket: a file nobody listens on is left over from an earlier run.
absl::Status RemoveStaleSocket(absl::string_view text, const SocketAddress& address,
                               const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return absl::OkStatus();  // bind(2) has the last word
  if (!S_ISSOCK(status.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on the admin address ", text,
                     ": the file exists and is no socket; remove it or set another address in "
                     "[admin]"));
  }
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return CannotListen(text, errno);
  const int failed = connect(probe, address.data(), address.length()) == 0 ? 0 : errno;
  close(probe);
  // EAGAIN: somebody listens and its queue is full.
  if (failed == 0 || failed == EAGAIN) return CannotListen(text, EADDRINUSE);
  if (failed == ECONNREFUSED && unlink(path.c_str()) != 0 && errno != ENOENT) {
    return CannotListen(text, errno);
  }
  return absl::OkStatus();
}

void SetHeaders(httplib::Response& response) {
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
}

void Answer(httplib::Response& response, int status, const std::string& body, const char* type) {
  response.status = status;
  SetHeaders(response);
  response.set_content(body, type);
}

void AnswerError(httplib::Response& response, int status, const std::string& error) {
  Answer(response, status, nlohmann::json{{"error", error}}.dump() + "\n", "application/json");
}

void AnswerReadiness(httplib::Response& response, const Readiness& readiness,
                     const std::string& good) {
  if (readiness.ready) return Answer(response, 200, good + "\n", "text/plain; charset=utf-8");
  Answer(response, 503,
         absl::StrCat("not ", good, "\n", absl::StrJoin(readiness.reasons, "\n"), "\n"),
         "text/plain; charset=utf-8");
}

// For the page's Content-Security-Policy: only scripts and styles with this word run.
std::string RandomNonce() {
  char bytes[16];
  // getrandom(2) gives up to 256 bytes whole once the pool is ready, which it is.
  CHECK(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

void AnswerPage(httplib::Response& response) {
  const std::string nonce = RandomNonce();
  Answer(response, 200, StatusPage(nonce), "text/html; charset=utf-8");
  response.set_header(
      "Content-Security-Policy",
      absl::StrCat("default-src 'none'; connect-src 'self'; img-src data:; script-src 'nonce-",
                   nonce, "'; style-src 'nonce-", nonce,
                   "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
  response.set_header("Referrer-Policy", "no-referrer");
}

}  // namespace

bool IsLocalOnly(absl::string_view text) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  return address.ok() && (address->is_unix() || address->is_loopback());
}

class AdminServer::Impl {
 public:
  Impl(AdminOptions options, AdminHandlers handlers)
      : options_(std::move(options)), handlers_(std::move(handlers)) {
    CHECK(handlers_.metrics && handlers_.ready && handlers_.status_json);
    CHECK(options_.threads > 0);
    SetRoutes();
  }
  ~Impl() { Stop(); }

  absl::Status Start();
  void Stop();
  uint16_t port() const { return port_; }

 private:
  void SetRoutes();
  absl::Status Listen();
  absl::Status ListenOn(const SocketAddress& address, const std::string& unix_path);
  void ServeConnections();
  void ServeOne(int fd);

  const AdminOptions options_;
  const AdminHandlers handlers_;
  HttpRouter router_;
  std::mutex metrics_mutex_;
  int listen_fd_ = -1;
  int stop_fd_ = -1;
  uint16_t port_ = 0;
  std::string unix_path_;  // ours to remove; empty for TCP
  std::vector<std::thread> threads_;
};

void AdminServer::Impl::SetRoutes() {
  using httplib::Request;
  using httplib::Response;
  router_.set_payload_max_length(kPayloadBytesMax);
  router_.set_keep_alive_max_count(kRequestsPerConnection);
  router_.set_keep_alive_timeout(static_cast<time_t>(options_.idle_timeout / kSecond));
  router_.Get("/", [](const Request&, Response& response) { AnswerPage(response); });
  router_.Get("/metrics", [this](const Request&, Response& response) {
    std::string text;
    {
      const std::lock_guard<std::mutex> lock(metrics_mutex_);
      text = handlers_.metrics();
    }
    Answer(response, 200, text, "text/plain; version=0.0.4; charset=utf-8");
  });
  router_.Get("/healthz", [this](const Request&, Response& response) {
    AnswerReadiness(response, handlers_.healthy ? handlers_.healthy() : Readiness(), "ok");
  });
  router_.Get("/readyz", [this](const Request&, Response& response) {
    AnswerReadiness(response, handlers_.ready(), "ready");
  });
  router_.Get("/api/v1/status", [this](const Request&, Response& response) {
    Answer(response, 200, handlers_.status_json(), "application/json");
  });
  if (handlers_.change) {
    ChangePolicy policy;
    policy.unix_socket = absl::StartsWith(options_.address, "unix:");
    policy.token = options_.token;
    if (handlers_.actions != nullptr) AddOperatorRoutes(&router_, policy, handlers_.actions);
    if (handlers_.backends.add) AddBackendRoutes(&router_, policy, handlers_.backends);
    AddChangeRoutes(&router_, std::move(policy), handlers_.change);
  }
  router_.set_error_handler([](const Request&, Response& response) {
    if (!response.body.empty()) return;  // the answer of a handler
    switch (response.status) {
      case 404:
        return AnswerError(response, 404,
                           "no such page; there are / /metrics /healthz /readyz "
                           "/api/v1/status");
      case 413:
        return AnswerError(response, 413,
                           absl::StrCat("the body is over ", kPayloadBytesMax, " bytes"));
      default:
        return AnswerError(response, response.status, "the request cannot be served");
    }
  });
  // What an exception says is for nobody outside.
  router_.set_exception_handler([](const Request&, Response& response, std::exception_ptr) {
    AnswerError(response, 500, "internal error");
  });
}

absl::Status AdminServer::Impl::Start() {
  CHECK(stop_fd_ < 0);
  stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd_ < 0) return absl::UnavailableError(absl::StrCat("eventfd: ", ErrorText(errno)));
  RETURN_IF_ERROR(Listen());
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this] { ServeConnections(); });
  }
  return absl::OkStatus();
}

absl::Status AdminServer::Impl::Listen() {
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(options_.address);
  if (!address.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("[admin] address: ", address.status().message()));
  }
  std::string unix_path;
  if (address->is_unix()) {
    absl::string_view path = options_.address;
    absl::ConsumePrefix(&path, "unix:");
    unix_path = std::string(path);
    RETURN_IF_ERROR(RemoveStaleSocket(options_.address, *address, unix_path));
  }
  return ListenOn(*address, unix_path);
}

absl::Status AdminServer::Impl::ListenOn(const SocketAddress& address,
                                         const std::string& unix_path) {
  listen_fd_ = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listen_fd_ < 0) return CannotListen(options_.address, errno);
  const int on = 1;
  if (unix_path.empty()) {
    setsockopt(listen_fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address.family() == AF_INET6) {
      setsockopt(listen_fd_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
  } else if (fchmod(listen_fd_, 0660) != 0) {
    // Linux gives the file of a unix socket the mode of the socket, less the umask: so there is no
    // moment in which it is open to all, as there is with chmod(2) after bind(2) alone.
    return CannotListen(options_.address, errno);
  }
  if (bind(listen_fd_, address.data(), address.length()) != 0) {
    return CannotListen(options_.address, errno);
  }
  unix_path_ = unix_path;
  if (!unix_path.empty() && chmod(unix_path.c_str(), 0660) != 0) {
    return CannotListen(options_.address, errno);
  }
  if (listen(listen_fd_, 64) != 0) return CannotListen(options_.address, errno);
  if (unix_path.empty()) {
    sockaddr_storage bound{};
    socklen_t length = sizeof(bound);
    if (getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
      return CannotListen(options_.address, errno);
    }
    port_ = SocketAddress(reinterpret_cast<sockaddr*>(&bound), length).port();
  }
  return absl::OkStatus();
}

void AdminServer::Impl::Stop() {
  if (stop_fd_ >= 0) {
    const uint64_t one = 1;
    CHECK(write(stop_fd_, &one, sizeof(one)) == sizeof(one));
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (listen_fd_ >= 0) close(listen_fd_);
  if (stop_fd_ >= 0) close(stop_fd_);
  listen_fd_ = stop_fd_ = -1;
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
  unix_path_.clear();
  port_ = 0;
}

// Every thread accepts for itself: the kernel's queue is the only one, and it is bounded.
void AdminServer::Impl::ServeConnections() {
  for (;;) {
    pollfd fds[2] = {{listen_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno == EINTR) continue;
    if (fds[1].revents != 0) return;
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      ServeOne(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The connection stays in the queue and poll(2) would return at once, again and again.
      pollfd stop = {stop_fd_, POLLIN, 0};
      poll(&stop, 1, 100);
    }
  }
}

void AdminServer::Impl::ServeOne(int fd) {
  // cpp-httplib writes head and body apart; with Nagle's algorithm the body of a kept connection
  // waits 40 ms for the acknowledgement of the head. Fails on unix sockets, which have no such
  // wait.
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  HttpConnection::Limits limits;
  limits.read_timeout = options_.read_timeout;
  limits.write_timeout = options_.write_timeout;
  limits.idle_timeout = options_.idle_timeout;
  HttpConnection connection(fd, stop_fd_, limits);
  // The bytes of a first request are on the way, or somebody only holds a connection.
  DurationNs grace = kFirstRequestGrace;
  for (int i = 1; i <= kRequestsPerConnection; ++i) {
    if (!connection.AwaitRequest(listen_fd_, grace)) return;
    if (!router_.Serve(connection, i == kRequestsPerConnection)) break;
    grace = 0;
  }
  connection.Finish();
}

AdminServer::AdminServer(AdminOptions options, AdminHandlers handlers)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handlers))) {}

AdminServer::~AdminServer() = default;

absl::Status AdminServer::Start() { return impl_->Start(); }
void AdminServer::Stop() { impl_->Stop(); }
uint16_t AdminServer::port() const { return impl_->port(); }

}  // namespace postern::admin
