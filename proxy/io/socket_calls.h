// What every implementation of Io over real sockets does with plain system calls.
#ifndef POSTERN_PROXY_IO_SOCKET_CALLS_H_
#define POSTERN_PROXY_IO_SOCKET_CALLS_H_

#include "proxy/base/socket_address.h"

namespace postern::io {

// A non-blocking, close-on-exec stream socket, or -errno. TCP: with TCP_NODELAY.
int OpenStreamSocket(int family);
// Finds a TCP peer that vanished without a word within two minutes instead of the system's two
// hours. On a listening socket it counts for every connection accepted there. False: errno is set.
bool EnableKeepalive(int fd);
// The coming close(2) sends a reset (SO_LINGER 0).
void ResetOnClose(int fd);
// The two ends of a connected socket; empty when it is not connected (any more).
SocketAddress PeerAddressOf(int fd);
SocketAddress LocalAddressOf(int fd);

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_SOCKET_CALLS_H_
