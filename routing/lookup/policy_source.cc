#include "routing/lookup/policy_source.h"

#include <chrono>
#include <cstddef>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "routing/lookup/policy_message.h"

namespace postern::routing {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = LookupAnswer::Kind;

// The status and the body of a reply.
class StatusAndBody : public HttpReply {
 public:
  bool OnHeader(absl::string_view line) override {
    // Behind an interim reply (100 Continue) comes the real one.
    if (absl::StartsWith(line, "HTTP/")) {
      const size_t space = line.find(' ');
      status_ = space == absl::string_view::npos ? "" : std::string(line.substr(space + 1, 3));
    }
    return ++headers_ <= kHeadersMax;
  }
  bool OnBody(absl::string_view bytes) override {
    too_large_ = body_.size() + bytes.size() > kPolicyReplyBytesMax;
    if (!too_large_) body_.append(bytes.data(), bytes.size());
    return !too_large_;
  }

  bool good() const { return status_.size() == 3 && status_[0] == '2'; }
  bool too_large() const { return too_large_; }
  absl::string_view status() const { return status_; }
  absl::string_view body() const { return body_; }

 private:
  static constexpr int kHeadersMax = 200;

  std::string status_;
  std::string body_;
  int headers_ = 0;
  bool too_large_ = false;
};

// The header lines of every request.
std::vector<Secret> LinesFor(const PolicyOptions& options) {
  std::vector<Secret> lines;
  lines.emplace_back("Content-Type: application/json");
  std::string line;
  std::string pair;
  std::string encoded;
  if (!options.user.empty()) {
    pair = absl::StrCat(options.user, ":", options.secret.view());
    encoded = absl::Base64Escape(pair);
    line = absl::StrCat("Authorization: Basic ", encoded);
  } else if (!options.key_header.empty()) {
    line = absl::StrCat(options.key_header, ": ", options.secret.view());
  }
  if (!line.empty()) lines.emplace_back(line);
  for (std::string* text : {&pair, &encoded, &line}) WipeMemory(text->data(), text->size());
  return lines;
}

class PolicySource : public LookupSource {
 public:
  explicit PolicySource(const PolicyOptions& options)
      : urls_(options.urls),
        lines_(LinesFor(options)),
        client_({options.ca_file, /*plain_text=*/false}) {}

  LookupAnswer Ask(const LookupQuestion& question, Clock::time_point deadline) override {
    if (!client_.usable()) return LookupAnswer::Of(Kind::kTemporary, "libcurl does not start");
    LookupAnswer answer = LookupAnswer::Of(Kind::kTemporary, "no time left");
    AskInTurn(urls_, deadline, &current_,
              [&](const HttpUrl& url, std::chrono::milliseconds timeout) {
                answer = AskOne(url, question, timeout);
                return answer.kind != Kind::kTemporary;
              });
    return answer;
  }

 private:
  LookupAnswer AskOne(const HttpUrl& url, const LookupQuestion& question,
                      std::chrono::milliseconds timeout) {
    HttpRequest request;
    request.url = PolicyUrl(url.url, question.method);
    request.where = &url;
    request.lines = &lines_;
    request.body = question.message;
    StatusAndBody reply;
    std::string why = client_.Ask(request, timeout, &reply);
    if (reply.too_large()) why = "an answer that is too large";
    if (why.empty() && !reply.good()) {
      why = absl::StrCat("HTTP status ", EscapeForLog(reply.status(), 3));
    }
    if (!why.empty()) {
      return LookupAnswer::Of(Kind::kTemporary, absl::StrCat(url.Name(), ": ", why));
    }
    if (question.method == kPolicyReport) return LookupAnswer::Of(Kind::kFound);
    LookupAnswer answer = ReadPolicyReply(reply.body());
    if (answer.kind == Kind::kTemporary) {
      answer.detail = absl::StrCat(url.Name(), ": ", answer.detail);
    }
    return answer;
  }

  const std::vector<HttpUrl> urls_;
  const std::vector<Secret> lines_;
  HttpClient client_;
  size_t current_ = 0;
};

}  // namespace

std::unique_ptr<LookupSource> MakePolicySource(const PolicyOptions& options) {
  return std::make_unique<PolicySource>(options);
}

}  // namespace postern::routing
