#include "routing/lookup/ldap_source.h"

#include <fcntl.h>
#include <ldap.h>
#include <openldap.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/status_macros.h"
#include "routing/lookup/answer_row.h"
#include "routing/lookup/byte_stream.h"

namespace postern::routing {
namespace {

struct FreeMessage {
  void operator()(LDAPMessage* message) const { ldap_msgfree(message); }
};
using Message = std::unique_ptr<LDAPMessage, FreeMessage>;

int ScopeOf(LdapScope scope) {
  switch (scope) {
    case LdapScope::kBase:
      return LDAP_SCOPE_BASE;
    case LdapScope::kOne:
      return LDAP_SCOPE_ONELEVEL;
    case LdapScope::kSub:
      break;
  }
  return LDAP_SCOPE_SUBTREE;
}

// Whether another server, or a new connection, may do better.
bool IsBroken(int code) {
  return code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR || code == LDAP_UNAVAILABLE ||
         code == LDAP_BUSY || code == LDAP_TIMEOUT || code == LDAP_DECODING_ERROR ||
         code == LDAP_LOCAL_ERROR;
}

// Ends a connection at a moment, unless it is gone before: whoever reads from it then hears of the
// end.
class Watchdog {
 public:
  Watchdog() = default;
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // At most once. Unavailable when there can be no thread.
  absl::Status Start(int fd, Deadline deadline) {
    try {
      thread_ = std::thread([this, fd, deadline] { Run(fd, deadline); });
    } catch (const std::system_error& error) {
      return absl::UnavailableError(absl::StrCat("LDAP: no thread for TLS: ", error.what()));
    }
    return absl::OkStatus();
  }

 private:
  void Run(int fd, Deadline deadline) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_until(lock, deadline, [this] { return done_; })) shutdown(fd, SHUT_RDWR);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

class LdapSource final : public ServerSource {
 public:
  explicit LdapSource(const LdapOptions& options)
      : ServerSource(options.uris.size()),
        uris_(options.uris),
        start_tls_(options.start_tls),
        ca_file_(options.ca_file),
        insecure_(options.insecure),
        bind_dn_(options.bind_dn),
        bind_password_(options.bind_password.Clone()),
        base_(options.base),
        scope_(ScopeOf(options.scope)),
        filter_(options.filter),
        attributes_{options.target_attribute, options.login_user_attribute,
                    options.login_secret_attribute} {}
  ~LdapSource() override { Disconnect(); }

 protected:
  absl::Status Connect(size_t index, Deadline deadline) override {
    absl::Status status = Open(uris_[index], deadline);
    if (status.ok()) status = Bind(deadline);
    if (!status.ok()) Disconnect();
    return status;
  }

  void Disconnect() override {
    // Says goodbye by a write that does not wait.
    if (ldap_ != nullptr) ldap_unbind_ext(ldap_, nullptr, nullptr);
    ldap_ = nullptr;
  }

  bool connected() const override { return ldap_ != nullptr; }

  std::optional<LookupAnswer> AskServer(const LookupQuestion& question, Deadline deadline,
                                        std::string* why) override {
    const std::string filter = FillPattern(filter_, UserParts(question.user), &EscapeFilterValue);
    std::vector<char*> wanted;
    for (const std::string& name : attributes_) {
      if (!name.empty()) wanted.push_back(const_cast<char*>(name.c_str()));
    }
    wanted.push_back(nullptr);
    timeval limit = TimevalLeft(deadline);
    int id = 0;
    // Two are enough to know that there are several.
    const int sent = ldap_search_ext(ldap_, base_.c_str(), scope_, filter.c_str(), wanted.data(), 0,
                                     nullptr, nullptr, &limit, 2, &id);
    if (sent == LDAP_FILTER_ERROR) {
      return LookupAnswer::Of(LookupAnswer::Kind::kTemporary,
                              "LDAP: the filter is malformed; write it as (mail={user})");
    }
    if (sent != LDAP_SUCCESS) return Failed(sent, "search", why);
    Message answer;
    const int code = Receive(id, deadline, &answer);
    if (code == LDAP_NO_SUCH_OBJECT) {
      return LookupAnswer::Of(LookupAnswer::Kind::kTemporary,
                              absl::StrCat("LDAP: there is no ", Scrubbed(base_, Secret())));
    }
    if (code != LDAP_SUCCESS && code != LDAP_SIZELIMIT_EXCEEDED) {
      return Failed(code, "search", why);
    }
    LDAPMessage* entry = ldap_first_entry(ldap_, answer.get());
    if (entry == nullptr) return LookupAnswer::Of(LookupAnswer::Kind::kUnknown);
    if (code == LDAP_SIZELIMIT_EXCEEDED || ldap_next_entry(ldap_, entry) != nullptr) {
      return SeveralRows("LDAP");
    }
    return ReadEntry(entry);
  }

