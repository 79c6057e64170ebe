#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/all_errors.h"
#include "proxy/base/check.h"
#include "proxy/base/status_macros.h"
#include "tls/certificate_files.h"
#include "tls/context.h"
#include "tls/engine_bio.h"
#include "tls/errors.h"
#include "tls/library.h"
#include "tls/policy.h"
#include "tls/server_names.h"
#include "tls/session_tickets.h"

namespace postern::tls {
namespace {

constexpr absl::string_view kProtocol = "pop3";  // ALPN, RFC 7301

// A client that comes back within this time may resume; shorter than any ticket key lives.
constexpr long kTicketLifetimeSeconds = 12 * 3600;

// A set of certificates that answers for the same names: one of each kind of key at most.
using CertificateSet = std::vector<size_t>;

// Binds tickets to the certificates they were made with: a ticket must not carry a client past the
// certificate of another name (CVE-2014-3616, CVE-2025-23419). The same on every worker.
void SetSessionIdContext(SSL_CTX* context, const std::vector<LoadedCertificate>& certificates,
                         const CertificateSet& set) {
  DigestContextPtr digest(EVP_MD_CTX_new());
  CHECK(digest != nullptr);
  CHECK(EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1);
  for (const size_t i : set) {
    unsigned char* encoded = nullptr;
    const int size = i2d_X509(certificates[i].leaf.get(), &encoded);
    CHECK(size > 0);
    CHECK(EVP_DigestUpdate(digest.get(), encoded, static_cast<size_t>(size)) == 1);
    OPENSSL_free(encoded);
  }
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_DigestFinal_ex(digest.get(), value, &size) == 1);
  CHECK(SSL_CTX_set_session_id_context(context, value, size) == 1);
}

// Asks clients for a certificate where the options want one.
absl::Status AskClients(const ServerOptions& options, SSL_CTX* context, OSSL_LIB_CTX* library) {
  if (options.client_certificate == ClientCertificate::kNone) return absl::OkStatus();
  RETURN_IF_ERROR(TrustFile(context, options.client_ca_file, library));
  // Clients with several certificates choose by these names.
  SSL_CTX_set_client_CA_list(
      context, SSL_load_client_CA_file_ex(options.client_ca_file.c_str(), library, nullptr));
  const bool required = options.client_certificate == ClientCertificate::kRequired;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  return absl::OkStatus();
}

}  // namespace

struct ServerContext::Impl {
  OSSL_LIB_CTX* library = nullptr;
  std::vector<CertificateInfo> infos;
  std::vector<std::string> warnings;
  std::vector<SslContextPtr> contexts;  // one per certificate set; the first is the default
  ServerNames names;                    // to an index of `contexts`
  std::shared_ptr<TicketKeys> tickets;
  CipherPtr ticket_cipher;
  size_t tickets_ecdsa = 0;
  size_t tickets_rsa = 0;
  bool tickets_tls12 = true;

  static Impl* Of(SSL* ssl) {
    return static_cast<Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  }

  void BuildNames(const std::vector<LoadedCertificate>& certificates,
                  std::vector<CertificateSet>* sets);
  absl::Status BuildContext(const ServerOptions& options,
                            const std::vector<LoadedCertificate>& certificates,
                            const CertificateSet& set);

  // Callbacks of OpenSSL.
  static int OnClientHello(SSL* ssl, int* alert, void* argument);
  static int OnServerName(SSL* ssl, int* alert, void* argument);
  static int OnProtocols(SSL* ssl, const unsigned char** selected, unsigned char* selected_size,
                         const unsigned char* offered, unsigned int offered_size, void* argument);
  static void OnMessage(int is_write, int version, int content_type, const void* message,
                        size_t size, SSL* ssl, void* argument);
  static int OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                      EVP_MAC_CTX* mac, int sealing);
};

// Chooses the certificates before OpenSSL looks at anything else in the hello, tickets among it:
// the older servername callback runs after a TLS 1.3 ticket has been accepted.
int ServerContext::Impl::OnClientHello(SSL* ssl, int* /*alert*/, void* argument) {
  const auto* impl = static_cast<const Impl*>(argument);
  const unsigned char* body = nullptr;
  size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &body, &size) != 1) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  const absl::string_view name = HostNameFromExtension({reinterpret_cast<const char*>(body), size});
  const size_t index = impl->names.Find(name, 0);
  // The connection began with the default one.
  if (index != 0) CHECK(SSL_set_SSL_CTX(ssl, impl->contexts[index].get()) != nullptr);
  return SSL_CLIENT_HELLO_SUCCESS;
}

// The choice is made already; this one only lets OpenSSL keep the name and acknowledge it.
int ServerContext::Impl::OnServerName(SSL* /*ssl*/, int* /*alert*/, void* /*argument*/) {
  return SSL_TLSEXT_ERR_OK;
}

