#include <arpa/inet.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/check.h"
#include "proxy/base/status_macros.h"
#include "tls/certificate_files.h"
#include "tls/context.h"
#include "tls/errors.h"
#include "tls/library.h"
#include "tls/policy.h"
#include "tls/server_names.h"

namespace postern::tls {
namespace {

bool IsIpAddress(const std::string& text) {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address) == 1;
}

}  // namespace

struct ClientContext::Impl {
  SslContextPtr context;
  std::string sni;        // empty: the backend is known by its address
  SslSessionPtr session;  // the latest, when sessions are resumed

  // OpenSSL calls this for every ticket.
  static int OnNewSession(SSL* ssl, SSL_SESSION* session) {
    auto* impl = static_cast<Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    // A copy: OpenSSL spoils the original when its connection ends without close_notify.
    impl->session.reset(SSL_SESSION_dup(session));
    return 0;
  }
};

ClientContext::ClientContext() : impl_(std::make_unique<Impl>()) {}
ClientContext::~ClientContext() = default;

absl::StatusOr<std::unique_ptr<ClientContext>> ClientContext::Create(const ClientOptions& options,
                                                                     Library* library) {
  OSSL_LIB_CTX* const library_context = library->impl_->context;
  std::unique_ptr<ClientContext> client(new ClientContext);
  Policy policy;
  policy.version_min = options.version_min;
  policy.version_max = options.version_max;
  policy.ciphers = options.ciphers;
  policy.ciphersuites = options.ciphersuites;
  policy.groups = options.groups;
  ASSIGN_OR_RETURN(client->impl_->context, NewSslContext(library_context, policy));
  SSL_CTX* const raw = client->impl_->context.get();

  absl::string_view bare = absl::StripSuffix(options.server_name, ".");
  if (absl::ConsumePrefix(&bare, "[")) bare = absl::StripSuffix(bare, "]");
  const std::string name(bare);
  const bool is_address = IsIpAddress(name);
  if (!is_address && !name.empty() && !IsServerName(name, /*wildcard_allowed=*/false)) {
    return absl::InvalidArgumentError(
        "the server name of a backend must be a host name or an IP address");
  }
  if (!is_address) client->impl_->sni = name;
  if (options.alpn) {
    static constexpr unsigned char kProtocols[] = {4, 'p', 'o', 'p', '3'};
    // The one call here that returns 0 when it worked.
    CHECK(SSL_CTX_set_alpn_protos(raw, kProtocols, sizeof(kProtocols)) == 0);
  }
  if (options.resume) {
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(raw, client->impl_.get());
    SSL_CTX_sess_set_new_cb(raw, &Impl::OnNewSession);
  } else {
    // Nobody asks backends for tickets: logins there are too rare per session to gain from them.
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  }

  if (options.insecure) {
    SSL_CTX_set_verify(raw, SSL_VERIFY_NONE, nullptr);
    return client;
  }
  if (name.empty()) {
    return absl::InvalidArgumentError(
        "to verify a backend's certificate its name is needed; set its server name, or set "
        "insecure to go without verification");
  }
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  X509_VERIFY_PARAM* const parameters = SSL_CTX_get0_param(raw);
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_address) {
    CHECK(X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str()) == 1);
  } else {
    CHECK(X509_VERIFY_PARAM_set1_host(parameters, name.data(), name.size()) == 1);
  }
  if (!options.ca_file.empty()) {
    RETURN_IF_ERROR(TrustFile(raw, options.ca_file, library_context));
  } else if (SSL_CTX_set_default_verify_paths(raw) != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("the system's trusted CAs cannot be loaded (", TakeErrorText(),
                     "); install ca-certificates or name a CA file"));
  }
  ClearErrors();
  return client;
}

std::unique_ptr<Engine> ClientContext::NewEngine(ByteArena* output) const {
  SSL* ssl = SSL_new(impl_->context.get());
  CHECK(ssl != nullptr);
  SSL_set_connect_state(ssl);
  if (!impl_->sni.empty()) CHECK(SSL_set_tlsext_host_name(ssl, impl_->sni.c_str()) == 1);
  if (impl_->session != nullptr) {
    const SslSessionPtr copy(SSL_SESSION_dup(impl_->session.get()));
    if (copy != nullptr) SSL_set_session(ssl, copy.get());
  }
  return std::make_unique<Engine>(ssl, output);
}

}  // namespace postern::tls
