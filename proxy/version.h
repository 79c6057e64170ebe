// What `postern version` prints.
#ifndef POSTERN_PROXY_VERSION_H_
#define POSTERN_PROXY_VERSION_H_

namespace postern {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace postern

#endif  // POSTERN_PROXY_VERSION_H_