// A client that wants another protocol was lured here (ALPACA): fatal alert, no session. This is
// not called for clients that offer no list, as most mail clients do.
int ServerContext::Impl::OnProtocols(SSL* /*ssl*/, const unsigned char** selected,
                                     unsigned char* selected_size, const unsigned char* offered,
                                     unsigned int offered_size, void* /*argument*/) {
  absl::string_view rest(reinterpret_cast<const char*>(offered), offered_size);
  while (!rest.empty()) {
    const size_t size = static_cast<unsigned char>(rest[0]);
    const absl::string_view protocol = rest.substr(1, size);
    if (protocol == kProtocol) {
      *selected = reinterpret_cast<const unsigned char*>(protocol.data());
      *selected_size = static_cast<unsigned char>(protocol.size());
      return SSL_TLSEXT_ERR_OK;
    }
    rest.remove_prefix(std::min(rest.size(), size + 1));
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Says how many TLS 1.3 tickets to send, when it is known which certificate is in use.
void ServerContext::Impl::OnMessage(int is_write, int version, int content_type,
                                    const void* message, size_t size, SSL* ssl, void* argument) {
  EngineBio::OnMessage(is_write, version, content_type, message, size, ssl, argument);
  if (is_write == 0 || content_type != SSL3_RT_HANDSHAKE || size == 0) return;
  if (SSL_version(ssl) != TLS1_3_VERSION) return;
  const unsigned char type = *static_cast<const unsigned char*>(message);
  if (type == SSL3_MT_ENCRYPTED_EXTENSIONS && SSL_session_reused(ssl) == 1) {
    SSL_set_num_tickets(ssl, 1);  // tickets are used once; this is the next one
  } else if (type == SSL3_MT_CERTIFICATE_VERIFY) {
    const Impl* impl = Of(ssl);
    const EVP_PKEY* key = SSL_get_privatekey(ssl);
    const bool rsa = key != nullptr && KeyKindOf(key) == KeyKind::kRsa;
    SSL_set_num_tickets(ssl, rsa ? impl->tickets_rsa : impl->tickets_ecdsa);
  }
}

// 0: no ticket, or one we cannot open: a full handshake. 1: done. 2: opened, and the client should
// get a new one: its key is old, or it is a TLS 1.3 ticket, which is used only once.
int ServerContext::Impl::OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv,
                                  EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
  const Impl* impl = Of(ssl);
  const bool tls12 = SSL_version(ssl) <= TLS1_2_VERSION;
  if (sealing != 0 && tls12 && !impl->tickets_tls12) return 0;
  TicketKeys::Found found;
  if (sealing != 0) {
    found = {impl->tickets->Current(), true};
    std::memcpy(name, found.key.name.data(), found.key.name.size());
    const int iv_size = EVP_CIPHER_get_iv_length(impl->ticket_cipher.get());
    if (RAND_bytes_ex(impl->library, iv, static_cast<size_t>(iv_size), 0) != 1) return -1;
  } else {
    auto known = impl->tickets->Find({reinterpret_cast<const char*>(name), found.key.name.size()});
    if (!known.has_value()) return 0;
    found = *known;
  }
  char sha256[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, found.key.mac_key.data(),
                                        found.key.mac_key.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
      OSSL_PARAM_construct_end(),
  };
  if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
  if (EVP_CipherInit_ex2(cipher, impl->ticket_cipher.get(), found.key.cipher_key.data(), iv,
                         sealing != 0 ? 1 : 0, nullptr) != 1) {
    return -1;
  }
  return sealing != 0 || (tls12 && found.current) ? 1 : 2;
}

// Sorts the certificates into sets, the default first, and the names to their sets.
void ServerContext::Impl::BuildNames(const std::vector<LoadedCertificate>& certificates,
                                     std::vector<CertificateSet>* sets) {
  const auto add = [&certificates](size_t i, CertificateSet* set) {
    for (const size_t present : *set) {
      if (certificates[present].kind == certificates[i].kind) return false;
    }
    set->push_back(i);
    return true;
  };
  std::map<std::string, CertificateSet> by_name;
  std::vector<bool> used(certificates.size());
  for (size_t i = 0; i < certificates.size(); ++i) {
    for (const std::string& name : certificates[i].info.names) {
      if (add(i, &by_name[name])) used[i] = true;
    }
  }
  // Default: the first certificate and those of other kinds which have all of its names.
  CertificateSet fallback = {0};
  used[0] = true;
  for (size_t i = 1; i < certificates.size(); ++i) {
    const std::vector<std::string>& own = certificates[i].info.names;
    const std::vector<std::string>& wanted = certificates[0].info.names;
    const bool all = std::all_of(wanted.begin(), wanted.end(), [&own](const std::string& name) {
      return std::find(own.begin(), own.end(), name) != own.end();
    });
    if (all && add(i, &fallback)) used[i] = true;
  }
  sets->push_back(fallback);
  for (const auto& [name, set] : by_name) {
    const auto known = std::find(sets->begin(), sets->end(), set);
    names.Add(name, static_cast<size_t>(known - sets->begin()));
    if (known == sets->end()) sets->push_back(set);
  }
  for (size_t i = 0; i < certificates.size(); ++i) {
    if (used[i]) continue;
    warnings.push_back(absl::StrCat(certificates[i].info.file,
                                    ": is never used, because certificates before it with the "
                                    "same kind of key have all of its names; remove one"));
  }
}

absl::Status ServerContext::Impl::BuildContext(const ServerOptions& options,
                                               const std::vector<LoadedCertificate>& certificates,
                                               const CertificateSet& set) {
  const Policy policy = {true, options.version_min, options.ciphers, options.ciphersuites,
                         options.groups};
  ASSIGN_OR_RETURN(SslContextPtr context, NewSslContext(library, policy));
  SSL_CTX* const raw = context.get();
  // A client that prefers ChaCha20 has no AES in hardware: let it. Passwords come this way, so the
  // library wipes its own copy of what it decrypted.
  SSL_CTX_set_options(
      raw, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CLEANSE_PLAINTEXT);
  for (const size_t i : set) {
    const LoadedCertificate& certificate = certificates[i];
    if (SSL_CTX_use_cert_and_key(raw, certificate.leaf.get(), certificate.key.get(),
                                 certificate.intermediates.get(), 1) != 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          certificate.info.file, ": OpenSSL refuses this certificate (", certificate.info.key_kind,
          "): ", TakeErrorText(), "; have it issued again with a P-256 or 2048-bit RSA key"));
    }
  }
  RETURN_IF_ERROR(AskClients(options, raw, library));
  SetSessionIdContext(raw, certificates, set);
  SSL_CTX_set_app_data(raw, this);
  SSL_CTX_set_client_hello_cb(raw, OnClientHello, this);
  SSL_CTX_set_tlsext_servername_callback(raw, OnServerName);
  SSL_CTX_set_alpn_select_cb(raw, OnProtocols, nullptr);
  SSL_CTX_set_msg_callback(raw, OnMessage);
  CHECK(SSL_CTX_set_num_tickets(raw, 0) == 1);  // until OnMessage knows better
  CHECK(SSL_CTX_set_recv_max_early_data(raw, 0) == 1);
  SSL_CTX_set_timeout(raw, kTicketLifetimeSeconds);
  CHECK(SSL_CTX_set_tlsext_ticket_key_evp_cb(raw, OnTicket) == 1);
  if (tickets_ecdsa + tickets_rsa == 0 && !tickets_tls12) {
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  }
  contexts.push_back(std::move(context));
  return absl::OkStatus();
}

