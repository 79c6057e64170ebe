"""postern-load reads the session log that the proxy writes, and does again what stands in it."""

import json
import os
import re
import subprocess

import pytest

from harness import build_directory, wait_until
from harness.processes import Process

LOAD = os.path.join(build_directory(), "postern-load")
MAILDROP = os.path.join(build_directory(), "postern-maildrop")

pytestmark = pytest.mark.skipif(not os.path.exists(LOAD), reason="built without POSTERN_BENCH")


@pytest.fixture
def store(tmp):
    """The port of a synthetic store with four messages for everybody."""
    process = Process(
        [MAILDROP, "--listen", "127.0.0.1:0", "--messages", "4"], os.path.join(tmp, "store.log"))
    ready = wait_until(
        lambda: re.search(r"is ready on 127\.0\.0\.1:(\d+)", process.log()), 60, process.log)
    yield int(ready.group(1))
    process.kill()


def load(*arguments):
    done = subprocess.run([LOAD, "--json", "-", "--quiet", "--timeout-s", "60", *map(str, arguments)],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_a_log_of_the_proxy_is_repeated(log_format, start_proxy, store):
    proxy = start_proxy({
        "log": {"format": log_format},
        "backend": [{"name": "store", "address": f"127.0.0.1:{store}", "tls": "off"}],
        "route": [{"users": "*", "backend": "store"}],
    })
    target = f"127.0.0.1:{proxy.ports['plain']}"
    fetched, _ = load("--target", target, "--script", "fetch", "--fetch-max", 3, "--total", 20)
    load("--target", target, "--script", "login", "--wrong-passwords", 100, "--total", 5)
    load("--target", target, "--script", "handshake", "--total", 2)
    lines = proxy.session_lines(27)
    assert len(lines) == 27
    with open(proxy.sessions_path, "a", encoding="utf-8") as log:
        log.write("what another program wrote\n")

    again, complaint = load("--target", f"127.0.0.1:{store}", "--replay", proxy.sessions_path,
                            "--speed", 10)
    assert again["replay_lines"] == 27
    assert again["replay_lines_bad"] == 1
    assert "sessions.log:28: " in complaint
    assert again["good"] == again["sessions"] == 27
    assert again["logins"] == 20
    assert again["refused_as_expected"] == 5
    assert again["messages"] == again["messages_verified"] == fetched["messages"] == 60
    assert again["latency_ms"]["list"]["count"] == 20
