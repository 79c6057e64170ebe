"""Postern: one worker, users from a map, no session log unless asked for."""

from .agent import Agent
from .peer import Peer, first_line
from .responder import Responder

# Everything on, and nothing that refuses anybody here.
GUARD = """
[guard]
sessions = { user = 1000, ip = 100000, prefix = 1000000 }
connections = { ip = "1000000/s", prefix = "1000000/s", listener = "1000000/s" }
failures = { user = 20, ip = 40, prefix = 400 }
login_delay = "10ms"
"""
FARM = """balance = "user-hash"
load_bound = 1.5
slow_start = "5s"
queue = { wait = "10s", max = 1000 }
eject = { failures = 5, time = "1s" }
"""
BACKEND = """max_sessions = 15000
max_logins_in_flight = 10000
health = { probe = "greeting", interval = "1s", fast_interval = "500ms", rise = 1, fall = 5 }
"""


class Postern(Peer):
    name = "postern"
    title = "Postern"
    colour = 0

    @classmethod
    def version(cls, lab):
        return first_line(lab.bin / "postern", "version").removeprefix("postern ")

    responder = None
    agent = None

    def start(self):
        self.tls, self.plain = self.network.port(), self.network.port()
        tickets = "tickets_ecdsa = 1\ntickets_rsa = 1" if self.setup.get("tickets") else ""
        # Thousands of logins at once wait for the client's and the stores' core, not for ours. With
        # the usual deadlines Postern would connect to a store once more.
        patient = ('[timeouts]\nhandshake = "60s"\nupstream_connect = "30s"\n'
                   'upstream_greeting = "30s"') if self.setup.get("sessions") else ""
        log = self.dir / "sessions.log" if self.setup.get("log") else ""
        config = self.write("postern.toml", f"""
hostname = "localhost"
workers = 1
[[listener]]
address = "127.0.0.1:{self.tls}"
tls = "implicit"
[[listener]]
address = "127.0.0.1:{self.plain}"
tls = "off"
plaintext_logins = true
[tls]
certificates = [{{ chain = "{self.certificate}", key = "{self.key}" }}]
{tickets}
{patient}
{self._routing()}
[log]
sessions = "{log}"
[admin]
address = "unix:{self.dir}/admin"
{self._farm_admin()}
""")
        self.launch([self.lab.bin / "postern", "serve", "--config", config])

    def _routing(self):
        """Which user goes where: [[backend]], [[pool]], [[lookup]], [[route]]."""
        if "pool" in self.setup:
            return self._pool(self.setup["pool"] == "farm")
        backends = "\n".join(
            f'[[backend]]\nname = "{name}"\naddress = "127.0.0.1:{port}"'
            for name, port in self.stores.ports.items())
        if "lookup" not in self.setup:
            users = self.write("users.map", "".join(
                f"user{number}@example.org\t{'odd' if number % 2 else 'even'}\n"
                for number in range(1000)))
            return f'{backends}\n[[route]]\nmap = "{users}"'
        self.responder = Responder(self)
        seconds = "1h" if self.setup["lookup"] == "remembered" else "0s"
        return f"""{backends}
[[lookup]]
name = "homes"
type = "auth_http"
urls = ["http://{self.responder.address}/auth"]
cache = {{ ttl = "{seconds}", negative_ttl = "0s", stale = "0s", per_client = false }}
[[route]]
lookup = "homes"
"""

    def _pool(self, farm):
        features, more = "", ""
        if farm:
            # It is told its own weight all the time, and nothing that would change anything.
            self.agent = Agent(self.dir / "agent")
            features, more = FARM, f'agent = {{ address = "unix:{self.agent.path}", interval = "1s" }}'
        backends = "\n".join(
            f'[[backend]]\nname = "{name}"\naddress = "127.0.0.1:{port}"\n{BACKEND if farm else ""}'
            f"{more}" for name, port in self.stores.ports.items())
        return f"""{GUARD if farm else ""}
{backends}
[[pool]]
name = "mail"
backends = [{", ".join(f'"{name}"' for name in self.stores.ports)}]
failover = true
affinity = {"true" if farm else "false"}
{features}
[[route]]
users = "*"
pool = "mail"
"""

    def _farm_admin(self):
        return f'state_file = "{self.dir}/state"' if self.setup.get("pool") == "farm" else ""

    def stop(self):
        super().stop()
        for helper in (self.responder, self.agent):
            if helper:
                helper.stop()
        self.responder = self.agent = None
