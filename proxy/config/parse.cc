// Reads a document key by key into a Draft: everything but backends, pools and routes.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

constexpr DurationNs kMinute = 60 * kSecond;
constexpr DurationNs kHour = 3600 * kSecond;

// The name of this machine where it can stand in a greeting.
std::string MachineName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0 && IsDnsName(name)) return name;
  return "localhost";
}

void ParseNameServers(TableReader* reader, Config* config) {
  std::vector<LocatedText> servers;
  reader->Strings("name_servers", &servers);
  for (const LocatedText& server : servers) {
    const absl::StatusOr<HostPort> address = ParseHostPort(server.text);
    if (address.ok() && address->is_literal() && address->port != 0) {
      config->name_servers.push_back(server.text);
      continue;
    }
    reader->Add(server.position,
                absl::StrCat("name_servers: \"", server.text,
                             "\" is no IP address with a port; write it as \"10.0.0.53:53\""));
  }
}

void ParseTop(TableReader* reader, Config* config) {
  config->hostname = MachineName();
  std::string hostname;
  if (reader->String("hostname", &hostname)) {
    if (IsDnsName(hostname)) {
      config->hostname = hostname;
    } else {
      reader->Add(reader->At("hostname"),
                  absl::StrCat("hostname = \"", hostname,
                               "\" is not a DNS name; write one as \"pop.example.net\""));
    }
  }
  config->dialogue.hostname = config->hostname;
  reader->Int("workers", 0, 1024, &config->workers);
  reader->Word<IoChoice>(
      "io", {{"auto", IoChoice::kAuto}, {"uring", IoChoice::kUring}, {"epoll", IoChoice::kEpoll}},
      &config->io);
  config->capabilities_written = ReadCapabilities(reader, &config->dialogue.capabilities);
  ParseNameServers(reader, config);
}

bool ReadListenerAddress(TableReader* reader, std::string* text, SocketAddress* address) {
  if (!reader->String("address", text)) return false;
  absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(*text);
  if (parsed.ok() && !parsed->is_unix()) {
    *address = *parsed;
    return true;
  }
  const std::string why = parsed.ok() ? std::string("a listener needs an IP address and a port")
                                      : std::string(parsed.status().message());
  reader->Add(reader->At("address"), absl::StrCat("address: ", why,
                                                  "; write it as \"[::]:995\", \"*:995\" or "
                                                  "\"192.0.2.1:995\""));
  return false;
}

void ParseListeners(TableReader* top, Draft* draft, Diagnostics* diagnostics) {
  for (const TomlNode* table : top->Tables("listener")) {
    TableReader reader(*table, "[[listener]]", diagnostics, &TopLevelKeys());
    ListenerDraft listener;
    listener.table = table->position;
    listener.value.line = table->position.line;
    ReadSetting(reader, "name", &listener.name,
                [&](std::string* out) { return reader.String("name", out); });
    ReadSetting(reader, "address", &listener.address, [&](std::string* out) {
      return ReadListenerAddress(&reader, out, &listener.value.address);
    });
    if (!listener.address.written) reader.Missing("address", "address = \"[::]:995\"");
    listener.tls.value = ListenerTls::kImplicit;
    ReadSetting(reader, "tls", &listener.tls, [&](ListenerTls* out) {
      return reader.Word<ListenerTls>("tls",
                                      {{"implicit", ListenerTls::kImplicit},
                                       {"stls", ListenerTls::kStls},
                                       {"off", ListenerTls::kOff}},
                                      out);
    });
    ReadSetting(reader, "plaintext_logins", &listener.plaintext_logins,
                [&](bool* out) { return reader.Bool("plaintext_logins", out); });
    listener.v6only.value = true;
    ReadSetting(reader, "v6only", &listener.v6only,
                [&](bool* out) { return reader.Bool("v6only", out); });
    reader.Int("backlog", 1, 65535, &listener.value.backlog);
    ParseNeighbours(&reader, &listener);
    ParseClientCertificates(&reader, draft->config.file, &listener);
    ParseListenerBackend(&reader, diagnostics, &listener);
    std::vector<std::string> capabilities;
    if (ReadCapabilities(&reader, &capabilities)) listener.value.capabilities = capabilities;
    ReadMechanisms(&reader, &listener.mechanisms);
    reader.Finish();
    draft->listeners.push_back(std::move(listener));
  }
}

