"""SIGHUP: a good configuration drops nobody, a broken one changes nothing."""

import copy
import os
import re
import shutil

import pytest

from harness import Pop3Connection, wait_until
from harness.farm import PASSWORD
from harness.ports import listens
from harness.proxy import is_sanitized

USER = "mapped1@map.test"
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture
def own_files(certificates, tmp):
    """A certificate whose files the test may overwrite."""
    from harness import Certificate

    leaf = certificates.leaf()
    paths = [os.path.join(tmp, name) for name in ("chain.pem", "key.pem")]
    for source, target in zip((leaf.chain, leaf.key), paths):
        shutil.copy(source, target)
    return Certificate(*paths, leaf.ca)


def served_certificate(port):
    with Pop3Connection(port, "implicit") as client:
        shown = client.socket.getpeercert(binary_form=True)
        client.quit()
    return shown


def der(path):
    import ssl

    with open(path) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def open_session(port, tls="implicit"):
    client = Pop3Connection(port, tls)
    assert client.login(USER, PASSWORD).startswith(b"+OK")
    return client


def assert_goes_on(client):
    assert client.multiline("RETR 1")[1] == MESSAGE
    assert client.quit().startswith(b"+OK")


def test_a_new_certificate(start_proxy, farm, certificates, own_files):
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy(farm.config(), certificate=own_files)
    port = proxy.ports["pop3s"]
    assert served_certificate(port) == der(own_files.chain)
    client = open_session(port)
    new = certificates.leaf(kind="rsa")
    shutil.copy(new.chain, own_files.chain)
    shutil.copy(new.key, own_files.key)
    assert "new configuration is in use" in proxy.reload()
    wait_until(lambda: served_certificate(port) == der(new.chain), what="the new certificate")
    assert_goes_on(client)
    metrics = proxy.metrics()
    assert metrics.get("postern_config_generation") == 2
    assert metrics.get("postern_config_reloads_total", result="ok") == 1


def broken_key(proxy, files, certificates):
    shutil.copy(certificates.leaf().key, files.key)
    return files.key


def broken_toml(proxy, files, certificates):
    with open(proxy.config_path, "a") as file:
        file.write("[limits]\nsessions = = 5\n")
    return "postern.toml:"


def unknown_key(proxy, files, certificates):
    config = copy.deepcopy(proxy.config)
    config["timeouts"]["drian"] = "1s"
    proxy.write_config(config)
    return "drian"


def port_in_use(proxy, files, certificates):
    config = copy.deepcopy(proxy.config)
    config["listener"].append({"name": "extra", "address": proxy.admin, "tls": "implicit"})
    proxy.write_config(config)
    return proxy.admin


def no_map(proxy, files, certificates):
    config = copy.deepcopy(proxy.config)
    config["route"].insert(0, {"map": "/nonexistent/users.map"})
    proxy.write_config(config)
    return "/nonexistent/users.map"


@pytest.mark.parametrize("fault", [broken_key, broken_toml, unknown_key, port_in_use, no_map])
def test_a_broken_configuration_changes_nothing(fault, start_proxy, farm, certificates, own_files):
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy(farm.config(), certificate=own_files)
    served = served_certificate(proxy.ports["pop3s"])
    client = open_session(proxy.ports["pop3s"])
    fds = proxy.metrics().get("process_open_fds")
    why = fault(proxy, own_files, certificates)
    text = proxy.reload()
    assert "running configuration stays in use" in text and why in text, text
    assert served_certificate(proxy.ports["pop3s"]) == served
    assert_goes_on(client)
    assert_goes_on(open_session(proxy.ports["pop3"], "stls"))
    metrics = proxy.metrics()
    assert metrics.get("postern_config_generation") == 1
    assert metrics.get("postern_config_reloads_total", result="error") == 1
    proxy.wait_for_metric_to_fall(fds, "process_open_fds")


