"""A real HAProxy in front of, or behind, the proxy under test."""

import os
import shutil
import socket

from .ports import free_port
from .processes import Process
from .waiting import wait_until

_FRONT = """
global
  log stdout format raw local0
defaults
  mode tcp
  timeout connect 30s
  timeout client 120s
  timeout server 120s
"""


class Haproxy:
    """`sections` is the configuration behind `defaults`; "{a}", "{b}" ... in it are the ports of
    `ports`, by name. Started by the constructor."""

    def __init__(self, directory, sections, ports):
        os.makedirs(directory, exist_ok=True)
        self.ports = {name: free_port() for name in ports}
        for name, port in self.ports.items():
            sections = sections.replace("{" + name + "}", str(port))
        config = os.path.join(directory, "haproxy.cfg")
        with open(config, "w") as file:
            file.write(_FRONT + sections)
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        self.process = Process([program, "-db", "-f", config], os.path.join(directory, "haproxy.log"))
        wait_until(self._listens, 60, lambda: f"HAProxy to listen:\n{self.log()}")

    def _listens(self):
        assert self.process.alive(), f"HAProxy ended at its start:\n{self.log()}"
        for port in self.ports.values():
            try:
                socket.create_connection(("127.0.0.1", port), 2).close()
            except OSError:
                return False
        return True

    def log(self):
        return self.process.log()

    def stop(self):
        self.process.kill()


def joined_certificate(certificate, path):
    """Chain and key in one file, as HAProxy wants them."""
    with open(path, "w") as file:
        for part in (certificate.chain, certificate.key):
            with open(part) as source:
                file.write(source.read())
    os.chmod(path, 0o600)
    return path
