#include "tls/digest.h"

#include <openssl/err.h>

#include "absl/strings/escaping.h"
#include "proxy/base/check.h"
#include "proxy/base/secret.h"
#include "proxy/base/status_macros.h"
#include "tls/openssl_types.h"
#include "tls/random.h"

namespace postern::tls {

absl::StatusOr<std::string> Md5Hex(absl::string_view a, absl::string_view b) {
  // "-fips" lifts a system-wide preference for approved algorithms, for this fetch only.
  DigestPtr md5(EVP_MD_fetch(nullptr, "MD5", "-fips"));
  if (md5 == nullptr) {
    ERR_clear_error();
    return absl::UnavailableError("this system's OpenSSL offers no MD5");
  }
  DigestContextPtr context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_DigestInit_ex2(context.get(), md5.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), a.data(), a.size()) != 1 ||
      EVP_DigestUpdate(context.get(), b.data(), b.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest, &size) != 1) {
    ERR_clear_error();
    return absl::UnavailableError("this system's OpenSSL refuses to compute MD5");
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::StatusOr<std::string> HmacMd5Hex(absl::string_view key, absl::string_view message) {
  constexpr size_t kBlockBytes = 64;
  std::string short_key;
  if (key.size() > kBlockBytes) {
    ASSIGN_OR_RETURN(const std::string hashed, Md5Hex(key, ""));
    short_key = absl::HexStringToBytes(hashed);
    key = short_key;
  }
  char inner[kBlockBytes];
  char outer[kBlockBytes];
  for (size_t i = 0; i < kBlockBytes; ++i) {
    const char byte = i < key.size() ? key[i] : '\0';
    inner[i] = static_cast<char>(byte ^ 0x36);
    outer[i] = static_cast<char>(byte ^ 0x5C);
  }
  absl::StatusOr<std::string> digest = Md5Hex(absl::string_view(inner, kBlockBytes), message);
  if (digest.ok()) {
    digest = Md5Hex(absl::string_view(outer, kBlockBytes), absl::HexStringToBytes(*digest));
  }
  // Either block is as good as the key.
  WipeMemory(inner, sizeof(inner));
  WipeMemory(outer, sizeof(outer));
  WipeMemory(short_key.data(), short_key.size());
  return digest;
}

std::array<char, 32> Sha256(std::initializer_list<absl::string_view> parts) {
  DigestContextPtr context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_DigestInit_ex2(context.get(), EVP_sha256(), nullptr) == 1);
  for (const absl::string_view part : parts) {
    CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  }
  std::array<char, 32> digest{};
  unsigned int size = 0;
  CHECK(EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), &size) ==
            1 &&
        size == digest.size());
  return digest;
}

namespace {

constexpr size_t kSha256Block = 64;

}  // namespace

// Both halves of the key have been hashed once; each message goes on from there.
struct RandomKeyedDigest::State {
  DigestContextPtr inner{EVP_MD_CTX_new()};
  DigestContextPtr outer{EVP_MD_CTX_new()};
};

RandomKeyedDigest::RandomKeyedDigest() : state_(std::make_unique<State>()) {
  unsigned char key[kSha256Block];
  RandomBytes(key, sizeof(key));
  DigestPtr sha256(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  CHECK(sha256 != nullptr);
  const auto begin = [&](EVP_MD_CTX* context, unsigned char pad) {
    unsigned char block[kSha256Block];
    for (size_t i = 0; i < kSha256Block; ++i) block[i] = static_cast<unsigned char>(key[i] ^ pad);
    CHECK(EVP_DigestInit_ex2(context, sha256.get(), nullptr) == 1);
    CHECK(EVP_DigestUpdate(context, block, sizeof(block)) == 1);
    WipeMemory(block, sizeof(block));
  };
  begin(state_->inner.get(), 0x36);
  begin(state_->outer.get(), 0x5C);
  WipeMemory(key, sizeof(key));
}

RandomKeyedDigest::~RandomKeyedDigest() = default;

std::array<char, 32> RandomKeyedDigest::Digest(absl::string_view message) const {
  DigestContextPtr context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  std::array<char, 32> digest{};
  auto* bytes = reinterpret_cast<unsigned char*>(digest.data());
  unsigned int size = 0;
  CHECK(EVP_MD_CTX_copy_ex(context.get(), state_->inner.get()) == 1);
  CHECK(EVP_DigestUpdate(context.get(), message.data(), message.size()) == 1);
  CHECK(EVP_DigestFinal_ex(context.get(), bytes, &size) == 1 && size == digest.size());
  CHECK(EVP_MD_CTX_copy_ex(context.get(), state_->outer.get()) == 1);
  CHECK(EVP_DigestUpdate(context.get(), bytes, digest.size()) == 1);
  CHECK(EVP_DigestFinal_ex(context.get(), bytes, &size) == 1 && size == digest.size());
  return digest;
}

}  // namespace postern::tls
