"""One world of faulty backends per mode and kind of deadlines, for all tests of a process."""

import shutil
import tempfile

import pytest
from harness.wire import Wire

from .faulty_upstream import SILENT
from .world import LONG, SHORT, World


@pytest.fixture(scope="session")
def worlds(certificates, leaf):
    """A function from a mode and a fault to their world, started when first asked for."""
    started = {}

    def of(mode, fault):
        key = (mode, fault in SILENT)
        if key not in started:
            directory = tempfile.mkdtemp(prefix="postern-it-faults-")
            world = World(mode, SHORT if fault in SILENT else LONG, certificates, leaf, directory)
            started[key] = (world.__enter__(), directory)
        return started[key][0]

    yield of
    for world, directory in started.values():
        world.__exit__(None, None, None)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def world(worlds, request):
    """The world of the test's mode and fault, and the check that the proxy is alive after the test."""
    parameters = request.node.callspec.params
    mode = parameters["mode"]
    world = worlds(mode, parameters.get("fault"))
    yield world
    world.proxy.check_health()
    with Wire(world.port("pop3s"), tls=True, timeout=20) as client:
        assert client.log_in(f"alive@none.{mode}.direct").startswith(b"+OK")
        assert client.command("QUIT").startswith(b"+OK")
