// The part of the admin endpoint that changes something.
//
//   POST /api/v1/backends/NAME/drain      no new users; sessions may finish, or end over a time:
//                                         {"over": "10m"}
//   POST /api/v1/backends/NAME/disable    no logins at all, and no health checks
//   POST /api/v1/backends/NAME/enable     as the configuration says; "undrain" is the same
//   POST /api/v1/backends/NAME/weight     another share of new users than the configuration says
//   body: nothing, or {"reason": "..."}; for weight {"weight": N}, 0 to 10000, or {"weight": null}
//   for the configured one again, and a reason
//
// Users and sessions: see operator_api.h.
//
// Who may: on a unix socket, whoever the file's mode lets in. On TCP only who shows the token, as
// "Authorization: Bearer TOKEN", and without a token nobody. So no web page that a browser on this
// machine opens can do it, whatever name it gives our address: it does not know the token, and it
// cannot reach a unix socket.
#ifndef POSTERN_PROXY_ADMIN_CHANGE_API_H_
#define POSTERN_PROXY_ADMIN_CHANGE_API_H_

#include <httplib.h>

#include <string>

#include "proxy/admin/api_answer.h"
#include "proxy/admin/http_server.h"

namespace postern::admin {

// Who is at the other end of `fd`: "uid 0 (pid 4711)" or "127.0.0.1:40312".
std::string PeerName(int fd);
void AddChangeRoutes(httplib::Server* router, ChangePolicy policy, ChangeHandler handler);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_CHANGE_API_H_