void ParseCertificates(TableReader* reader, Draft* draft, Diagnostics* diagnostics) {
  draft->certificates_written = reader->Has("certificates");
  for (const TomlNode* table : reader->Tables("certificates")) {
    TableReader entry(*table, "a certificate", diagnostics);
    tls::CertificateFiles files;
    const bool chain = entry.String("chain", &files.chain);
    const bool key = entry.String("key", &files.key);
    if (!entry.Has("chain")) entry.Missing("chain", "chain = \"fullchain.pem\", leaf first");
    if (!entry.Has("key")) entry.Missing("key", "key = \"privkey.pem\"");
    entry.Finish();
    if (!chain || !key) continue;
    files.chain = ResolvePath(draft->config.file, files.chain);
    files.key = ResolvePath(draft->config.file, files.key);
    for (const tls::CertificateFiles& other : draft->config.tls.certificates) {
      if (other.chain != files.chain) continue;
      entry.Add(entry.At("chain"),
                absl::StrCat("chain \"", files.chain, "\" stands twice; remove one"));
    }
    draft->config.tls.certificates.push_back(std::move(files));
  }
}

void ParseTls(TableReader* top, Draft* draft, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("tls");
  if (table == nullptr) return;
  TableReader reader(*table, "[tls]", diagnostics, &TopLevelKeys());
  tls::ServerOptions* options = &draft->config.tls;
  ParseCertificates(&reader, draft, diagnostics);
  reader.Word<tls::Version>("version_min",
                            {{"1.2", tls::Version::kTls12}, {"1.3", tls::Version::kTls13}},
                            &options->version_min);
  reader.String("ciphers", &options->ciphers);
  reader.String("ciphersuites", &options->ciphersuites);
  reader.String("groups", &options->groups);
  reader.Bool("early_greeting", &options->early_greeting);
  reader.Int("tickets_ecdsa", 0, 16, &options->tickets_ecdsa);
  reader.Int("tickets_rsa", 0, 16, &options->tickets_rsa);
  reader.Finish();
}

// One line for the clients, written without its line end.
void ParseRefusedReply(TableReader* reader, std::string* reply) {
  constexpr size_t kLineBytesMax = 510;  // RFC 2449 section 4: 512 octets with CRLF
  std::string line;
  if (!reader->String("refused_reply", &line)) return;
  const bool printable =
      std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (!absl::StartsWith(line, "-ERR ") || !printable || line.size() > kLineBytesMax) {
    reader->Add(reader->At("refused_reply"),
                absl::StrCat("refused_reply is not one line of at most ", kLineBytesMax,
                             " printable ASCII characters that begins with \"-ERR \"; write it as "
                             "\"-ERR [AUTH] Authentication failed.\""));
    return;
  }
  *reply = absl::StrCat(line, "\r\n");
}

void ParseAuth(TableReader* top, Draft* draft, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("auth");
  if (table == nullptr) return;
  TableReader reader(*table, "[auth]", diagnostics, &TopLevelKeys());
  Config* config = &draft->config;
  draft->auth = table->position;
  ReadMechanisms(&reader, &draft->mechanisms);
  if (draft->mechanisms.written) {
    config->dialogue.mechanisms.clear();
    for (const auto& [mechanism, position] : draft->mechanisms.list) {
      config->dialogue.mechanisms.push_back(mechanism);
    }
  }
  reader.Bool("user_pass", &config->dialogue.user_pass);
  ReadSetting(reader, "apop", &draft->apop, [&](bool* out) { return reader.Bool("apop", out); });
  config->dialogue.apop = draft->apop.value;
  draft->secrets_written = reader.Has("secrets");
  if (reader.String("secrets", &config->auth.secrets_file)) {
    config->auth.secrets_file = ResolvePath(config->file, config->auth.secrets_file);
  }
  ParseRefusedReply(&reader, &config->auth.refused_reply);
  reader.Finish();
}

