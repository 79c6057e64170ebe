#include "routing/lookup/auth_http_source.h"

#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace postern::routing {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = LookupAnswer::Kind;

// One reply on its way.
struct Collected : public HttpReply {
  std::string text;  // holds secrets
  bool whole = false;
  bool has_length = false;
  bool headers_seen = false;

  Collected() { text.reserve(4096); }
  ~Collected() override { WipeMemory(text.data(), text.size()); }

  // A cut reply may have lost its refusal.
  bool IsWholeWithoutStatus() const {
    return !headers_seen && (absl::StrContains(text, "\n\n") || absl::StrContains(text, "\n\r\n"));
  }
  bool Add(absl::string_view bytes) {
    if (text.size() + bytes.size() > kAuthHttpReplyBytesMax) return false;
    if (text.size() + bytes.size() > text.capacity()) {
      // Growth by hand: std::string would leave the old block as it is.
      std::string larger;
      larger.reserve(2 * (text.size() + bytes.size()));
      larger.append(text);
      WipeMemory(text.data(), text.size());
      text.swap(larger);
    }
    text.append(bytes.data(), bytes.size());
    return true;
  }

  bool OnHeader(absl::string_view line) override {
    if (absl::StartsWith(line, "HTTP/")) {
      // Behind an interim reply (100 Continue) comes the real one.
      WipeMemory(text.data(), text.size());
      text.clear();
      whole = false;
      has_length = absl::StrContains(line, " 204") || absl::StrContains(line, " 304");
    }
    headers_seen = true;
    has_length = has_length || absl::StartsWithIgnoreCase(line, "content-length:") ||
                 absl::StartsWithIgnoreCase(line, "transfer-encoding:");
    if (!Add(line)) return false;
    if (line == "\r\n" || line == "\n") {
      whole = !absl::StartsWith(text, "HTTP/1.1 1");
      // The end of the body would be that of the connection. The headers are all we want.
      if (whole && !has_length) return false;
    }
    return true;
  }

  // A body is of no interest, unless there was no status line: then it is the headers.
  bool OnBody(absl::string_view bytes) override { return headers_seen || Add(bytes); }
};

class AuthHttpSource : public LookupSource {
 public:
  explicit AuthHttpSource(const AuthHttpOptions& options)
      : options_(options), client_({options.ca_file, /*plain_text=*/true}) {}

  LookupAnswer Ask(const LookupQuestion& question, Clock::time_point deadline) override;

 private:
  // One request to one URL; false: `*why` says what failed, and another one may be asked.
  bool AskOne(const HttpUrl& url, const std::vector<Secret>& lines,
              std::chrono::milliseconds timeout, LookupAnswer* answer, std::string* why);

  const AuthHttpOptions options_;
  HttpClient client_;
  size_t current_ = 0;
};

bool AuthHttpSource::AskOne(const HttpUrl& url, const std::vector<Secret>& lines,
                            std::chrono::milliseconds timeout, LookupAnswer* answer,
                            std::string* why) {
  HttpRequest request;
  request.url = url.url;
  request.where = &url;
  request.lines = &lines;
  // As nginx writes it: without the port.
  request.host_line = absl::StrCat("Host: ", url.host);
  Collected collected;
  const std::string failure = client_.Ask(request, timeout, &collected);
  const bool answered = collected.whole || (failure.empty() && collected.IsWholeWithoutStatus());
  if (!answered) {
    *why = absl::StrCat(url.Name(), ": ", failure.empty() ? "a reply without an end" : failure);
    return false;
  }
  *answer = ReadAuthHttpReply(collected.text, options_.rules);
  *why = absl::StrCat(url.Name(), ": ", answer->detail);
  // Otherwise it answered, but not as a service of this kind does.
  return answer->kind != Kind::kTemporary || !answer->refusal.empty();
}

// To each URL until one answers.
LookupAnswer AuthHttpSource::Ask(const LookupQuestion& question, Clock::time_point deadline) {
  if (!client_.usable()) return LookupAnswer::Of(Kind::kTemporary, "libcurl does not start");
  std::vector<Secret> lines;
  const absl::Status status = AuthHttpRequest(question, options_.extras, &lines);
  if (!status.ok()) return LookupAnswer::Of(Kind::kForbidden, std::string(status.message()));
  LookupAnswer answer;
  std::string why = "no time left";
  const bool answered = AskInTurn(options_.urls, deadline, &current_,
                                  [&](const HttpUrl& url, std::chrono::milliseconds timeout) {
                                    return AskOne(url, lines, timeout, &answer, &why);
                                  });
  if (!answered) return LookupAnswer::Of(Kind::kTemporary, std::move(why));
  answer.detail = std::move(why);
  return answer;
}

}  // namespace

std::unique_ptr<LookupSource> MakeAuthHttpSource(const AuthHttpOptions& options) {
  return std::make_unique<AuthHttpSource>(options);
}

}  // namespace postern::routing
