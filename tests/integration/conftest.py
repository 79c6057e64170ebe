"""Fixtures shared by all integration tests, also those in directories below."""

import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Certificates, Proxy  # noqa: E402
from harness.farm import Farm  # noqa: E402


@pytest.fixture
def tmp(request):
    """A directory that other users may enter (servers drop root); kept when the test fails."""
    path = tempfile.mkdtemp(prefix="postern-it-")
    os.chmod(path, 0o755)
    yield path
    failed = getattr(request.node, "call_report", None)
    if failed is not None and failed.failed:
        print(f"files of the failed test: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def certificates():
    """One authority for the whole run, and certificates made as needed."""
    path = tempfile.mkdtemp(prefix="postern-it-certificates-")
    os.chmod(path, 0o755)
    yield Certificates(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def leaf(certificates):
    """The proxy's own certificate."""
    return certificates.leaf(("localhost", "pop.example.net"))


@pytest.fixture(scope="session")
def running_farm(certificates):
    path = tempfile.mkdtemp(prefix="postern-it-farm-")
    os.chmod(path, 0o755)
    servers = Farm(path, certificates)
    yield servers
    servers.stop()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def farm(running_farm):
    """Two Dovecot servers without any mail."""
    running_farm.empty()
    return running_farm


@pytest.fixture
def start_proxy(tmp, leaf):
    """start_proxy(config, ...): proxies that are stopped, and must stop well, after the test."""
    started = []

    def start(config, certificate=leaf, name="proxy", **more):
        directory = os.path.join(tmp, f"{name}{len(started)}")
        proxy = Proxy(config, directory, certificate=certificate, **more)
        started.append(proxy)
        return proxy

    try:
        yield start
        for proxy in started:
            proxy.stop()
    finally:
        for proxy in started:
            proxy.kill()
            print(f"--- log of {proxy.directory}\n{proxy.log()[-6000:]}")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.call_report = report