void ParseTimeouts(TableReader* top, Timeouts* timeouts, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("timeouts");
  if (table == nullptr) return;
  TableReader reader(*table, "[timeouts]", diagnostics, &TopLevelKeys());
  reader.Duration("proxy_header", kMillisecond, kHour, &timeouts->proxy_header);
  reader.Duration("handshake", kMillisecond, kHour, &timeouts->handshake);
  reader.Duration("login", kMillisecond, kHour, &timeouts->login);
  reader.Duration("idle", kMillisecond, 24 * kHour, &timeouts->idle);
  reader.Duration("upstream_connect", kMillisecond, kHour, &timeouts->upstream_connect);
  reader.Duration("upstream_greeting", kMillisecond, kHour, &timeouts->upstream_greeting);
  reader.Duration("upstream_login", kMillisecond, kHour, &timeouts->upstream_login);
  reader.Duration("refused_delay", 0, kMinute, &timeouts->refused_delay);
  reader.Duration("close_linger", 0, 10 * kMinute, &timeouts->close_linger);
  reader.Duration("drain", 0, 24 * kHour, &timeouts->drain);
  reader.Duration("resolve", kSecond, 24 * kHour, &timeouts->resolve);
  reader.Duration("hold", kMillisecond, kHour, &timeouts->hold);
  reader.Finish();
}

void ParseLimits(TableReader* top, Config* config, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("limits");
  if (table == nullptr) return;
  TableReader reader(*table, "[limits]", diagnostics, &TopLevelKeys());
  Limits* limits = &config->limits;
  reader.Int("sessions", 1, 10'000'000, &limits->sessions_max);
  reader.Int("upstream_tries", 1, 10, &limits->upstream_tries);
  reader.Int("held_logins", 0, 10000000, &limits->held_logins);
  reader.Int("bad_commands", 1, 1000, &config->dialogue.bad_commands_max);
  reader.Int("logins", 1, 1000, &config->dialogue.logins_max);
  // RFC 2449 section 4: a server takes commands of at least 255 octets.
  reader.Size("line_bytes", 255, 65536, &config->dialogue.line_bytes_max);
  reader.Size("sasl_bytes", 255, 1 << 20, &config->dialogue.sasl_bytes_max);
  reader.Size("receive_buffer_bytes", 1024, 1 << 20, &limits->receive_buffer_bytes);
  // The kernel's ring of provided buffers has a power of two of them, at most 32768.
  if (reader.Int("receive_buffers", 1, 32768, &limits->receive_buffers) &&
      (limits->receive_buffers & (limits->receive_buffers - 1)) != 0) {
    reader.Add(reader.At("receive_buffers"),
               absl::StrCat("receive_buffers = ", limits->receive_buffers,
                            " is not a power of two; write 256, 512, 1024, ..."));
  }
  reader.Finish();
}

void ParseUserDomain(TableReader* reader, absl::string_view key, bool star, std::string* out) {
  std::string domain;
  if (!reader->String(key, &domain)) return;
  if (IsUserDomain(domain) || (star && domain == "*")) {
    *out = domain;
    return;
  }
  reader->Add(reader->At(key),
              absl::StrCat(key, " = \"", domain, "\" is not a domain; write one as ",
                           star ? "\"example.org\", or \"*\" for any" : "\"example.org\""));
}

