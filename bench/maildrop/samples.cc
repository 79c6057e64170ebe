#include "bench/maildrop/samples.h"

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"

namespace postern::maildrop {
namespace {

// A name can be long and can hold anything but control bytes: a line has at most 78 characters.
std::string Readable(absl::string_view user) {
  std::string name(user.substr(0, 60));
  for (char& c : name) {
    if (c < ' ' || c > '~') c = '?';
  }
  return name;
}

}  // namespace

Sample MakeSample(uint64_t number, absl::string_view user, absl::string_view store) {
  CHECK(number >= 1 && number <= kSamples);
  const std::string name = Readable(user);
  if (number == 1) {
    return {
        absl::StrCat("Welcome to ", store),
        absl::StrCat("Hello!\r\n\r\nYou are ", name, "\r\non ", store,
                     ".\r\n\r\nThis mailbox is made up: any user name has one. The proxy in\r\n"
                     "front of this store decided that your mail lives here, and will decide\r\n"
                     "the same tomorrow.\r\n")};
  }
  if (number == 2) {
    return {"What you can try",
            absl::StrCat("List, read and delete: a deleted message stays away until the store\r\n",
                         store,
                         " is started again. Log in as another user, and you may find\r\n"
                         "yourself on another store. The password \"wrong\" is wrong, any other\r\n"
                         "is right.\r\n")};
  }
  return {"Lines that begin with a dot",
          "A line with nothing but a dot ends a message in POP3, so a server puts\r\n"
          "another dot in front of every line that begins with one:\r\n"
          ".\r\n"
          "..\r\n"
          ".profile\r\n"
          "You see one dot, two dots, and the name of a file.\r\n"};
}

}  // namespace postern::maildrop