ServerContext::ServerContext() : impl_(std::make_unique<Impl>()) {}
ServerContext::~ServerContext() = default;

absl::StatusOr<std::unique_ptr<ServerContext>> ServerContext::Create(
    const ServerOptions& options, Library* library, std::shared_ptr<TicketKeys> tickets) {
  if (options.certificates.empty()) {
    return absl::InvalidArgumentError(
        "a listener with TLS needs a certificate; name its chain and key in [tls] certificates");
  }
  std::unique_ptr<ServerContext> context(new ServerContext);
  Impl* impl = context->impl_.get();
  impl->library = library->impl_->context;
  impl->tickets = tickets != nullptr ? std::move(tickets) : std::make_shared<TicketKeys>();
  impl->ticket_cipher.reset(EVP_CIPHER_fetch(impl->library, "AES-256-CBC", nullptr));
  CHECK(impl->ticket_cipher != nullptr);
  const bool resumable = options.client_certificate == ClientCertificate::kNone;
  impl->tickets_ecdsa =
      static_cast<size_t>(resumable ? std::clamp(options.tickets_ecdsa, 0, 8) : 0);
  impl->tickets_rsa = static_cast<size_t>(resumable ? std::clamp(options.tickets_rsa, 0, 8) : 0);
  impl->tickets_tls12 = resumable && options.tickets_tls12;

  std::vector<LoadedCertificate> certificates;
  AllErrors errors;
  for (const CertificateFiles& files : options.certificates) {
    absl::StatusOr<LoadedCertificate> loaded =
        LoadCertificate(files, impl->library, &impl->warnings);
    errors.Add(loaded.status());
    if (!loaded.ok()) continue;
    impl->infos.push_back(loaded->info);
    certificates.push_back(*std::move(loaded));
  }
  RETURN_IF_ERROR(errors.ToStatus());
  std::vector<CertificateSet> sets;
  impl->BuildNames(certificates, &sets);
  for (const CertificateSet& set : sets) {
    RETURN_IF_ERROR(impl->BuildContext(options, certificates, set));
  }
  ClearErrors();
  return context;
}

std::unique_ptr<Engine> ServerContext::NewEngine(ByteArena* output) const {
  SSL* ssl = SSL_new(impl_->contexts.front().get());
  CHECK(ssl != nullptr);
  SSL_set_accept_state(ssl);
  return std::make_unique<Engine>(ssl, output);
}

const std::vector<CertificateInfo>& ServerContext::certificates() const { return impl_->infos; }

const std::vector<std::string>& ServerContext::warnings() const { return impl_->warnings; }

}  // namespace postern::tls