def test_listeners_and_backends_come_and_go_under_open_sessions(start_proxy, farm):
    for server in farm.servers.values():
        server.deliver(USER, [MESSAGE])
    to_mail1 = {
        "backend": [{"name": "mail1", "address": farm.servers["mail1"].address()}],
        "route": [{"users": "*", "backend": "mail1"}],
        "listener": [{"name": "old", "tls": "implicit"}, {"name": "stays", "tls": "implicit"}],
    }
    proxy = start_proxy(to_mail1)
    clients = [open_session(proxy.ports[name]) for name in ("old", "stays")]
    waiting = Pop3Connection(proxy.ports["old"], "implicit")

    to_mail2 = {
        "backend": [{"name": "mail2", "address": farm.servers["mail2"].address()}],
        "route": [{"users": "*", "backend": "mail2"}],
        "listener": [
            {"name": "new", "tls": "stls"},
            {"name": "stays", "tls": "implicit", "address": f"127.0.0.1:{proxy.ports['stays']}"},
        ],
    }
    proxy.write_config(to_mail2)
    assert "new configuration is in use" in proxy.reload()

    wait_until(lambda: not listens(proxy.ports["old"]), what="the old listener's end")
    with pytest.raises(ConnectionRefusedError):
        Pop3Connection(proxy.ports["old"], "implicit")
    for port, tls in ((proxy.ports["new"], "stls"), (proxy.ports["stays"], "implicit")):
        assert_goes_on(open_session(port, tls))
    # A session keeps the configuration it began with.
    assert waiting.login(USER, PASSWORD).startswith(b"+OK")
    for client in (*clients, waiting):
        assert_goes_on(client)
    lines = proxy.session_lines(5)
    assert sum("backend=mail1" in line for line in lines) == 3
    assert sum("backend=mail2" in line for line in lines) == 2
    assert all("reason=quit" in line for line in lines)


def test_many_reloads_under_traffic(start_proxy, farm):
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy(farm.config())
    client = open_session(proxy.ports["pop3s"])
    for _ in range(20):
        proxy.reload()
        assert client.multiline("RETR 1")[1] == MESSAGE
        assert_goes_on(open_session(proxy.ports["pop3s"]))
    assert_goes_on(client)
    assert proxy.metrics().get("postern_config_generation") == 21


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_reloads_leave_nothing_behind(start_proxy, farm):
    """A session keeps its configuration; once it has ended, that one must go."""
    proxy = start_proxy(farm.config(tls="implicit", ca=farm.certificate.ca))

    def reload(times):
        for _ in range(times):
            client = open_session(proxy.ports["pop3s"])
            proxy.reload()
            client.quit()
        proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
        return resident_bytes(proxy.pid)

    # It takes some rounds until the heap has found its size.
    before = reload(40)
    files = proxy.metrics().get("process_open_fds")
    after = reload(60)
    proxy.wait_for_metric_to_fall(files, "process_open_fds")
    if not is_sanitized():
        # What two workers keep of one configuration is about 160 KB.
        assert after < before + (3 << 20), (before, after)


def test_what_needs_a_restart_is_named(start_proxy, farm):
    listener = {"name": "front", "tls": "implicit"}
    proxy = start_proxy({**farm.config(), "listener": [listener]})
    address = f"127.0.0.1:{proxy.ports['front']}"
    changed = {**listener, "address": address, "backlog": 100}
    proxy.write_config({**farm.config(), "listener": [changed], "workers": 1})
    text = proxy.reload()
    assert "a new backlog of listener front takes effect at the next start only" in text
    assert "a new workers takes effect at the next start only" in text
    assert "new configuration is in use" in text
    # What has not changed is not named.
    assert text.count("at the next start only") == 2, text
    # It is still not in use.
    assert "a new workers takes effect at the next start only" in proxy.reload()
    # What is wanted now is in use since the start.
    proxy.write_config({**farm.config(), "listener": [{**listener, "address": address}]})
    text = proxy.reload()
    assert "new configuration is in use" in text and "next start only" not in text, text


def test_a_session_log_that_the_next_start_would_refuse(start_proxy, farm, tmp):
    proxy = start_proxy(farm.config())
    path = os.path.join(tmp, "nowhere", "sessions.log")
    proxy.write_config({**farm.config(), "log": {"sessions": path}})
    text = proxy.reload()
    assert "stays in use" in text and f"{path}: cannot be opened for writing: No such file" in text
    assert re.search(rf"{proxy.config_path}:\d+:\d+: {path}: .*; create its directory", text), text
    os.mkdir(os.path.dirname(path))
    assert "a new log.sessions takes effect at the next start only" in proxy.reload()


def test_the_session_log_is_opened_anew(start_proxy, farm):
    proxy = start_proxy(farm.config())
    open_session(proxy.ports["pop3s"]).quit()
    (first,) = proxy.session_lines()
    os.rename(proxy.sessions_path, proxy.sessions_path + ".1")
    proxy.reload()
    open_session(proxy.ports["plain"], "off").quit()
    (second,) = proxy.session_lines()
    assert "listener=pop3s" in first and "listener=plain" in second
    with open(proxy.sessions_path + ".1") as file:
        assert file.read().splitlines() == [first]
