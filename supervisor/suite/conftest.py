"""Fixtures: a service that all tests share, and services of a test's own.

With CLOISTER_URL the tests run against an installed service, and those that must start, stop or look
into one are skipped.
"""

import os

import pytest

from client import Client
from service import Service

# Profiles that tests of limits run into quickly.
PROFILES = """
[profile.tiny]
extends = "default"
memory = "64MiB"
processes = 16
cpu_time = "500ms"
wall_time = "10s"
result_bytes = "64KiB"
script_bytes = "4KiB"
filesystem = { tmp = "8MiB", tmp_inodes = 64, shm = "8MiB", shm_inodes = 32 }
"""


@pytest.fixture(scope="session")
def service():
    """A service that tests share; they must leave it as it was."""
    if url := os.environ.get("CLOISTER_URL"):
        pytest.skip(f"{url} was not started by these tests")
    service = Service(policy=PROFILES).start()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def client(request):
    """A client of the shared service."""
    if url := os.environ.get("CLOISTER_URL"):
        return Client(url)
    return request.getfixturevalue("service").client


@pytest.fixture(scope="session")
def execute(client):
    """Run a script on the shared service."""
    return client.execute


@pytest.fixture
def start_service():
    """Start services of the test's own; they are stopped after it."""
    if os.environ.get("CLOISTER_URL"):
        pytest.skip("needs services of its own")
    started = []

    def start(**options):
        service = Service(**options)
        started.append(service)
        return service.start()

    yield start
    for service in started:
        service.stop()
