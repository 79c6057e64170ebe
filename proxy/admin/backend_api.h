// The part of the admin endpoint that adds and removes backends.
//
//   POST /api/v1/backends/NAME/add      {"pool": "mail", "address": "10.0.0.13:110"}, and what a
//                                       file may say of a backend: "weight", "tls", "ca",
//                                       "server_name"; "like": "mail1" for that one's keys.
//                                       Without pool and address: back, after a removal
//   POST /api/v1/backends/NAME/remove   423 while it has sessions or logins
//   both may have "reason". Who may: see change_api.h.
#ifndef POSTERN_PROXY_ADMIN_BACKEND_API_H_
#define POSTERN_PROXY_ADMIN_BACKEND_API_H_

#include <httplib.h>

#include "proxy/admin/api_answer.h"
#include "proxy/admin/http_server.h"

namespace postern::admin {

void AddBackendRoutes(httplib::Server* router, const ChangePolicy& policy,
                      BackendHandlers handlers);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_BACKEND_API_H_
