"""What every test against the real binary needs: processes, ports, certificates, servers, clients."""

from .certificates import Certificate, Certificates
from .metrics import Metrics
from .pop3 import Pop3Connection
from .ports import free_port
from .proxy import Proxy, build_directory
from .waiting import wait_until

__all__ = [
    "Certificate",
    "Certificates",
    "Metrics",
    "Pop3Connection",
    "Proxy",
    "build_directory",
    "free_port",
    "wait_until",
]
