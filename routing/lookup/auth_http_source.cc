#include "routing/lookup/auth_http_source.h"

#include <curl/curl.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/escape.h"

namespace postern::routing {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = LookupAnswer::Kind;

// A service may say WAIT this often; nginx asks without end.
constexpr int kAsksMax = 20;
// Kept for so long without a question.
constexpr long kIdleSecondsMax = 60;

// --- memory: requests and replies hold passwords, so whatever libcurl gives back is overwritten

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

// --- one reply on its way

struct Collected {
  std::string text;  // holds secrets
  bool whole = false;
  bool has_length = false;
  bool headers_seen = false;

  Collected() { text.reserve(4096); }
  ~Collected() { WipeMemory(text.data(), text.size()); }

  // A cut reply may have lost its refusal.
  bool IsWholeWithoutStatus() const {
    return !headers_seen && (absl::StrContains(text, "\n\n") || absl::StrContains(text, "\n\r\n"));
  }
  bool Add(const char* data, size_t size) {
    if (text.size() + size > kAuthHttpReplyBytesMax) return false;
    if (text.size() + size > text.capacity()) {
      // Growth by hand: std::string would leave the old block as it is.
      std::string larger;
      larger.reserve(2 * (text.size() + size));
      larger.append(text);
      WipeMemory(text.data(), text.size());
      text.swap(larger);
    }
    text.append(data, size);
    return true;
  }
};

// Called with one header line at a time. Anything but `size` ends the transfer.
size_t OnHeader(char* data, size_t, size_t size, void* owner) {
  auto* reply = static_cast<Collected*>(owner);
  const absl::string_view line(data, size);
  if (absl::StartsWith(line, "HTTP/")) {
    // Behind an interim reply (100 Continue) comes the real one.
    WipeMemory(reply->text.data(), reply->text.size());
    reply->text.clear();
    reply->whole = false;
    reply->has_length = absl::StrContains(line, " 204") || absl::StrContains(line, " 304");
  }
  reply->headers_seen = true;
  reply->has_length = reply->has_length || absl::StartsWithIgnoreCase(line, "content-length:") ||
                      absl::StartsWithIgnoreCase(line, "transfer-encoding:");
  if (!reply->Add(data, size)) return 0;
  if (line == "\r\n" || line == "\n") {
    reply->whole = !absl::StartsWith(reply->text, "HTTP/1.1 1");
    // The end of the body would be that of the connection. The headers are all we want.
    if (reply->whole && !reply->has_length) return 0;
  }
  return size;
}

// A body is of no interest, unless there was no status line: then it is the headers.
size_t OnBody(char* data, size_t, size_t size, void* owner) {
  auto* reply = static_cast<Collected*>(owner);
  if (reply->headers_seen) return size;
  return reply->Add(data, size) ? size : 0;
}

std::string NameOf(const AuthHttpOptions::Url& url) {
  return url.unix_path.empty() ? url.url : absl::StrCat("unix:", url.unix_path);
}

class AuthHttpSource : public LookupSource {
 public:
  explicit AuthHttpSource(const AuthHttpOptions& options) : options_(options) {
    if (StartLibrary()) easy_ = curl_easy_init();
    if (easy_ != nullptr) Prepare();
  }
  AuthHttpSource(const AuthHttpSource&) = delete;
  AuthHttpSource& operator=(const AuthHttpSource&) = delete;
  ~AuthHttpSource() override { curl_easy_cleanup(easy_); }

  LookupAnswer Ask(const LookupQuestion& question, Clock::time_point deadline) override;

 private:
  void Prepare();
  // One request to one URL; false: `*why` says what failed, and another one may be asked.
  bool AskOne(const AuthHttpOptions::Url& url, const std::vector<Secret>& lines,
              std::chrono::milliseconds timeout, AuthHttpReply* reply, std::string* why);
  // To each URL until one answers.
  AuthHttpReply AskAll(const std::vector<Secret>& lines, Clock::time_point deadline);

