// Reads the `policy` table of [guard].
#include "proxy/config/policy.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/http_urls.h"
#include "proxy/config/lookups.h"
#include "routing/lookup/policy_source.h"

namespace postern::config {

#ifdef POSTERN_AUTH_HTTP

namespace {

constexpr DurationNs kTimeout = 2 * kSecond;  // as Dovecot's

// Names that are the request's own, or the transport's.
bool IsOwnHeader(absl::string_view name) {
  for (const absl::string_view own : {"Accept", "Connection", "Content-Length", "Content-Type",
                                      "Expect", "Host", "Transfer-Encoding", "Upgrade"}) {
    if (absl::EqualsIgnoreCase(name, own)) return true;
  }
  return false;
}

bool ReadPath(TableReader* reader, absl::string_view key, const std::string& file_name,
              std::string* path) {
  if (!reader->String(key, path)) return false;
  *path = ResolvePath(file_name, *path);
  return true;
}

// `key_file` with `key_header`, or `user` with `password_file`.
void ReadCredentials(TableReader* reader, const std::string& file_name,
                     routing::PolicyOptions* options) {
  std::string header = "X-API-Key";
  if (reader->String("key_header", &header)) {
    const bool good = std::all_of(header.begin(), header.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
    });
    if (!good || IsOwnHeader(header)) {
      reader->Add(reader->At("key_header"),
                  absl::StrCat("key_header = \"", header, "\" ",
                               good ? "is the request's own; write another one"
                                    : "is not letters, digits and hyphens; write one as "
                                      "\"X-API-Key\""));
    }
    if (!reader->Has("key_file")) reader->Missing("key_file", "key_file = \"/etc/postern/policy\"");
  }
  if (ReadPath(reader, "key_file", file_name, &options->secret_file)) options->key_header = header;
  if (reader->String("user", &options->user)) {
    if (absl::StrContains(options->user, ':')) {
      reader->Add(reader->At("user"), "user has a colon, which ends a name there; write another");
    }
    if (!reader->Has("password_file")) {
      reader->Missing("password_file", "password_file = \"/etc/postern/policy\"");
    }
  }
  if (!ReadPath(reader, "password_file", file_name, &options->secret_file)) return;
  if (!reader->Has("user")) reader->Missing("user", "user = \"wforce\"");
  if (reader->Has("key_file")) {
    reader->Add(reader->At("password_file"),
                "the service is shown both a key and a password; keep one of the two");
  }
}

// Everything but who is asked what.
void ReadRules(TableReader* reader, const std::string& file_name, Policy* policy,
               routing::LookupOptions* options, bool* report) {
  reader->Duration("timeout", 10 * kMillisecond, 60 * kSecond, &options->timeout);
  reader->Int("connections", 1, 256, &options->connections);
  int queue_max = static_cast<int>(options->queue_max);
  reader->Int("queue_max", 0, 1'000'000, &queue_max);
  options->queue_max = static_cast<size_t>(queue_max);
  if (!reader->Has("hash_nonce_file")) {
    reader->Missing("hash_nonce_file", "hash_nonce_file = \"/etc/postern/policy-nonce\"");
  }
  ReadPath(reader, "hash_nonce_file", file_name, &policy->nonce_file);
  reader->Int("hash_truncate", 0, 255, &policy->hash_bits);
  reader->Word<bool>("fail", {{"open", false}, {"closed", true}}, &policy->fail_closed);
  reader->Duration("tarpit_max", 0, 300 * kSecond, &policy->tarpit_max);
  reader->Bool("report", report);
}

}  // namespace

void ParsePolicy(const TomlNode& table, const std::string& file_name, Diagnostics* diagnostics,
                 Policy* policy) {
  TableReader reader(table, "policy", diagnostics);
  routing::PolicyOptions service;
  ReadHttpUrls(&reader, file_name, diagnostics, "http://127.0.0.1:8084/", &service.urls,
               &service.ca_file);
  ReadCredentials(&reader, file_name, &service);
  routing::LookupOptions options;
  options.timeout = kTimeout;
  // What was allowed once may be refused now.
  options.ttl = options.negative_ttl = options.stale = 0;
  options.entries = 0;
  bool report = true;
  ReadRules(&reader, file_name, policy, &options, &report);
  reader.Finish();
  for (const char* command : {"allow", "report"}) {
    if (command == absl::string_view("report") && !report) continue;
    Lookup asker;
    asker.type = "policy";
    asker.line = table.position.line;
    asker.fingerprint = FingerprintOf(table);
    asker.options = options;
    asker.options.name = command;
    asker.options.title = absl::StrCat("policy service (", command, ")");
    asker.options.silence = command == absl::string_view("report") ? "it is told of no login"
                            : policy->fail_closed ? "logins are told to come back until it answers"
                                                  : "logins go on without it";
    // No two questions are the same.
    asker.traits.judges_credentials = true;
    // Each its own: whoever makes the sources reads the secret into it.
    auto own = std::make_shared<routing::PolicyOptions>();
    own->urls = service.urls;
    own->ca_file = service.ca_file;
    own->key_header = service.key_header;
    own->user = service.user;
    own->secret_file = service.secret_file;
    asker.server = std::move(own);
    asker.password_file = service.secret_file;
    if (!service.ca_file.empty()) asker.files.push_back(service.ca_file);
    policy->askers.push_back(std::move(asker));
  }
}

#else

void ParsePolicy(const TomlNode& table, const std::string&, Diagnostics* diagnostics, Policy*) {
  diagnostics->Add(table.position,
                   "this postern was built without policy services; build it with "
                   "-DPOSTERN_AUTH_HTTP=ON, which needs libcurl");
}

#endif

}  // namespace postern::config
