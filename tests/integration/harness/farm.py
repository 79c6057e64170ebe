"""Two real Dovecot servers with the same users, and the messages that break things."""

import os
import random

from .dovecot import Dovecot

PASSWORD = "correct horse; battery=staple"

# Where the users of a test live: by the map file, by their domain, or by the pool's hash.
MAPPED = {"mapped1@map.test": "mail1", "mapped2@map.test": "mail2"}
BY_DOMAIN = {"someone@one.test": "mail1", "someone@two.test": "mail2"}
BY_HASH = tuple(f"user{i}@pool.test" for i in range(8))
USERS = (*MAPPED, *BY_DOMAIN, *BY_HASH)


def _header(subject):
    return (
        f"From: sender@example.org\r\nTo: someone@example.org\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@example.org>\r\n"
        "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    ).encode()


def _big(size):
    """About `size` bytes in lines of varied length, the same ones in every run."""
    source = random.Random(size)
    lines = [b"x" * source.randint(0, 76) + b"%d" % i for i in range(size // 45)]
    lines[len(lines) // 2] = b"."
    lines[len(lines) // 3] = b"..."
    return b"\r\n".join(lines) + b"\r\n"


def messages(line_max=1 << 20):
    """{what is hard about it: message}; every line ends in CRLF and has at most `line_max` octets."""
    eight_bit = bytes(b for b in range(128, 256)) * 3
    return {
        "plain": _header("plain") + b"\r\nHello.\r\n",
        "dots": _header("dots")
        + b"\r\n.\r\n..\r\n...\r\n.leading\r\n..two\r\n . \r\n.\r\n\r\n.\r\n",
        "protocol": _header("protocol")
        + b"\r\n+OK\r\n-ERR no\r\nQUIT\r\nDELE 1\r\nRSET\r\n+OK 3 octets\r\n.\r\n+ \r\n",
        "8-bit": _header("eight bit") + b"\r\n" + eight_bit + b"\r\n" + "äöü€\r\n".encode(),
        "long line": _header("long line") + b"\r\n" + b"0123456789" * min(20000, line_max // 10) + b"\r\nshort\r\n",
        "no body": _header("no body") + b"\r\n",
        "10 MB": _header("big") + b"\r\n" + _big(10_000_000),
    }


class Farm:
    """`servers`: {"mail1": Dovecot, "mail2": Dovecot}, both with all USERS and PASSWORD."""

    def __init__(self, directory, certificates):
        self.directory = str(directory)
        self.certificate = certificates.leaf(("mail.farm.test", "localhost"), ca="farm-ca")
        self.servers = {
            name: Dovecot(
                name, os.path.join(self.directory, name), self.certificate,
                {user: PASSWORD for user in USERS},
            )
            for name in ("mail1", "mail2")
        }  # fmt: skip
        self.map_path = os.path.join(self.directory, "users.map")
        with open(self.map_path, "w") as file:
            file.write("# who lives where\n")
            file.writelines(f"{user}\t{backend}\n" for user, backend in MAPPED.items())
        self.secrets_path = os.path.join(self.directory, "secrets")
        with open(os.open(self.secrets_path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.writelines(f"{user}:{PASSWORD}\n" for user in USERS)

    def empty(self):
        for server in self.servers.values():
            for user in USERS:
                server.empty(user)

    def config(self, **backend_keys):
        """Pool, routes and nothing else; `backend_keys` (tls, ca, ...) go to both backends."""
        tls = backend_keys.get("tls") == "implicit"
        return {
            "pool": [
                {
                    "name": "mail",
                    "backends": [
                        {"name": name, "address": server.address(tls), **backend_keys}
                        for name, server in self.servers.items()
                    ],
                }
            ],
            "route": [
                {"map": self.map_path},
                {"users": "*@one.test", "backend": "mail1"},
                {"users": "*@two.test", "backend": "mail2"},
                {"users": "*@pool.test", "pool": "mail"},
            ],
        }

    def stop(self):
        for server in self.servers.values():
            server.stop()
