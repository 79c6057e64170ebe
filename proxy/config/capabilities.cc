// Lines of a CAPA answer as an operator writes them.
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {

bool ReadCapabilities(TableReader* reader, std::vector<std::string>* capabilities) {
  std::vector<LocatedText> lines;
  if (!reader->Strings("capabilities", &lines)) return false;
  capabilities->clear();
  for (const LocatedText& line : lines) {
    const std::string upper = absl::AsciiStrToUpper(line.text);
    const std::string word = upper.substr(0, upper.find(' '));
    if (!IsCapabilityLine(line.text)) {
      reader->Add(line.position, absl::StrCat("capability \"", line.text,
                                              "\" is not words of printable ASCII with single "
                                              "spaces; write it as in \"EXPIRE NEVER\""));
    } else if (word == "USER" || word == "SASL" || word == "STLS") {
      reader->Add(line.position,
                  absl::StrCat("capability ", word,
                               " is the proxy's own to announce, where it "
                               "holds; remove it (see [auth] and the listener's tls)"));
    } else {
      for (const std::string& other : *capabilities) {
        if (!absl::EqualsIgnoreCase(other.substr(0, other.find(' ')), word)) continue;
        reader->Add(line.position, absl::StrCat("capability ", word, " stands twice; remove one"));
      }
      capabilities->push_back(line.text);
    }
  }
  return true;
}

}  // namespace postern::config
