// The part of the admin endpoint about users and their sessions.
//
//   GET  /api/v1/sessions?user=&backend=&ip=&id=&limit=   live sessions, oldest first
//   POST /api/v1/sessions/kick   {"user" | "backend" | "ip" | "id": "...", "reason": "..."}
//   GET  /api/v1/holds           whose logins wait
//   POST /api/v1/holds           {"user" | "domain" | "hash_range": "...", "reason": "..."}
//   POST /api/v1/holds/release   the same
//   GET  /api/v1/moves?user=&limit=   users that go elsewhere than the routes say
//   POST /api/v1/moves           {"users": ["..."], "to": "mail2" or "", "patience": "10s",
//                                 "dry_run": false, "reason": "..."}; the answer has its id
//   GET  /api/v1/moves/ID        how far it is
//
// Names and addresses of users are no numbers: who may read them is who may change something, see
// change_api.h.
#ifndef POSTERN_PROXY_ADMIN_OPERATOR_API_H_
#define POSTERN_PROXY_ADMIN_OPERATOR_API_H_

#include <httplib.h>

#include "proxy/admin/api_answer.h"
#include "proxy/operator_actions.h"

namespace postern::admin {

// `actions` outlives the router.
void AddOperatorRoutes(httplib::Server* router, const ChangePolicy& policy,
                       OperatorActions* actions);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_OPERATOR_API_H_