  const AuthHttpOptions options_;
  CURL* easy_ = nullptr;
  size_t current_ = 0;
};

template <typename Value>
void Set(CURL* easy, CURLoption option, Value value) {
  CHECK(curl_easy_setopt(easy, option, value) == CURLE_OK);
}

void AuthHttpSource::Prepare() {
  Set(easy_, CURLOPT_NOSIGNAL, 1L);
  Set(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  Set(easy_, CURLOPT_PROXY, "");  // not what the environment says
  Set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  Set(easy_, CURLOPT_HTTP09_ALLOWED, 1L);
  Set(easy_, CURLOPT_TCP_NODELAY, 1L);
  Set(easy_, CURLOPT_MAXAGE_CONN, kIdleSecondsMax);
  Set(easy_, CURLOPT_SSL_VERIFYPEER, 1L);
  Set(easy_, CURLOPT_SSL_VERIFYHOST, 2L);
  Set(easy_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) Set(easy_, CURLOPT_CAINFO, options_.ca_file.c_str());
  Set(easy_, CURLOPT_HEADERFUNCTION, &OnHeader);
  Set(easy_, CURLOPT_WRITEFUNCTION, &OnBody);
}

bool AuthHttpSource::AskOne(const AuthHttpOptions::Url& url, const std::vector<Secret>& lines,
                            std::chrono::milliseconds timeout, AuthHttpReply* reply,
                            std::string* why) {
  // libcurl's list, but of our own nodes: their text is wiped.
  std::string host = absl::StrCat("Host: ", url.host);
  std::vector<std::string> texts;
  texts.reserve(lines.size());
  for (const Secret& line : lines) texts.emplace_back(line.view());
  std::vector<curl_slist> list;
  list.reserve(texts.size() + 2);
  char no_accept[] = "Accept:";
  list.push_back({no_accept, nullptr});
  list.push_back({host.data(), nullptr});
  for (std::string& text : texts) {
    // Without a value libcurl takes "Name:" for the wish to send no such header.
    if (absl::EndsWith(text, ": ")) text.replace(text.size() - 2, 2, ";");
    list.push_back({text.data(), nullptr});
  }
  for (size_t i = 0; i + 1 < list.size(); ++i) list[i].next = &list[i + 1];

  Collected collected;
  Set(easy_, CURLOPT_URL, url.url.c_str());
  Set(easy_, CURLOPT_UNIX_SOCKET_PATH, url.unix_path.empty() ? nullptr : url.unix_path.c_str());
  Set(easy_, CURLOPT_HTTPHEADER, list.data());
  Set(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  Set(easy_, CURLOPT_HEADERDATA, &collected);
  Set(easy_, CURLOPT_WRITEDATA, &collected);
  char error[CURL_ERROR_SIZE] = "";
  Set(easy_, CURLOPT_ERRORBUFFER, error);
  const CURLcode code = curl_easy_perform(easy_);
  Set(easy_, CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
  Set(easy_, CURLOPT_ERRORBUFFER, static_cast<char*>(nullptr));
  for (std::string& text : texts) WipeMemory(text.data(), text.size());

  const bool answered = collected.whole || (code == CURLE_OK && collected.IsWholeWithoutStatus());
  if (!answered) {
    const std::string what = error[0] != '\0'   ? error
                             : code == CURLE_OK ? "a reply without an end"
                                                : curl_easy_strerror(code);
    *why = absl::StrCat(NameOf(url), ": ", EscapeForLog(what, 200));
    return false;
  }
  *reply = ReadAuthHttpReply(collected.text, options_.rules);
  *why = absl::StrCat(NameOf(url), ": ", reply->answer.detail);
  // It answered, but not as a service of this kind does.
  return reply->again || reply->answer.kind != Kind::kTemporary || !reply->answer.refusal.empty();
}

AuthHttpReply AuthHttpSource::AskAll(const std::vector<Secret>& lines, Clock::time_point deadline) {
  AuthHttpReply reply;
  std::string why = "no time left";
  const size_t count = options_.urls.size();
  for (size_t tried = 0; tried < count; ++tried) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    // Each that is left gets the same share.
    const auto timeout = left / static_cast<int>(count - tried);
    if (timeout.count() <= 0) break;
    const bool answered = AskOne(options_.urls[current_], lines, timeout, &reply, &why);
    if (answered) {
      reply.answer.detail = std::move(why);
      return reply;
    }
    current_ = (current_ + 1) % count;
  }
  reply.again = false;
  reply.answer = LookupAnswer::Of(Kind::kTemporary, std::move(why));
  return reply;
}

LookupAnswer AuthHttpSource::Ask(const LookupQuestion& question, Clock::time_point deadline) {
  if (easy_ == nullptr) return LookupAnswer::Of(Kind::kTemporary, "libcurl does not start");
  std::vector<Secret> lines;
  const absl::Status status = AuthHttpRequest(question, options_.headers, &lines);
  if (!status.ok()) return LookupAnswer::Of(Kind::kForbidden, std::string(status.message()));
  for (int i = 0; i < kAsksMax; ++i) {
    AuthHttpReply reply = AskAll(lines, deadline);
    if (!reply.again) return std::move(reply.answer);
    const auto pause = std::max(std::chrono::nanoseconds(reply.answer.wait.value_or(0)),
                                std::chrono::nanoseconds(std::chrono::milliseconds(50)));
    if (Clock::now() + pause >= deadline) break;
    std::this_thread::sleep_for(pause);
  }
  // Not a failure of the service: it has spoken about this user.
  LookupAnswer answer = LookupAnswer::Of(Kind::kTemporary, "the service says WAIT for too long");
  answer.refusal = "[SYS/TEMP] Please try again later";
  return answer;
}

}  // namespace

std::unique_ptr<LookupSource> MakeAuthHttpSource(const AuthHttpOptions& options) {
  return std::make_unique<AuthHttpSource>(options);
}

}  // namespace postern::routing
