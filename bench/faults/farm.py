"""The proxy, three real Dovecot servers behind it, and the means to hurt them."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "integration"))

from harness import Certificates, Proxy  # noqa: E402
from harness.auth_service import AuthService, reply  # noqa: E402
from harness.dovecot import Dovecot  # noqa: E402

PASSWORD = "secret"
OBSERVERS = 6
# Of the proxy in these experiments; shorter than its defaults, so that a run takes minutes.
TIMEOUTS = {"upstream_connect": "2s", "upstream_greeting": "3s", "upstream_login": "4s",
            "login": "20s", "idle": "8s"}  # fmt: skip
LOGIN_S, IDLE_S, LOOKUP_S = 20, 8, 2
CHECKS = {"probe": "greeting", "interval": "500ms", "fast_interval": "200ms", "jitter": "50ms",
          "timeout": "1s", "rise": 2, "fall": 3}  # fmt: skip


def users(server):
    return [f"user{number}@{server}.test" for number in range(OBSERVERS)]


class Imposter:
    """Something that listens where a server should. `talk(connection)` is what it says."""

    def __init__(self, port, talk):
        self._socket = socket.create_server(("127.0.0.1", port), backlog=200)
        self._talk = talk
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            try:
                connection.settimeout(60)
                self._talk(connection)
            except OSError:
                pass

    def stop(self):
        # Ends accept(2) in the thread, too.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Farm:
    """`mail1` is the one that is hurt, `mail2` the one that must not notice; users of the pool
    `shared` live on either. `mail3` is reached over TLS. A service tells where the users of
    `asked` and `remembered` live, and is remembered for the latter."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.certificates = Certificates(self.directory / "certificates")
        self.servers = {}
        self.imposter = None
        leaf = self.certificates.leaf(("localhost",))
        for name in ("mail1", "mail2", "mail3"):
            mine = self.certificates.leaf(("mail.farm.test",), ca="farm-ca")
            names = [name, "shared", *(("asked", "remembered") if name == "mail2" else ())]
            accounts = {user: PASSWORD for group in names for user in users(group)}
            self.servers[name] = Dovecot(name, self.directory / name, mine, accounts)
        farm_ca = mine.ca
        self.service = AuthService(self.knows)
        self.service_port = self.service.port
        lookup = {"type": "auth_http", "urls": [self.service.url()], "timeout": f"{LOOKUP_S}s"}
        backends = [{"name": name, "address": self.servers[name].address(), "health": CHECKS}
                    for name in ("mail1", "mail2")]  # fmt: skip
        backends.append({"name": "mail3", "address": self.servers["mail3"].address(tls=True),
                         "tls": "implicit", "ca": farm_ca, "server_name": "mail.farm.test",
                         "health": CHECKS})  # fmt: skip
        self.proxy = Proxy({
            "timeouts": TIMEOUTS,
            "backend": backends,
            "pool": [{"name": "own1", "backends": ["mail1"]},
                     {"name": "shared", "backends": ["mail1", "mail2"], "failover": True}],
            "route": [{"users": "*@mail1.test", "pool": "own1"},
                      {"users": "*@mail2.test", "backend": "mail2"},
                      {"users": "*@mail3.test", "backend": "mail3"},
                      {"users": "*@shared.test", "pool": "shared"},
                      {"lookup": "homes"}],
            # What the service says of itself decides: nothing is remembered but where it says so.
            "lookup": [{**lookup, "name": "homes",
                        "cache": {"ttl": "1s", "negative_ttl": "0s", "stale": "10m"}}],
        }, self.directory / "proxy", certificate=leaf)  # fmt: skip
        self.port = self.proxy.ports["plain"]
        self.tls_port = self.proxy.ports["pop3s"]

    def close(self):
        self.proxy.kill()
        self.stop_service()
        for server in self.servers.values():
            server.stop()

    # The service that knows where users live.

    def knows(self, request):
        remember = "max-age=1" if "remembered" in request.get("Auth-User") else "no-store"
        return reply(Auth_Server="mail2", Cache_Control=remember)

    def stop_service(self):
        if self.service is not None:
            self.service.stop()
            self.service = None

    def start_service(self, answer=None):
        self.stop_service()
        self.service = AuthService(answer or self.knows, port=self.service_port)

    # What can happen.

    def kill(self, name):
        self.servers[name].stop()

    def start(self, name):
        self.servers[name].start()

    def freeze(self, name):
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name):
        self._signal(name, signal.SIGCONT)

    def _signal(self, name, number):
        os.killpg(self.servers[name].process.pid, number)

    def replace(self, name, talk):
        self.kill(name)
        self.imposter = Imposter(self.servers[name].port, talk)

    def restore(self, name):
        self.imposter.stop()
        self.start(name)

    def cut(self, name):
        """Whatever goes to or comes from the server vanishes."""
        port = self.servers[name].port
        nft(f"add table inet postern_faults; "
            f"add chain inet postern_faults in {{ type filter hook input priority 0; }}; "
            f"add rule inet postern_faults in tcp dport {port} drop; "
            f"add rule inet postern_faults in tcp sport {port} drop")  # fmt: skip

    def mend(self):
        nft("delete table inet postern_faults")

    def certify(self, name, days):
        """Another certificate for the server, which starts again with it."""
        server = self.servers[name]
        fresh = self.certificates.leaf(("mail.farm.test",), ca="farm-ca", days=days)
        self.kill(name)
        shutil.copy(fresh.chain, server.certificate.chain)
        shutil.copy(fresh.key, server.certificate.key)
        self.start(name)


def nft(rules):
    subprocess.run(["nft", "-f", "-"], input=rules.replace("; ", "\n").encode(), check=True)