 private:
  absl::Status Error(int code, absl::string_view what) const {
    char* told = nullptr;
    if (ldap_ != nullptr) ldap_get_option(ldap_, LDAP_OPT_DIAGNOSTIC_MESSAGE, &told);
    std::string text = absl::StrCat("LDAP: ", what, ": ", ldap_err2string(code));
    if (told != nullptr && *told != '\0') {
      absl::StrAppend(&text, " (", Scrubbed(told, bind_password_), ")");
    }
    if (told != nullptr) ldap_memfree(told);
    return absl::UnavailableError(text);
  }

  std::optional<LookupAnswer> Failed(int code, absl::string_view what, std::string* why) const {
    std::string text = std::string(Error(code, what).message());
    if (IsBroken(code)) {
      *why = std::move(text);
      return std::nullopt;
    }
    return LookupAnswer::Of(LookupAnswer::Kind::kTemporary, std::move(text));
  }

  absl::Status Open(const std::string& uri, Deadline deadline) {
    const bool local = absl::StartsWith(uri, "ldapi:");
    RETURN_IF_ERROR(local ? OpenLocal(uri) : OpenSocket(uri, deadline));
    const int version = LDAP_VERSION3;
    ldap_set_option(ldap_, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(ldap_, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    ldap_set_option(ldap_, LDAP_OPT_RESTART, LDAP_OPT_ON);
    const bool whole = absl::StartsWith(uri, "ldaps:");
    if (local || (!start_tls_ && !whole)) return absl::OkStatus();
    if (!whole) RETURN_IF_ERROR(AskForTls(uri, deadline));
    return StartTls(uri, deadline);
  }

  absl::Status OpenLocal(const std::string& uri) {
    const int made = ldap_initialize(&ldap_, uri.c_str());
    if (made == LDAP_SUCCESS) return absl::OkStatus();
    ldap_ = nullptr;
    return Error(made, uri);
  }

  // We connect, because the library knows no moment by which it must be done.
  absl::Status OpenSocket(const std::string& uri, Deadline deadline) {
    LDAPURLDesc* parts = nullptr;
    if (ldap_url_parse(uri.c_str(), &parts) != LDAP_URL_SUCCESS) {
      return absl::FailedPreconditionError(absl::StrCat("LDAP: ", uri, " is no address"));
    }
    HostPort server;
    server.host = parts->lud_host == nullptr ? "localhost" : parts->lud_host;
    server.port = static_cast<uint16_t>(parts->lud_port);
    ldap_free_urldesc(parts);
    const absl::StatusOr<int> fd = ConnectSocket(server, deadline);
    if (!fd.ok()) return absl::UnavailableError(absl::StrCat("LDAP: ", fd.status().message()));
    fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) & ~O_NONBLOCK);
    const int made = ldap_init_fd(*fd, LDAP_PROTO_TCP, uri.c_str(), &ldap_);
    if (made == LDAP_SUCCESS) {
      fd_ = *fd;
      return absl::OkStatus();
    }
    close(*fd);
    ldap_ = nullptr;
    return Error(made, uri);
  }

  absl::Status AskForTls(const std::string& uri, Deadline deadline) {
    int id = 0;
    int code = ldap_start_tls(ldap_, nullptr, nullptr, &id);
    Message answer;
    if (code == LDAP_SUCCESS) code = Receive(id, deadline, &answer);
    return code == LDAP_SUCCESS ? absl::OkStatus() : Error(code, absl::StrCat(uri, ": StartTLS"));
  }

