// Lookups and the policy service as `postern doctor` finds them when it asks them.
#ifndef POSTERN_PROXY_ADMIN_DOCTOR_LOOKUPS_H_
#define POSTERN_PROXY_ADMIN_DOCTOR_LOOKUPS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "proxy/admin/doctor_report.h"
#include "proxy/base/time.h"
#include "proxy/config/config.h"
#include "routing/lookup/source.h"

namespace postern::admin {

// Asks each server of each [[lookup]], and of [guard.policy] whether a login may go on, about a
// user that nobody has, all at the same time: this takes as long as the slowest, at most its own
// `timeout`. Each server sees one more question; nothing is reported as a login.
void CheckLookups(const config::Config& config, DoctorReport* report);

// One server's answer to that question: what is good, what is wrong and how to mend it. `subject`
// names the lookup and the server, `server` is that address alone.
void TellLookup(absl::string_view subject, absl::string_view server, const config::Lookup& lookup,
                const routing::LookupAnswer& answer, DurationNs took, DoctorReport* report);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_DOCTOR_LOOKUPS_H_
