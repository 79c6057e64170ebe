"""Certificate authorities and certificates, made on the spot with the openssl program."""

import os
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Certificate:
    chain: str  # PEM file, leaf first
    key: str  # PEM file
    ca: str  # PEM file of the authority that signed it


def _openssl(*arguments):
    done = subprocess.run(
        ["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr.decode()}"


def _new_key(path, kind):
    if kind == "ec":
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    else:
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
    os.chmod(path, 0o600)


class Certificates:
    """Files under one directory; each call makes a new certificate."""

    def __init__(self, directory):
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self._count = 0
        self._authorities = {}

    def _path(self, name):
        return os.path.join(self.directory, name)

    def authority(self, name="ca"):
        """PEM file of a certificate authority, made at the first call."""
        if name not in self._authorities:
            key, chain = self._path(f"{name}.key"), self._path(f"{name}.pem")
            _new_key(key, "ec")
            _openssl(
                "req", "-x509", "-new", "-key", key, "-out", chain, "-days", 30,
                "-subj", f"/CN=Test authority {name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            )  # fmt: skip
            self._authorities[name] = (chain, key)
        return self._authorities[name][0]

    def leaf(self, names=("localhost",), kind="ec", ca="ca", days=30, ips=("127.0.0.1", "::1")):
        """A server certificate. `kind`: "ec" or "rsa". `days` -1: expired since yesterday."""
        authority = self.authority(ca)
        self._count += 1
        stem = self._path(f"leaf{self._count}-{kind}")
        key, request, chain, extensions = (f"{stem}.{x}" for x in ("key", "csr", "pem", "ext"))
        _new_key(key, kind)
        _openssl("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={names[0]}")
        alternatives = [f"DNS:{name}" for name in names] + [f"IP:{ip}" for ip in ips]
        with open(extensions, "w") as file:
            file.write(
                f"subjectAltName={','.join(alternatives)}\n"
                "extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"
            )
        _openssl(
            "x509", "-req", "-in", request, "-CA", authority, "-CAkey", self._authorities[ca][1],
            "-set_serial", 1000 + self._count, "-days", days, "-extfile", extensions, "-out", chain,
        )  # fmt: skip
        return Certificate(chain, key, authority)

    def client(self, common_name, emails=(), ca="client-ca", days=30, usage="clientAuth"):
        """A certificate that a client shows."""
        authority = self.authority(ca)
        self._count += 1
        stem = self._path(f"client{self._count}")
        key, request, chain, extensions = (f"{stem}.{x}" for x in ("key", "csr", "pem", "ext"))
        _new_key(key, "ec")
        _openssl("req", "-new", "-key", key, "-out", request, "-utf8", "-subj", f"/CN={common_name}")
        with open(extensions, "w") as file:
            if emails:
                file.write("subjectAltName=" + ",".join(f"email:{email}" for email in emails) + "\n")
            file.write(f"extendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n")
        _openssl(
            "x509", "-req", "-in", request, "-CA", authority, "-CAkey", self._authorities[ca][1],
            "-set_serial", 1000 + self._count, "-days", days, "-extfile", extensions, "-out", chain,
        )  # fmt: skip
        return Certificate(chain, key, authority)
