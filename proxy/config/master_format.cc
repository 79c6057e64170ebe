#include "proxy/config/master_format.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/check.h"
#include "proxy/config/draft.h"

namespace postern::config {
namespace {

constexpr absl::string_view kUser = "{user}";
constexpr absl::string_view kMaster = "{master}";
constexpr size_t kSeparatorBytesMax = 8;

bool IsSeparator(absl::string_view text) {
  return !text.empty() && text.size() <= kSeparatorBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return absl::ascii_ispunct(byte) && c != '{' && c != '}';
         });
}

}  // namespace

std::optional<MasterFormat> ParseMasterFormat(absl::string_view format) {
  MasterFormat parsed;
  parsed.user_first = absl::ConsumePrefix(&format, kUser);
  if (!parsed.user_first && !absl::ConsumePrefix(&format, kMaster)) return std::nullopt;
  if (!absl::ConsumeSuffix(&format, parsed.user_first ? kMaster : kUser)) return std::nullopt;
  if (!IsSeparator(format)) return std::nullopt;
  parsed.separator = format;
  return parsed;
}

std::optional<std::string> MasterLoginName(absl::string_view format, absl::string_view user,
                                           absl::string_view master) {
  const std::optional<MasterFormat> parsed = ParseMasterFormat(format);
  CHECK(parsed.has_value());
  if (user.find(parsed->separator) != absl::string_view::npos) return std::nullopt;
  return parsed->user_first ? absl::StrCat(user, parsed->separator, master)
                            : absl::StrCat(master, parsed->separator, user);
}

bool ReadMasterFormat(TableReader* reader, std::string* format) {
  if (!reader->String("master_format", format)) return false;
  if (ParseMasterFormat(*format).has_value()) return true;
  reader->Add(reader->At("master_format"),
              absl::StrCat("master_format = \"", *format,
                           "\" is not {user} and {master} with 1 to 8 signs between them that are "
                           "neither letters nor digits; write it as the backend wants it, such as "
                           "\"{user}*{master}\""));
  return false;
}

}  // namespace postern::config
