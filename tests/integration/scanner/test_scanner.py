"""What a scanner that somebody else wrote says of our TLS."""

import json
import os
import subprocess

from harness import Pop3Connection
from harness.farm import PASSWORD

USER = "mapped1@map.test"
# Protocols, cipher categories, forward secrecy, vulnerabilities.
CHECKS = ["-p", "-s", "-f", "-U"]
# Certificate items are those of the test's own certificate and are not asked for.
BAD = {"LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL"}


def test_testssl_finds_nothing(start_proxy, farm, tmp):
    """T16: not one finding that is worse than "OK"; and the proxy serves on."""
    proxy = start_proxy({**farm.config(), "listener": [{"name": "pop3s", "tls": "implicit"}]})
    port = proxy.ports["pop3s"]
    report = os.path.join(tmp, "testssl.json")
    done = subprocess.run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
         "--jsonfile", report, *CHECKS, f"localhost:{port}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2500, check=False)
    with open(report, encoding="utf-8") as file:
        findings = json.load(file)
    assert [f for f in findings if f["severity"] in BAD] == [], done.stdout
    said = {f["id"]: f["finding"] for f in findings}
    # It did look, and it saw us.
    assert len([f for f in findings if f["severity"] == "OK"]) > 20, done.stdout
    assert "offered" in said["TLS1_3"] and "not" not in said["TLS1_3"]
    assert "not offered" in said["TLS1"] and "not offered" in said["TLS1_1"]
    with Pop3Connection(port, "implicit") as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()
