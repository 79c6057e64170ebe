"""Postern: one worker, users from a map, no session log unless asked for."""

from .peer import Peer, first_line


class Postern(Peer):
    name = "postern"
    title = "Postern"
    colour = 0

    @classmethod
    def version(cls, lab):
        return first_line(lab.bin / "postern", "version").removeprefix("postern ")

    def start(self):
        self.tls, self.plain = self.network.port(), self.network.port()
        users = self.write("users.map", "".join(
            f"user{number}@example.org\t{'odd' if number % 2 else 'even'}\n"
            for number in range(1000)))
        tickets = "tickets_ecdsa = 1\ntickets_rsa = 1" if self.setup.get("tickets") else ""
        # Thousands of logins at once wait for the client's and the stores' core, not for ours. With
        # the usual deadlines Postern would connect to a store once more.
        patient = ('[timeouts]\nhandshake = "60s"\nupstream_connect = "30s"\n'
                   'upstream_greeting = "30s"') if self.setup.get("sessions") else ""
        log = self.dir / "sessions.log" if self.setup.get("log") else ""
        backends = "\n".join(
            f'[[backend]]\nname = "{name}"\naddress = "127.0.0.1:{port}"'
            for name, port in self.stores.ports.items())
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
{backends}
[[route]]
map = "{users}"
[log]
sessions = "{log}"
[admin]
address = "unix:{self.dir}/admin"
""")
        self.launch([self.lab.bin / "postern", "serve", "--config", config])
