"""The house most museum tests visit; those that need other settings build their own."""

import os
import shutil
import tempfile

import pytest

from .house import House


@pytest.fixture(scope="session")
def shared_house(leaf):
    directory = tempfile.mkdtemp(prefix="postern-it-museum-")
    with House(directory, leaf) as house:
        house.check_alive()  # from now on CAPA is what the backend said to it, not a guess
        yield house
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def house(shared_house):
    """The shared house; after the test a fresh TLS login works, and soon."""
    yield shared_house
    shared_house.check_alive()


@pytest.fixture
def build_house(tmp, leaf):
    """build_house(config, ...): a house of the test's own, checked like the shared one."""
    built = []

    def build(config=None, certificate=leaf, **more):
        directory = os.path.join(tmp, f"house{len(built)}")
        house = House(directory, certificate, config, **more)
        built.append(house)
        return house.__enter__()

    try:
        yield build
        for house in built:
            house.check_alive()
            house.__exit__(None, None, None)
    finally:
        for house in built:
            house.proxy.kill()
