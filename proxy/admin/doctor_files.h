// The files that a configuration names: whether the server could use them.
#ifndef POSTERN_PROXY_ADMIN_DOCTOR_FILES_H_
#define POSTERN_PROXY_ADMIN_DOCTOR_FILES_H_

#include <cstdint>
#include <vector>

#include "proxy/admin/doctor_report.h"
#include "proxy/config/config.h"
#include "tls/context.h"

namespace postern::admin {

// Maps, secrets and passwords, with their modes. Each is tried, whatever is wrong with the others.
void CheckFiles(const config::Config& config, DoctorReport* report);

// Certificates towards clients: names, expiry, the chain up to a CA of this system, and the CAs of
// clients. Returns when each of those that could be loaded ends, in seconds.
std::vector<int64_t> CheckCertificates(const config::Config& config, int64_t now_unix,
                                       tls::Library* library, DoctorReport* report);

// "until 2027-01-31, 67 days".
std::string ExpiryText(int64_t not_after_unix, int64_t now_unix);
// Fewer days than anybody should have left.
bool EndsSoon(int64_t not_after_unix, int64_t now_unix);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_DOCTOR_FILES_H_
