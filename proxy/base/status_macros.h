// Early returns for absl::Status. The coroutine twins live in proxy/coro/status_macros.h.
#ifndef POSTERN_PROXY_BASE_STATUS_MACROS_H_
#define POSTERN_PROXY_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define POSTERN_CONCAT_INNER(a, b) a##b
#define POSTERN_CONCAT(a, b) POSTERN_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                              \
  do {                                                           \
    absl::Status postern_status = (expression);                  \
    if (!postern_status.ok()) return postern_status;             \
  } while (false)

#define ASSIGN_OR_RETURN(target, expression) \
  POSTERN_ASSIGN_OR_RETURN(POSTERN_CONCAT(postern_or_, __LINE__), target, expression)

#define POSTERN_ASSIGN_OR_RETURN(holder, target, expression) \
  auto holder = (expression);                                \
  if (!holder.ok()) return std::move(holder).status();       \
  target = std::move(holder).value()

#endif  // POSTERN_PROXY_BASE_STATUS_MACROS_H_
