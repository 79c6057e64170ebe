#include "proxy/digest_md5.h"

#ifdef POSTERN_DIGEST_MD5
#include <gsasl.h>
#endif

#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/pop3/digest_response.h"
#include "tls/digest.h"

namespace postern {
namespace {

// UTF-8 as ISO 8859-1, or as it is when some letter of it has no place there.
Secret InLatin1(absl::string_view text) {
  Secret latin1(text);
  char* const begin = const_cast<char*>(latin1.view().data());
  char* end = begin;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      *end++ = text[i];
      continue;
    }
    // U+0080 to U+00FF are C2 80 to C3 BF.
    if ((byte != 0xC2 && byte != 0xC3) || i + 1 == text.size() ||
        (static_cast<unsigned char>(text[i + 1]) & 0xC0) != 0x80) {
      return Secret(text);
    }
    const auto next = static_cast<unsigned char>(text[++i]);
    *end++ = static_cast<char>(((byte & 0x03) << 6) | (next & 0x3F));
  }
  return Secret(absl::string_view(begin, static_cast<size_t>(end - begin)));
}

// H({ username-value, ":", realm-value, ":", passwd }) of RFC 2831 section 2.1.2.1.
Secret KeyOf(const pop3::DigestResponse& response, absl::string_view secret) {
  const Secret user = InLatin1(response.user);
  const Secret realm = InLatin1(response.realm);
  const Secret password = InLatin1(secret);
  const absl::StatusOr<std::string> key =
      tls::Md5Hex(absl::StrCat(user.view(), ":", realm.view(), ":"), password.view());
  return key.ok() ? Secret(*key) : Secret();
}

}  // namespace

bool DigestMd5Exchange::Verify(absl::string_view response, absl::string_view secret) {
  if (!verdict_.has_value()) {
    response_ = Secret(response);
    secret_ = Secret(secret);
    verdict_ = false;
    const std::optional<pop3::DigestResponse> read = pop3::ReadDigestResponse(response);
    if (read.has_value()) {
      const Secret key = KeyOf(*read, secret);
      verdict_ = !key.empty() && Judge(std::string(response), read->user, key);
    }
  }
  return *verdict_ && ConstantTimeEquals(response_.view(), response) &&
         ConstantTimeEquals(secret_.view(), secret);
}

#ifdef POSTERN_DIGEST_MD5

namespace {

struct SessionEnd {
  void operator()(Gsasl_session* session) const { gsasl_finish(session); }
};

// Asks nobody: what the library may know was set before each step.
int AskNobody(Gsasl*, Gsasl_session*, Gsasl_property) { return GSASL_NO_CALLBACK; }

// One for each thread: the library's handles are not for several at a time.
Gsasl* ThreadHandle() {
  struct Handle {
    Handle() {
      if (gsasl_init(&gsasl) != GSASL_OK) gsasl = nullptr;
      if (gsasl != nullptr) gsasl_callback_set(gsasl, &AskNobody);
    }
    ~Handle() {
      if (gsasl != nullptr) gsasl_done(gsasl);
    }
    Gsasl* gsasl = nullptr;
  };
  thread_local Handle handle;
  return handle.gsasl;
}

class GnuExchange : public DigestMd5Exchange {
 public:
  bool Start(const std::string& realm) {
    Gsasl* gsasl = ThreadHandle();
    Gsasl_session* session = nullptr;
    if (gsasl == nullptr || gsasl_server_start(gsasl, "DIGEST-MD5", &session) != GSASL_OK) {
      return false;
    }
    session_.reset(session);
    gsasl_property_set(session, GSASL_SERVICE, "pop");
    gsasl_property_set(session, GSASL_HOSTNAME, realm.c_str());
    gsasl_property_set(session, GSASL_REALM, realm.c_str());
    gsasl_property_set(session, GSASL_QOPS, "qop-auth");
    return Step("", GSASL_NEEDS_MORE, &challenge_) && !challenge_.empty();
  }

 protected:
  bool Judge(const std::string& response, const std::string& user, const Secret& key) override {
    gsasl_property_set_raw(session_.get(), GSASL_DIGEST_MD5_HASHED_PASSWORD, key.view().data(),
                           key.view().size());
    // Whose secret it must be was read by us, and is read by the library: both must read the same.
    const bool right = Step(response, GSASL_OK, &proof_) && Says(GSASL_AUTHID, user);
    // Its nonce is used up.
    session_.reset();
    return right;
  }

 private:
  bool Says(Gsasl_property property, const std::string& wanted) const {
    const char* said = gsasl_property_fast(session_.get(), property);
    return said != nullptr && wanted == said;
  }

  bool Step(const std::string& input, int wanted, std::string* output) {
    char* bytes = nullptr;
    size_t size = 0;
    const int result = gsasl_step(session_.get(), input.data(), input.size(), &bytes, &size);
    if (result == wanted) output->assign(bytes, size);
    if (result == GSASL_OK || result == GSASL_NEEDS_MORE) gsasl_free(bytes);
    return result == wanted;
  }

  std::unique_ptr<Gsasl_session, SessionEnd> session_;
};

}  // namespace

std::unique_ptr<DigestMd5Exchange> DigestMd5Exchange::Begin(const std::string& realm) {
  auto exchange = std::make_unique<GnuExchange>();
  if (!exchange->Start(realm)) return nullptr;
  return exchange;
}

#else

std::unique_ptr<DigestMd5Exchange> DigestMd5Exchange::Begin(const std::string&) { return nullptr; }

#endif

}  // namespace postern
