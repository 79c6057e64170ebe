"""Names and services of backends in DNS, with dnsmasq as the name server."""

import os

import pytest

from harness.farm import PASSWORD
from harness.pop3 import Pop3Connection
from harness.ports import free_port
from harness.processes import Process
from harness.waiting import wait_until

USER = "mapped1@map.test"


class NameServer:
    """dnsmasq on 127.0.0.1, with the records of `write()`."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None

    def start(self, *records):
        path = os.path.join(self.directory, "dnsmasq.conf")
        with open(path, "w") as file:
            file.write(
                f"port={self.port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\n"
                "no-hosts\nno-daemon\npid-file\nlocal=/test/\n"
                + ("user=root\ngroup=root\n" if os.getuid() == 0 else "")
                + "".join(record + "\n" for record in records)
            )
        self.process = Process(["/usr/sbin/dnsmasq", f"--conf-file={path}"],
                               os.path.join(self.directory, "dnsmasq.log"))  # fmt: skip
        wait_until(self._listens, 60, lambda: f"dnsmasq: {self.process.log()}")

    def _listens(self):
        import socket

        assert self.process.alive(), self.process.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process = None


@pytest.fixture
def names(tmp):
    server = NameServer(tmp)
    yield server
    server.stop()


def login(proxy, user=USER):
    with Pop3Connection(proxy.ports["plain"], "off") as client:
        answer = client.login(user, PASSWORD)
        if answer.startswith(b"+OK"):
            client.quit()
        return answer


def config_for(names, address):
    return {
        "name_servers": [names.address],
        "backend": [{"name": "store", "address": address}],
        "route": [{"users": "*", "backend": "store"}],
    }


def server_of(proxy):
    """Logs in; which of the two servers it was, by the number of messages there."""
    with Pop3Connection(proxy.ports["plain"], "off") as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        messages = client.command("STAT").split()[1]
        client.quit()
    return {b"0": "mail1", b"1": "mail2"}[messages]


def port_of(server):
    return int(server.address(False).rsplit(":", 1)[1])


def test_a_service_shares_logins_by_weight(start_proxy, farm, names):
    ports = [port_of(farm.servers[name]) for name in ("mail1", "mail2")]
    names.start(
        "host-record=mail.test,127.0.0.1,60",
        f"srv-host=_pop3._tcp.test,mail.test,{ports[0]},10,75",
        f"srv-host=_pop3._tcp.test,mail.test,{ports[1]},10,25",
        f"srv-host=_pop3._tcp.test,mail.test,{free_port()},20,0",
    )
    proxy = start_proxy(config_for(names, "srv:_pop3._tcp.test"))
    farm.servers["mail2"].deliver(USER, [b"Subject: x\r\n\r\nbody\r\n"])
    # A start waits for the first answers, but not for ever.
    wait_until(lambda: login(proxy).startswith(b"+OK"), 60, proxy.log)
    seen = [server_of(proxy) for _ in range(40)]
    assert 26 <= seen.count("mail1") <= 34, seen


def test_the_next_server_of_a_service_is_tried(start_proxy, farm, names):
    names.start(
        "host-record=mail.test,127.0.0.1,60",
        f"srv-host=_pop3._tcp.test,mail.test,{free_port()},10,1",
        f"srv-host=_pop3._tcp.test,mail.test,{port_of(farm.servers['mail1'])},20,1",
    )
    proxy = start_proxy(config_for(names, "srv:_pop3._tcp.test"))
    wait_until(lambda: login(proxy).startswith(b"+OK"), 60, proxy.log)
    for _ in range(5):
        assert login(proxy).startswith(b"+OK")


def test_nobody_is_sent_to_ourselves(start_proxy, farm, names):
    """The name leads to our own listener: the next server is tried; without one the login fails once."""
    port = free_port()
    names.start(
        "host-record=mail.test,127.0.0.1,60",
        f"srv-host=_pop3._tcp.test,mail.test,{port},10,1",
        f"srv-host=_pop3._tcp.test,mail.test,{port_of(farm.servers['mail1'])},20,1",
    )
    listeners = [{"name": "plain", "address": f"127.0.0.1:{port}", "tls": "off", "plaintext_logins": True}]
    proxy = start_proxy({**config_for(names, "srv:_pop3._tcp.test"), "listener": listeners})
    wait_until(lambda: login(proxy).startswith(b"+OK"), 60, proxy.log)
    assert "leads to a listener of ours; no login is sent there" in proxy.log()
    proxy.write_config({**config_for(names, f"mail.test:{port}"), "listener": listeners})
    assert "is in use" in proxy.reload()
    seen = proxy.metrics().get("postern_listener_connections_total", listener="plain")
    assert login(proxy) == b"-ERR [SYS/TEMP] Account is temporarily unavailable"
    assert proxy.metrics().get("postern_listener_connections_total", listener="plain") == seen + 1


def test_a_name_moves_when_its_record_runs_out_and_stays_while_dns_is_down(
    start_proxy, farm, names
):
    port = port_of(farm.servers["mail1"])
    names.start("host-record=mail.test,127.0.0.9,1")
    config = config_for(names, f"mail.test:{port}")
    # Much longer than the record lives.
    config["timeouts"] = {"resolve": "1h"}
    proxy = start_proxy(config)
    assert login(proxy).startswith(b"-ERR [SYS/TEMP]")
    names.stop()
    names.start("host-record=mail.test,127.0.0.1,1")
    wait_until(lambda: login(proxy).startswith(b"+OK"), 60, proxy.log)
    names.stop()
    wait_until(lambda: "its last known addresses stay in use" in proxy.log(), 60, proxy.log)
    assert login(proxy).startswith(b"+OK")
