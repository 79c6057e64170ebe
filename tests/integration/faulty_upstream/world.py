"""One proxy before every faulty backend of one mode: plain, stls or tls, with short deadlines or long.

A user's domain picks the backend: `anna@FAULT.MODE.direct` is routed to the backend with that fault
only, `anna@FAULT.MODE.failover` to a pool of that backend and the healthy spare that comes second.
"""

import ssl
import subprocess

from harness import Proxy, wait_until

from .faulty_upstream import ALL_MODES, FAULTS, backend, tls_context
from .pop3_backend import Backend, BackendFarm

# Where a cell of the table waits for a deadline of the proxy, it is short; where none does, it is so
# long that a busy machine never meets it.
STEP_SECONDS = 2
SHORT = {
    "handshake": "60s",
    "login": "100s",
    "idle": "4s",
    "upstream_connect": f"{STEP_SECONDS}s",
    "upstream_greeting": f"{STEP_SECONDS}s",
    "upstream_login": f"{STEP_SECONDS}s",
    "refused_delay": "10ms",
    "close_linger": "2s",
}
LONG = {
    **SHORT,
    "idle": "100s",
    "upstream_connect": "60s",
    "upstream_greeting": "60s",
    "upstream_login": "60s",
    "close_linger": "10s",
}


def backend_contexts(certificates):
    """Server contexts by kind of certificate, and the authority that backends are verified by."""

    def context(certificate, **more):
        return tls_context(certificate.chain, certificate.key, **more)

    good = certificates.leaf(("backend.test",))
    contexts = {
        "good": context(good),
        "expired": context(certificates.leaf(("backend.test",), days=-1)),
        "wrong-name": context(certificates.leaf(("other.test",), ips=())),
        "unknown-ca": context(certificates.leaf(("backend.test",), ca="stranger")),
        "tls-1.1-only": context(good, version=ssl.TLSVersion.TLSv1_1),
    }
    stem = f"{certificates.directory}/self-signed"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", f"{stem}.key", "-out", f"{stem}.pem", "-days", "30",
         "-subj", "/CN=backend.test", "-addext", "subjectAltName=DNS:backend.test"],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    contexts["self-signed"] = tls_context(f"{stem}.pem", f"{stem}.key")
    return contexts, good.ca


class World:
    def __init__(self, mode, timeouts, certificates, leaf, directory):
        contexts, ca = backend_contexts(certificates)
        self.backends = {
            f"{name}.{mode}": backend(name, mode, contexts)
            for name, spec in FAULTS.items()
            if mode in spec.modes
        }
        self.spare = Backend()
        self.farm = BackendFarm([*self.backends.values(), self.spare])
        self.proxy = Proxy(self._config(ca, timeouts), directory, certificate=leaf, start=False)
        self._before = None

    def _config(self, ca, timeouts):
        backends = [{"name": "spare", "address": self.spare.address, "weight": 1}]
        pools, routes = [], []
        for name, one in self.backends.items():
            table = {"name": name, "address": one.address, "weight": 10000}
            if one.mode != "plain":
                table |= {"tls": "implicit" if one.mode == "tls" else "stls", "ca": ca,
                          "server_name": "backend.test"}  # fmt: skip
            backends.append(table)
            pools.append({"name": f"pool.{name}", "failover": True, "backends": [name, "spare"]})
            routes.append({"users": f"*@{name}.direct", "backend": name})
            routes.append({"users": f"*@{name}.failover", "pool": f"pool.{name}"})
        return {"timeouts": timeouts, "backend": backends, "pool": pools, "route": routes}

    def __enter__(self):
        self.farm.__enter__()
        self.proxy.start()
        return self

    def __exit__(self, kind, value, trace):
        self.proxy.__exit__(kind, value, trace)
        self.farm.__exit__()

    def port(self, listener):
        return self.proxy.ports[listener]

    # What changed in the metrics since begin().

    def begin(self, name):
        """Forgets what `name` and the spare have seen, and notes the metrics."""
        self.wait_until_nobody_is_left()
        self.backends[name].forget()
        self.spare.forget()
        self._before = self.proxy.metrics()

    def changes(self, metric, label, **labels):
        """{value of `label`: growth} of the counter since begin(), without zeros."""
        now, wanted = self.proxy.metrics(), set(labels.items())
        growth = {}
        for (name, pairs), value in now.items():
            if name == metric and wanted <= set(pairs):
                more = value - dict.get(self._before, (name, pairs), 0)
                if more:
                    key = dict(pairs)[label]
                    growth[key] = growth.get(key, 0) + more
        return growth

    def errors(self, name):
        return self.changes("postern_backend_errors_total", "reason", backend=name)

    def closed(self):
        return self.changes("postern_listener_sessions_closed_total", "reason")

    def wait_until_nobody_is_left(self, timeout=60):
        """Every session has ended: gauges at zero, backends left alone."""

        def nobody():
            metrics = self.proxy.metrics()
            return (
                metrics.get("postern_listener_sessions") == 0
                and metrics.get("postern_backend_sessions") == 0
                and metrics.get("postern_connections") == 0
            )

        wait_until(nobody, timeout, lambda: f"all sessions over\n{self.proxy.log()[-3000:]}")

    def wait_for_visits(self, name, count=1, timeout=60):
        one = self.backends[name]
        wait_until(lambda: len(one.visits()) >= count, timeout, f"a visit at {name}")

    def finished_visits(self, name, timeout=60):
        """All visits of the backend, once all are over."""
        visits = self.backends[name].visits()
        for visit in visits:
            assert visit.over.wait(timeout), f"a connection to {name} never ended"
        return visits


def cells(names):
    """(fault, mode) for every mode a fault makes sense in."""
    return [(name, mode) for name in names for mode in ALL_MODES if mode in FAULTS[name].modes]
