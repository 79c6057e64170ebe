"""What all peers have in common."""

import subprocess


def first_line(*command):
    """What a program says first, to know its version."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return ((done.stdout + done.stderr).strip().splitlines() or [""])[0]


class Peer:
    """`start` and `stop`; in between `pid`, `tls` and `plain` are the process and the two ports.

    `setup` has what a scenario asks for: "certificate" ("ecdsa" or "rsa"), "tickets" (whether
    clients are to resume), "log" (Postern's session log), "buffer" (nginx's), "bufsize" and
    "splice" (HAProxy's), "lookup" ("asked" or "remembered": Postern asks an auth_http service, as
    nginx always does), "pool" ("bare" or "farm": Postern's stores are one pool, without any further
    feature or with all)."""

    name = ""
    title = ""
    colour = 0  # of the palette in svg.py
    routes_by_user = True
    needs_root = False
    descriptors = None  # limit of open files, where it matters

    def __init__(self, lab, network, stores, setup):
        self.lab, self.network, self.stores, self.setup = lab, network, stores, setup
        self.dir = lab.dir / f"{self.name}-{next(lab.serial)}"
        self.dir.mkdir()
        self.dir.chmod(0o755)
        self.certificate = lab.dir / f"{setup.get('certificate', 'ecdsa')}.pem"
        self.key = self.certificate.with_suffix(".key")
        self.process = None

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def launch(self, command, ports=None):
        self.process = self.lab.start(
            self.name, command, self.network, self.lab.proxy_core,
            [self.tls, self.plain] if ports is None else ports, self.descriptors)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process:
            self.lab.stop(self.process)
            self.process = None

    @classmethod
    def missing(cls):
        """Why it cannot take part here, or ""."""
        return ""

    @classmethod
    def version(cls, lab):
        raise NotImplementedError