void ParseUsers(TableReader* top, routing::UserOptions* users, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("users");
  if (table == nullptr) return;
  TableReader reader(*table, "[users]", diagnostics, &TopLevelKeys());
  reader.Bool("lowercase_domain", &users->lowercase_domain);
  reader.Bool("lowercase_local", &users->lowercase_local);
  ParseUserDomain(&reader, "default_domain", false, &users->default_domain);
  ParseUserDomain(&reader, "strip_domain", true, &users->strip_domain);
  if (!users->default_domain.empty() && !users->strip_domain.empty() &&
      (users->strip_domain == "*" || users->strip_domain == users->default_domain)) {
    reader.Add(reader.At("strip_domain"),
               "strip_domain takes away what default_domain appends; remove one of them");
  }
  reader.Finish();
}

void ParseLog(TableReader* top, Config* config, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("log");
  if (table == nullptr) return;
  TableReader reader(*table, "[log]", diagnostics, &TopLevelKeys());
  Log* log = &config->log;
  if (reader.StringOrEmpty("sessions", &log->sessions) && !log->sessions.empty() &&
      log->sessions != "-") {
    log->sessions = ResolvePath(config->file, log->sessions);
  }
  reader.Word<LogFormat>("format", {{"logfmt", LogFormat::kLogfmt}, {"json", LogFormat::kJson}},
                         &log->format);
  reader.Word<std::string>(
      "level", {{"debug", "debug"}, {"info", "info"}, {"warning", "warning"}, {"error", "error"}},
      &log->level);
  reader.Finish();
}

void ParseAdmin(TableReader* top, Draft* draft, Diagnostics* diagnostics) {
  const TomlNode* table = top->Table("admin");
  if (table == nullptr) return;
  TableReader reader(*table, "[admin]", diagnostics, &TopLevelKeys());
  ReadSetting(reader, "address", &draft->admin,
              [&](std::string* out) { return reader.StringOrEmpty("address", out); });
  if (draft->admin.good) {
    if (!draft->admin.value.empty()) {
      absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(draft->admin.value);
      if (!parsed.ok()) {
        draft->admin.good = false;
        reader.Add(draft->admin.position,
                   absl::StrCat("address: ", parsed.status().message(),
                                "; write it as \"127.0.0.1:9110\", \"unix:/run/postern/"
                                "admin.sock\", or \"\" for none"));
      }
    }
    if (draft->admin.good) draft->config.admin.address = draft->admin.value;
  }
  ReadSetting(reader, "token_file", &draft->admin_token,
              [&](std::string* out) { return reader.String("token_file", out); });
  if (draft->admin_token.good) {
    draft->config.admin.token_file = ResolvePath(draft->config.file, draft->admin_token.value);
  }
  std::string state_file;
  if (reader.String("state_file", &state_file)) {
    draft->config.admin.state_file = ResolvePath(draft->config.file, state_file);
  }
  reader.Finish();
}

}  // namespace

std::string ResolvePath(const std::string& file_name, const std::string& path) {
  const size_t slash = file_name.rfind('/');
  if (slash == std::string::npos || path.empty() || path[0] == '/') return path;
  return absl::StrCat(file_name.substr(0, slash + 1), path);
}

const std::vector<std::string>& TopLevelKeys() {
  static const auto* keys =
      new std::vector<std::string>{"hostname", "workers", "io", "capabilities", "name_servers"};
  return *keys;
}

void ParseDocument(const TomlNode& root, const std::string& file_name, Draft* draft,
                   Diagnostics* diagnostics) {
  Config* config = &draft->config;
  config->file = file_name;
  TableReader reader(root, "the top of the file", diagnostics);
  ParseTop(&reader, config);
  ParseListeners(&reader, draft, diagnostics);
  ParseTls(&reader, draft, diagnostics);
  ParseAuth(&reader, draft, diagnostics);
  ParseTimeouts(&reader, &config->timeouts, diagnostics);
  ParseLimits(&reader, config, diagnostics);
  ParseGuard(&reader, draft, diagnostics);
  ParseUsers(&reader, &config->routing.user, diagnostics);
  ParseLog(&reader, config, diagnostics);
  ParseAdmin(&reader, draft, diagnostics);
  ParseLookups(&reader, draft, diagnostics);
  ParseUpstreams(&reader, draft, diagnostics);
  reader.Finish();
}

}  // namespace postern::config
