"""Perdition: a process per connection, users from a map of regular expressions. One process listens
on one port, so there is one with TLS and one without; the scenario says which is measured."""

import glob
import os
import shutil

from .peer import Peer, first_line


class Perdition(Peer):
    name = "perdition"
    title = "Perdition"
    colour = 4
    needs_root = True
    # A child that ends closes every number up to the limit: 4.2 ms with 20000 of them.
    descriptors = 64

    @staticmethod
    def _map_library():
        return next(iter(glob.glob("/usr/lib/*/libperditiondb_posix_regex.so.0")), "")

    @classmethod
    def missing(cls):
        if not shutil.which("perdition") or not cls._map_library():
            return "perdition and its map of regular expressions are not installed"
        return ""

    @classmethod
    def version(cls, lab):
        return first_line("dpkg-query", "-W", "-f", "${Version}", "perdition")

    def start(self):
        self.tls = self.plain = self.network.port()
        # Only what an expression matches is replaced by the server, so each matches the whole name.
        users = self.write("popmap.re", "".join(
            f"^.*{digits}@example\\.org$: 127.0.0.1:{self.stores.ports[name]}\n"
            for name, digits in (("even", "[02468]"), ("odd", "[13579]"))))
        key = self.write("key.pem", self.key.read_text())
        for path in (self.dir, key):  # what it reads and writes as "nobody"
            os.chown(path, 65534, -1)
        command = ["perdition", "--no_daemon", "--quiet", "--no_lookup", "--config_file", "/dev/null",
                   "--bind_address", "127.0.0.1", "--protocol", "POP3", "--listen_port", self.tls,
                   "--map_library", self._map_library(), "--map_library_opt", users,
                   "--pid_file", self.dir / "pid", "--username", "nobody", "--group", "nogroup",
                   "--log_facility", self.dir / "log", "--timeout", "3600"]
        if self.setup.get("port", "tls") == "tls":
            command += ["--ssl_mode", "ssl_listen", "--ssl_cert_file", self.certificate,
                        "--ssl_key_file", key, "--ssl_no_cipher_server_preference"]
        self.launch(command, [self.tls])
