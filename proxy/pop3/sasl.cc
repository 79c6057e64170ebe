#include "proxy/pop3/sasl.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/escaping.h"
#include "proxy/pop3/command.h"

namespace postern::pop3 {
namespace {

// Room for a secret on its way from one form to another; overwritten before it is freed.
class Scratch {
 public:
  explicit Scratch(size_t capacity) : bytes_(new char[capacity]), capacity_(capacity) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { WipeMemory(bytes_.get(), capacity_); }

  void Append(char c) { bytes_[size_++] = c; }
  void Append(absl::string_view text) {
    for (const char c : text) Append(c);
  }
  absl::string_view view() const { return absl::string_view(bytes_.get(), size_); }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t capacity_;
  size_t size_ = 0;
};

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNotInAlphabet = 0xFF;

constexpr std::array<uint8_t, 256> MakeValues() {
  std::array<uint8_t, 256> values{};
  for (uint8_t& value : values) value = kNotInAlphabet;
  for (uint8_t i = 0; i < 64; ++i) values[static_cast<unsigned char>(kAlphabet[i])] = i;
  return values;
}
constexpr std::array<uint8_t, 256> kValues = MakeValues();

absl::Status NotBase64() { return absl::InvalidArgumentError("not valid base64"); }
absl::Status NotPlain() { return absl::InvalidArgumentError("not a valid PLAIN message"); }

void EncodeInto(absl::string_view bytes, Scratch* out) {
  const auto at = [&](size_t i) -> uint32_t {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0;
  };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t group = (at(i) << 16) | (at(i + 1) << 8) | at(i + 2);
    out->Append(kAlphabet[group >> 18]);
    out->Append(kAlphabet[(group >> 12) & 63]);
    out->Append(i + 1 < bytes.size() ? kAlphabet[(group >> 6) & 63] : '=');
    out->Append(i + 2 < bytes.size() ? kAlphabet[group & 63] : '=');
  }
}

}  // namespace

absl::StatusOr<Secret> DecodeBase64(absl::string_view text) {
  if (text.empty()) return Secret();
  if (text.size() % 4 != 0) return NotBase64();
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;

  Scratch bytes(text.size() / 4 * 3);
  uint32_t group = 0;
  const size_t digits = text.size() - padding;
  for (size_t i = 0; i < digits; ++i) {
    const uint8_t value = kValues[static_cast<unsigned char>(text[i])];
    if (value == kNotInAlphabet) return NotBase64();
    group = (group << 6) | value;
    if (i % 4 == 3) {
      bytes.Append(static_cast<char>(group >> 16));
      bytes.Append(static_cast<char>((group >> 8) & 0xFF));
      bytes.Append(static_cast<char>(group & 0xFF));
      group = 0;
    }
  }
  // The bits that padding leaves over must be zero: one text for one value.
  if (padding == 1) {
    if ((group & 0x3) != 0) return NotBase64();
    bytes.Append(static_cast<char>((group >> 10) & 0xFF));
    bytes.Append(static_cast<char>((group >> 2) & 0xFF));
  } else if (padding == 2) {
    if ((group & 0xF) != 0) return NotBase64();
    bytes.Append(static_cast<char>((group >> 4) & 0xFF));
  }
  return Secret(bytes.view());
}

std::string EncodeBase64(absl::string_view bytes) { return absl::Base64Escape(bytes); }

absl::StatusOr<PlainMessage> ParsePlain(absl::string_view message) {
  const size_t first = message.find('\0');
  if (first == absl::string_view::npos) return NotPlain();
  const size_t second = message.find('\0', first + 1);
  if (second == absl::string_view::npos) return NotPlain();
  const absl::string_view authorization_id = message.substr(0, first);
  const absl::string_view user = message.substr(first + 1, second - first - 1);
  const absl::string_view password = message.substr(second + 1);
  if (user.empty() || password.empty()) return NotPlain();
  // A third NUL stands in the password and is caught here.
  if (HasControlBytes(authorization_id) || HasControlBytes(user) || HasControlBytes(password)) {
    return NotPlain();
  }
  PlainMessage result;
  result.authorization_id = std::string(authorization_id);
  result.user = std::string(user);
  result.password = Secret(password);
  return result;
}

Secret EncodePlain(absl::string_view authorization_id, absl::string_view user,
                   absl::string_view password) {
  const size_t size = authorization_id.size() + 1 + user.size() + 1 + password.size();
  Scratch message(size);
  message.Append(authorization_id);
  message.Append('\0');
  message.Append(user);
  message.Append('\0');
  message.Append(password);
  Scratch encoded((size + 2) / 3 * 4);
  EncodeInto(message.view(), &encoded);
  return Secret(encoded.view());
}

}  // namespace postern::pop3
