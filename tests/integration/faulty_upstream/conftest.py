"""One world of faulty backends per mode, for all tests of a process."""

import shutil
import tempfile

import pytest
from harness.wire import Wire

from .world import World


@pytest.fixture(scope="session")
def worlds(certificates, leaf):
    """A function from a mode to its world, started when first asked for."""
    started = {}

    def of(mode):
        if mode not in started:
            directory = tempfile.mkdtemp(prefix="postern-it-faults-")
            started[mode] = (World(mode, certificates, leaf, directory).__enter__(), directory)
        return started[mode][0]

    yield of
    for world, directory in started.values():
        world.__exit__(None, None, None)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def world(worlds, request):
    """The world of the test's mode, and the check that the proxy is alive after the test."""
    mode = request.node.callspec.params["mode"]
    world = worlds(mode)
    yield world
    world.proxy.check_health()
    with Wire(world.port("pop3s"), tls=True, timeout=3) as client:
        assert client.log_in(f"alive@none.{mode}.direct").startswith(b"+OK")
        assert client.command("QUIT").startswith(b"+OK")
