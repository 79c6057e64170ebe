// Asks lookups from the command line, where no server runs.
#ifndef POSTERN_PROXY_ADMIN_LOOKUP_ASKER_H_
#define POSTERN_PROXY_ADMIN_LOOKUP_ASKER_H_

#include "proxy/base/secret.h"
#include "proxy/config/config.h"
#include "routing/explain.h"

namespace postern::admin {

// What `postern route` uses: each question goes to a source made for it, as a login by USER and
// PASS from 127.0.0.1 with this password, which may be empty. Both must outlive the result. The
// note says how long the answer took.
routing::AskForExplanation LookupAsker(const config::Config& config, const Secret& password);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_LOOKUP_ASKER_H_
