// One HTTP client for all who ask over HTTP: libcurl, one kept connection, one request at a time.
// Blocks, so it belongs to a thread that was made for it.
//
// Requests and replies may hold passwords: whatever libcurl gives back is overwritten.
#ifndef POSTERN_ROUTING_LOOKUP_HTTP_CLIENT_H_
#define POSTERN_ROUTING_LOOKUP_HTTP_CLIENT_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"

namespace postern::routing {

// Where to ask, without user and fragment. `unix_path` is set for a service behind a unix socket.
struct HttpUrl {
  std::string url;
  std::string host;  // alone, without the port
  std::string unix_path;

  // For logs.
  std::string Name() const;
};

struct HttpRequest {
  std::string url;                             // of `where`, perhaps with a query behind it
  const HttpUrl* where = nullptr;              // not null
  const std::vector<Secret>* lines = nullptr;  // header lines, without line ends; not null
  std::string host_line;  // "Host: ..." instead of the one that the URL means; empty: that one
  std::optional<absl::string_view> body;  // posts it; none: GET
};

// What becomes of a reply while it comes. False ends the transfer.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  // One header line with its line end, the status line and the blank line behind the last included.
  virtual bool OnHeader(absl::string_view line) = 0;
  virtual bool OnBody(absl::string_view bytes) = 0;
};

struct HttpClientOptions {
  std::string ca_file;      // empty: the system's
  bool plain_text = false;  // replies without a status line are taken, too
};

// One thread's.
class HttpClient {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  explicit HttpClient(const HttpClientOptions& options);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  // False where libcurl does not start; then nothing may be asked.
  bool usable() const { return easy_ != nullptr; }

  // Why the transfer did not come to its end, printable and without a secret; empty: it did. A
  // reply that ended it has a text, too.
  std::string Ask(const HttpRequest& request, std::chrono::milliseconds timeout, HttpReply* reply);

 private:
  void* easy_ = nullptr;  // CURL
};

// Goes through the URLs, beginning with *current, until one has answered: `ask` says so by true.
// Each that is left gets the same share of the time. *current is the one that answered, or the one
// to begin with next time.
bool AskInTurn(const std::vector<HttpUrl>& urls, HttpClient::Deadline deadline, size_t* current,
               const std::function<bool(const HttpUrl&, std::chrono::milliseconds timeout)>& ask);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_HTTP_CLIENT_H_
