// Early returns of a Status from a coroutine. The awaited value is stored in a named local first:
// g++ 12 miscompiles an await inside a condition.
#ifndef POSTERN_PROXY_CORO_STATUS_MACROS_H_
#define POSTERN_PROXY_CORO_STATUS_MACROS_H_

#include "proxy/base/status_macros.h"

#define CO_RETURN_IF_ERROR(expression)                  \
  do {                                                  \
    absl::Status postern_status = expression;           \
    if (!postern_status.ok()) co_return postern_status; \
  } while (false)

#define CO_ASSIGN_OR_RETURN(target, expression) \
  POSTERN_CO_ASSIGN_OR_RETURN(POSTERN_CONCAT(postern_or_, __LINE__), target, expression)

#define POSTERN_CO_ASSIGN_OR_RETURN(holder, target, expression) \
  auto holder = expression;                                     \
  if (!holder.ok()) co_return std::move(holder).status();       \
  target = std::move(holder).value()

#endif  // POSTERN_PROXY_CORO_STATUS_MACROS_H_
