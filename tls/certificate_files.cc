#include "tls/certificate_files.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/secret.h"
#include "proxy/base/status_macros.h"
#include "tls/errors.h"
#include "tls/server_names.h"

namespace postern::tls {
namespace {

// A trust store of the whole web is 200 KB.
constexpr size_t kFileBytesMax = 4 << 20;

absl::Status Invalid(const std::string& file, absl::string_view sentence) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", sentence));
}

absl::Status Unreadable(const std::string& file, int error) {
  const absl::string_view mend = error == ENOENT   ? "check the path"
                                 : error == EACCES ? "let the user postern runs as read it"
                                                   : "check the file and its file system";
  return Invalid(file, absl::StrCat("cannot be read: ", strerror(error), "; ", mend));
}

struct FileText {
  Secret text;
  bool others_may_read = false;
};

absl::StatusOr<FileText> ReadFile(const std::string& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Unreadable(file, errno);
  std::string text;
  struct stat facts = {};
  int error = fstat(fd, &facts) == 0 ? 0 : errno;
  if (error == 0 && S_ISDIR(facts.st_mode)) error = EISDIR;
  while (error == 0 && text.size() <= kFileBytesMax) {
    char chunk[16384];
    const ssize_t bytes = read(fd, chunk, sizeof(chunk));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) error = errno;
    if (bytes <= 0) break;
    // Growing in place would leave pieces of a key behind in freed memory.
    if (text.capacity() < text.size() + static_cast<size_t>(bytes)) {
      std::string larger;
      larger.reserve(2 * text.capacity() + sizeof(chunk));
      larger = text;
      WipeMemory(text.data(), text.size());
      text.swap(larger);
    }
    text.append(chunk, static_cast<size_t>(bytes));
    WipeMemory(chunk, static_cast<size_t>(bytes));
  }
  close(fd);
  FileText result{Secret(text), (facts.st_mode & S_IROTH) != 0};
  WipeMemory(text.data(), text.size());
  if (error != 0) return Unreadable(file, error);
  if (result.text.empty()) return Invalid(file, "is empty; expected PEM text");
  if (result.text.size() > kFileBytesMax) return Invalid(file, "is larger than 4 MiB: not PEM");
  return result;
}

BioPtr MemoryBio(const Secret& text) {
  BioPtr bio(BIO_new_mem_buf(text.view().data(), static_cast<int>(text.size())));
  CHECK(bio != nullptr);
  return bio;
}

// OpenSSL's own callback would ask on the terminal.
int RefusePassword(char* /*buffer*/, int /*size*/, int /*is_write*/, void* asked) {
  if (asked != nullptr) *static_cast<bool*>(asked) = true;
  return -1;
}

absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(const std::string& file, const Secret& text,
                                                       OSSL_LIB_CTX* library) {
  const BioPtr bio = MemoryBio(text);
  std::vector<X509Ptr> certificates;
  while (true) {
    X509* certificate = X509_new_ex(library, nullptr);
    CHECK(certificate != nullptr);
    // On failure the certificate is freed and the pointer cleared.
    if (PEM_read_bio_X509(bio.get(), &certificate, RefusePassword, nullptr) != nullptr) {
      certificates.emplace_back(certificate);
      continue;
    }
    X509_free(certificate);
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) break;
    return Invalid(file, absl::StrCat("certificate ", certificates.size() + 1,
                                      " in it is damaged or cut off (", TakeErrorText(),
                                      "); copy the file again"));
  }
  ClearErrors();
  if (!certificates.empty()) return certificates;
  if (absl::StrContains(text.view(), "PRIVATE KEY-----")) {
    return Invalid(file, "holds a private key but no certificate; are chain and key swapped?");
  }
  return Invalid(file,
                 "holds no certificate; expected PEM text with \"-----BEGIN CERTIFICATE-----\"");
}

absl::StatusOr<KeyPtr> ParseKey(const std::string& file, const Secret& text,
                                OSSL_LIB_CTX* library) {
  const BioPtr bio = MemoryBio(text);
  bool asked = false;
  KeyPtr key(
      PEM_read_bio_PrivateKey_ex(bio.get(), nullptr, RefusePassword, &asked, library, nullptr));
  const std::string reason = TakeErrorText();
  if (key != nullptr) return key;
  if (asked) {
    return Invalid(file,
                   "the private key is encrypted and postern has no way to ask for its password; "
                   "write it without one: openssl pkey -in OLD -out NEW");
  }
  if (!absl::StrContains(text.view(), "PRIVATE KEY-----")) {
    return Invalid(file,
                   "holds no private key; expected PEM text with \"-----BEGIN PRIVATE KEY-----\"");
  }
  return Invalid(file, absl::StrCat("the private key is damaged or cut off (", reason,
                                    "); copy the file again"));
}

struct Moment {
  int64_t unix_seconds = 0;
  std::string text;
};

std::optional<Moment> ReadTime(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  char text[64];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return Moment{timegm(&parts), std::string(text, size)};
}