  absl::Status StartTls(const std::string& uri, Deadline deadline) {
    if (!ca_file_.empty()) ldap_set_option(ldap_, LDAP_OPT_X_TLS_CACERTFILE, ca_file_.c_str());
    const int verify = insecure_ ? LDAP_OPT_X_TLS_NEVER : LDAP_OPT_X_TLS_DEMAND;
    ldap_set_option(ldap_, LDAP_OPT_X_TLS_REQUIRE_CERT, &verify);
    // The settings above count for a new context only.
    const int client = 0;
    if (ldap_set_option(ldap_, LDAP_OPT_X_TLS_NEWCTX, &client) != LDAP_OPT_SUCCESS) {
      return absl::FailedPreconditionError(
          absl::StrCat("LDAP: TLS cannot be set up; check ca = ", ca_file_));
    }
    // With a timeout of its own the library (2.5) spins on a server that says nothing.
    const timeval never = {-1, 0};
    ldap_set_option(ldap_, LDAP_OPT_NETWORK_TIMEOUT, &never);
    Watchdog watchdog;
    RETURN_IF_ERROR(watchdog.Start(fd_, deadline));
    const int code = ldap_install_tls(ldap_);
    if (code != LDAP_SUCCESS) return Error(code, absl::StrCat(uri, ": TLS"));
    return absl::OkStatus();
  }

  // Anonymous too: it shows that the server answers.
  absl::Status Bind(Deadline deadline) {
    berval password;
    password.bv_val = const_cast<char*>(bind_password_.view().data());
    password.bv_len = bind_password_.size();
    int id = 0;
    int code =
        ldap_sasl_bind(ldap_, bind_dn_.c_str(), LDAP_SASL_SIMPLE, &password, nullptr, nullptr, &id);
    if (code != LDAP_SUCCESS) return Error(code, "bind");
    Message answer;
    code = Receive(id, deadline, &answer);
    if (code != LDAP_SUCCESS) return Error(code, "bind");
    return absl::OkStatus();
  }

  // The whole answer to request `id`; returns its result code.
  int Receive(int id, Deadline deadline, Message* answer) {
    timeval left = TimevalLeft(deadline);
    LDAPMessage* received = nullptr;
    const int kind = ldap_result(ldap_, id, LDAP_MSG_ALL, &left, &received);
    answer->reset(received);
    if (kind == 0) return LDAP_TIMEOUT;
    if (kind < 0) {
      int code = LDAP_SERVER_DOWN;
      ldap_get_option(ldap_, LDAP_OPT_RESULT_CODE, &code);
      return code == LDAP_SUCCESS ? LDAP_SERVER_DOWN : code;
    }
    int code = LDAP_DECODING_ERROR;
    if (ldap_parse_result(ldap_, received, &code, nullptr, nullptr, nullptr, nullptr, 0) !=
        LDAP_SUCCESS) {
      return LDAP_DECODING_ERROR;
    }
    return code;
  }

  LookupAnswer ReadEntry(LDAPMessage* entry) const {
    std::array<std::optional<Secret>, 3> found;
    for (size_t i = 0; i < attributes_.size(); ++i) {
      if (attributes_[i].empty()) continue;
      berval** values = ldap_get_values_len(ldap_, entry, attributes_[i].c_str());
      if (values == nullptr) continue;
      const int count = ldap_count_values_len(values);
      if (count == 1) found[i].emplace(absl::string_view(values[0]->bv_val, values[0]->bv_len));
      for (int n = 0; n < count; ++n) WipeMemory(values[n]->bv_val, values[n]->bv_len);
      ldap_value_free_len(values);
      if (count > 1) {
        return LookupAnswer::Of(LookupAnswer::Kind::kTemporary,
                                absl::StrCat("LDAP: ", attributes_[i], " has several values"));
      }
    }
    AnswerRow row;
    if (found[0].has_value()) row.target = std::string(found[0]->view());
    if (found[1].has_value()) row.login_user = std::string(found[1]->view());
    row.login_secret = std::move(found[2]);
    return AnswerOf(std::move(row), "LDAP");
  }

  const std::vector<std::string> uris_;
  const bool start_tls_;
  const std::string ca_file_;
  const bool insecure_;
  const std::string bind_dn_;
  const Secret bind_password_;
  const std::string base_;
  const int scope_;
  const std::string filter_;
  const std::array<std::string, 3> attributes_;  // in the order of AnswerRow
  LDAP* ldap_ = nullptr;
  int fd_ = -1;  // of ldap_, whose it is
};

}  // namespace

std::string EscapeFilterValue(absl::string_view value) {
  std::string escaped;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || absl::StrContains("*()\\", absl::string_view(&c, 1))) {
      absl::StrAppendFormat(&escaped, "\\%02x", byte);
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::unique_ptr<LookupSource> MakeLdapSource(const LdapOptions& options) {
  return std::make_unique<LdapSource>(options);
}

}  // namespace postern::routing
