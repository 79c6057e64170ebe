"""The programs that are compared. Each starts with a configuration of its own, in a directory of the
lab, on free ports, and routes users with an even number to one store and the others to the other."""

from .dovecot import Dovecot
from .haproxy import HaProxy
from .nginx import Nginx
from .perdition import Perdition
from .postern import Postern

PEERS = {peer.name: peer for peer in (Postern, HaProxy, Nginx, Dovecot, Perdition)}

__all__ = ["PEERS", "Dovecot", "HaProxy", "Nginx", "Perdition", "Postern"]
