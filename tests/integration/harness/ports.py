"""Free TCP ports that stay ours.

The proxy's listeners use SO_REUSEPORT, so two tests that picked one port would share it without an
error. Hence a port is taken from below the kernel's range of ephemeral ports, is held by a lock on
a file while this process lives, and is tried out on every local address first.
"""

import fcntl
import os
import random
import socket
import tempfile

_FIRST = 12000
_LAST = 31999
_held = {}  # port -> open lock file


def _is_unused(port):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                # TIME_WAIT of an earlier test is no obstacle; a listener is.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                probe.listen(1)
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in (97, 99):  # no IPv6 here
                continue
            return False
    return True


def free_port():
    """A port nobody listens on, which no other test process will be given."""
    directory = os.path.join(tempfile.gettempdir(), f"postern-test-ports-{os.getuid()}")
    os.makedirs(directory, exist_ok=True)
    for _ in range(2000):
        port = random.randint(_FIRST, _LAST)
        if port in _held:
            continue
        lock = open(os.path.join(directory, str(port)), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        os.set_inheritable(lock.fileno(), False)
        if _is_unused(port):
            _held[port] = lock
            return port
        lock.close()
    raise AssertionError("no free port found")


def listens(port):
    """Whether anybody listens at this port of 127.0.0.1, found out without a connection."""
    address = f"0100007F:{port:04X}"
    with open("/proc/net/tcp") as file:
        return any(row.split()[1] == address and row.split()[3] == "0A" for row in file)
