// Assertions about our own state.
//
// CHECK guards an invariant of this program and ends the process when it is broken. It is never
// used for what a peer, a file or the kernel may do: those get a Status or a close reason.
#ifndef POSTERN_PROXY_BASE_CHECK_H_
#define POSTERN_PROXY_BASE_CHECK_H_

namespace postern::internal {

// Prints "file:line: CHECK failed: condition" to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace postern::internal

#define CHECK(condition)                                                         \
  (__builtin_expect(static_cast<bool>(condition), 1)                             \
       ? static_cast<void>(0)                                                    \
       : ::postern::internal::CheckFailed(__FILE__, __LINE__, #condition))

#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define DCHECK(condition) CHECK(condition)
#endif

#endif  // POSTERN_PROXY_BASE_CHECK_H_