// Checks the time of the leaf against the system's clock.
absl::Status CheckValidity(const std::string& file, const X509* leaf, CertificateInfo* info) {
  const std::optional<Moment> before = ReadTime(X509_get0_notBefore(leaf));
  const std::optional<Moment> after = ReadTime(X509_get0_notAfter(leaf));
  if (!before || !after) return Invalid(file, "the certificate has no readable validity time");
  info->not_after_unix = after->unix_seconds;
  const int64_t now = std::time(nullptr);
  if (after->unix_seconds < now) {
    return Invalid(file, absl::StrCat("the certificate expired on ", after->text, "; renew it"));
  }
  if (before->unix_seconds > now) {
    return Invalid(file, absl::StrCat("the certificate is not valid before ", before->text,
                                      "; check this machine's clock or wait"));
  }
  return absl::OkStatus();
}

absl::string_view TextOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

void AddName(absl::string_view name, std::vector<std::string>* names) {
  if (!IsServerName(name, /*wildcard_allowed=*/true)) return;
  std::string lower = absl::AsciiStrToLower(name);
  if (std::find(names->begin(), names->end(), lower) == names->end()) {
    names->push_back(std::move(lower));
  }
}

// DNS names of the subject alternative name extension; the common name only where there is no such
// extension (RFC 6125 section 6.4.4).
absl::Status ReadNames(const std::string& file, const X509* leaf, CertificateInfo* info) {
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr));
  bool has_address = false;
  if (names != nullptr) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
      if (name->type == GEN_DNS) AddName(TextOf(name->d.dNSName), &info->names);
      if (name->type == GEN_IPADD) has_address = true;
    }
    GENERAL_NAMES_free(names);
  } else {
    const X509_NAME* subject = X509_get_subject_name(leaf);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0) {
      AddName(TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))), &info->names);
    }
  }
  ClearErrors();
  if (!info->names.empty() || has_address) return absl::OkStatus();
  return Invalid(file,
                 "the certificate names no server, neither as subject alternative name nor as "
                 "common name; have it issued for the names your clients connect to");
}

std::string KeyKindText(const EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  switch (KeyKindOf(key)) {
    case KeyKind::kRsa:
      return absl::StrCat("RSA ", bits);
    case KeyKind::kEcdsa: {
      char group[64];
      size_t size = 0;
      if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                         &size) != 1) {
        return absl::StrCat("ECDSA ", bits);
      }
      const char* nist = EC_curve_nid2nist(OBJ_txt2nid(group));
      return absl::StrCat("ECDSA ", nist == nullptr ? group : nist);
    }
    case KeyKind::kOther:
      break;
  }
  const char* name = EVP_PKEY_get0_type_name(key);
  return name == nullptr ? "unknown" : name;
}

}  // namespace

KeyKind KeyKindOf(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
      return KeyKind::kEcdsa;
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return KeyKind::kRsa;
    default:
      return KeyKind::kOther;
  }
}

absl::StatusOr<std::vector<X509Ptr>> LoadPemCertificates(const std::string& file,
                                                         OSSL_LIB_CTX* library) {
  ASSIGN_OR_RETURN(const FileText content, ReadFile(file));
  return ParseCertificates(file, content.text, library);
}

absl::Status TrustFile(SSL_CTX* context, const std::string& file, OSSL_LIB_CTX* library) {
  ASSIGN_OR_RETURN(const std::vector<X509Ptr> certificates, LoadPemCertificates(file, library));
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const X509Ptr& certificate : certificates) {
    if (X509_STORE_add_cert(store, certificate.get()) != 1) {
      return Invalid(file, absl::StrCat("OpenSSL refuses a certificate in it: ", TakeErrorText()));
    }
  }
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  return absl::OkStatus();
}

absl::StatusOr<LoadedCertificate> LoadCertificate(const CertificateFiles& files,
                                                  OSSL_LIB_CTX* library,
                                                  std::vector<std::string>* warnings) {
  ASSIGN_OR_RETURN(std::vector<X509Ptr> chain, LoadPemCertificates(files.chain, library));
  LoadedCertificate loaded;
  loaded.leaf = std::move(chain.front());
  loaded.intermediates.reset(sk_X509_new_null());
  CHECK(loaded.intermediates != nullptr);
  for (size_t i = 1; i < chain.size(); ++i) {
    CHECK(sk_X509_push(loaded.intermediates.get(), chain[i].release()) > 0);
  }
  loaded.info.file = files.chain;

  ASSIGN_OR_RETURN(const FileText key_file, ReadFile(files.key));
  ASSIGN_OR_RETURN(loaded.key, ParseKey(files.key, key_file.text, library));
  if (X509_check_private_key(loaded.leaf.get(), loaded.key.get()) != 1) {
    ClearErrors();
    return Invalid(files.key,
                   absl::StrCat("is not the key of the first certificate in ", files.chain,
                                "; give the key that certificate was issued for"));
  }
  if (key_file.others_may_read) {
    warnings->push_back(absl::StrCat(files.key,
                                     ": everybody on this machine may read this private key; "
                                     "chmod o= it"));
  }
  loaded.kind = KeyKindOf(loaded.key.get());
  loaded.info.key_kind = KeyKindText(loaded.key.get());
  RETURN_IF_ERROR(CheckValidity(files.chain, loaded.leaf.get(), &loaded.info));
  RETURN_IF_ERROR(ReadNames(files.chain, loaded.leaf.get(), &loaded.info));
  return loaded;
}

}  // namespace postern::tls
