"""HAProxy as TLS offloader: TCP mode, one thread. It does not speak POP3 and cannot route by user, so
it deals sessions out in turn: an upper bound of what needs no understanding of the protocol."""

import shutil

from .peer import Peer, first_line

# The client's first choice of cipher counts, as with the others: AES-128-GCM.
TLS = "ssl-min-ver TLSv1.2 curves X25519:P-256 prefer-client-ciphers"


class HaProxy(Peer):
    name = "haproxy"
    title = "HAProxy"
    colour = 1
    routes_by_user = False

    @classmethod
    def missing(cls):
        return "" if shutil.which("haproxy") else "haproxy is not installed"

    @classmethod
    def version(cls, lab):
        return first_line("haproxy", "-v").split()[2]

    def start(self):
        self.tls, self.plain = self.network.port(), self.network.port()
        self.launch(["haproxy", "-db", "-f", self.write("haproxy.cfg", self.configuration())])

    def configuration(self):
        servers = "\n".join(f"  server {name} 127.0.0.1:{port}"
                            for name, port in self.stores.ports.items())
        buffers = f"tune.bufsize {self.setup['bufsize']}" if "bufsize" in self.setup else ""
        # Bytes towards the client stay in the kernel, where no TLS is in the way. Its pipes are
        # open files, too: fewer connections fit below the limit, and these sessions are few.
        spliced = self.setup.get("splice")
        splice = "option splice-response" if spliced else ""
        pipes = "tune.pipesize 1048576" if spliced else ""
        connections = min(1000 if spliced else 16000, (self.lab.descriptors_max - 200) // 2)
        return f"""
global
  nbthread 1
  {buffers}
  {pipes}
  maxconn {connections}
defaults
  mode tcp
  {splice}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend mail
  bind 127.0.0.1:{self.tls} backlog 4096 ssl crt {self.certificate.with_suffix(".both")} {TLS}
  bind 127.0.0.1:{self.plain} backlog 4096
  default_backend stores
backend stores
  balance roundrobin
{servers}
"""
