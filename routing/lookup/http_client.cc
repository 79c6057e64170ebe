#include "routing/lookup/http_client.h"

#include <curl/curl.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/escape.h"

namespace postern::routing {
namespace {

// Kept for so long without a question.
constexpr long kIdleSecondsMax = 60;

void WipingFree(void* block) {
  if (block == nullptr) return;
  WipeMemory(block, malloc_usable_size(block));
  std::free(block);
}

void* WipingRealloc(void* block, size_t size) {
  if (block == nullptr) return std::malloc(size);
  const size_t before = malloc_usable_size(block);
  if (size <= before && size >= before / 2) return block;
  void* moved = std::malloc(size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(before, size));
  WipingFree(block);
  return moved;
}

// Once per process, before any thread uses the library.
bool StartLibrary() {
  static const bool started =
      curl_global_init_mem(CURL_GLOBAL_DEFAULT, &std::malloc, &WipingFree, &WipingRealloc, &strdup,
                           &std::calloc) == CURLE_OK;
  return started;
}

// libcurl takes anything but `size` as the wish to end the transfer.
size_t OnHeader(char* data, size_t, size_t size, void* owner) {
  return static_cast<HttpReply*>(owner)->OnHeader(absl::string_view(data, size)) ? size : 0;
}

size_t OnBody(char* data, size_t, size_t size, void* owner) {
  return static_cast<HttpReply*>(owner)->OnBody(absl::string_view(data, size)) ? size : 0;
}

template <typename Value>
void Set(CURL* easy, CURLoption option, Value value) {
  CHECK(curl_easy_setopt(easy, option, value) == CURLE_OK);
}

// libcurl's list, but of our own nodes: their text is wiped.
class HeaderList {
 public:
  explicit HeaderList(const HttpRequest& request) {
    texts_.reserve(request.lines->size() + 3);
    texts_.emplace_back("Accept:");
    if (!request.host_line.empty()) texts_.push_back(request.host_line);
    // Otherwise a body of more than a megabyte would wait for the leave to be sent.
    if (request.body.has_value()) texts_.emplace_back("Expect:");
    for (const Secret& line : *request.lines) {
      std::string text(line.view());
      // Without a value libcurl takes "Name:" for the wish to send no such header.
      if (absl::EndsWith(text, ": ")) text.replace(text.size() - 2, 2, ";");
      texts_.push_back(std::move(text));
    }
    list_.reserve(texts_.size());
    for (std::string& text : texts_) list_.push_back({text.data(), nullptr});
    for (size_t i = 0; i + 1 < list_.size(); ++i) list_[i].next = &list_[i + 1];
  }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  ~HeaderList() {
    for (std::string& text : texts_) WipeMemory(text.data(), text.size());
  }
  curl_slist* get() { return list_.data(); }

 private:
  std::vector<std::string> texts_;
  std::vector<curl_slist> list_;
};

}  // namespace

std::string HttpUrl::Name() const {
  if (!unix_path.empty()) return absl::StrCat("unix:", unix_path);
  // A query may hold a key.
  const size_t query = url.find('?');
  return query == std::string::npos ? url : absl::StrCat(url.substr(0, query), "?...");
}

HttpClient::HttpClient(const HttpClientOptions& options) {
  if (!StartLibrary()) return;
  CURL* easy = curl_easy_init();
  easy_ = easy;
  if (easy == nullptr) return;
  Set(easy, CURLOPT_NOSIGNAL, 1L);
  Set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  Set(easy, CURLOPT_PROXY, "");  // not what the environment says
  Set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  Set(easy, CURLOPT_HTTP09_ALLOWED, options.plain_text ? 1L : 0L);
  Set(easy, CURLOPT_TCP_NODELAY, 1L);
  Set(easy, CURLOPT_MAXAGE_CONN, kIdleSecondsMax);
  Set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  Set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  Set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.ca_file.empty()) {
    // In place of the system's authorities, which the library would go on to believe otherwise.
    Set(easy, CURLOPT_CAINFO, options.ca_file.c_str());
    Set(easy, CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  Set(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
  Set(easy, CURLOPT_WRITEFUNCTION, &OnBody);
}

HttpClient::~HttpClient() { curl_easy_cleanup(static_cast<CURL*>(easy_)); }

std::string HttpClient::Ask(const HttpRequest& request, std::chrono::milliseconds timeout,
                            HttpReply* reply) {
  CURL* easy = static_cast<CURL*>(easy_);
  HeaderList headers(request);
  const std::string& unix_path = request.where->unix_path;
  Set(easy, CURLOPT_URL, request.url.c_str());
  Set(easy, CURLOPT_UNIX_SOCKET_PATH, unix_path.empty() ? nullptr : unix_path.c_str());
  Set(easy, CURLOPT_HTTPHEADER, headers.get());
  Set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  Set(easy, CURLOPT_HEADERDATA, reply);
  Set(easy, CURLOPT_WRITEDATA, reply);
  if (request.body.has_value()) {
    Set(easy, CURLOPT_POSTFIELDS, request.body->data());
    Set(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body->size()));
  } else {
    Set(easy, CURLOPT_HTTPGET, 1L);
  }
  char error[CURL_ERROR_SIZE] = "";
  Set(easy, CURLOPT_ERRORBUFFER, error);
  const CURLcode code = curl_easy_perform(easy);
  // Nothing of this frame stays behind.
  Set(easy, CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
  Set(easy, CURLOPT_ERRORBUFFER, static_cast<char*>(nullptr));
  Set(easy, CURLOPT_POSTFIELDS, static_cast<char*>(nullptr));
  if (code == CURLE_OK) return "";
  return EscapeForLog(error[0] != '\0' ? error : curl_easy_strerror(code), 200);
}

bool AskInTurn(const std::vector<HttpUrl>& urls, HttpClient::Deadline deadline, size_t* current,
               const std::function<bool(const HttpUrl&, std::chrono::milliseconds timeout)>& ask) {
  for (size_t tried = 0; tried < urls.size(); ++tried) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    const auto timeout = left / static_cast<int>(urls.size() - tried);
    if (timeout.count() <= 0) break;
    if (ask(urls[*current], timeout)) return true;
    *current = (*current + 1) % urls.size();
  }
  return false;
}

}  // namespace postern::routing
