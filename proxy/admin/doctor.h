// postern doctor: looks at what an operator would look at by hand, and says what to mend.
#ifndef POSTERN_PROXY_ADMIN_DOCTOR_H_
#define POSTERN_PROXY_ADMIN_DOCTOR_H_

#include <string>

namespace postern::admin {

// Works from the configuration, whether the server runs or not; changes nothing. Writes to stdout;
// the exit code is 0 when users have no trouble to expect, 1 otherwise.
int Doctor(const std::string& config_file);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_DOCTOR_H_
