"""What a service manager is told: that a start takes its time, and that the service lives whoever hangs below it."""

import os
import signal
import socket

import pytest

from service import WARM

# As long as the packaged unit has it, so that a slow machine is no reason.
WATCHDOG_SECONDS = 30


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """The socket of a service manager that waits no longer than the watchdog's time for each message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WATCHDOG_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_SECONDS * 1_000_000))
        yield manager


def until(manager, wanted):
    """Every line that is told before the one that is wanted."""
    told = []
    while not told or told[-1] != wanted:
        told += manager.recv(4096).decode().splitlines()
    return told


def test_a_start_asks_for_the_time_that_it_takes(manager, start_service):
    start_service()
    assert "EXTEND_TIMEOUT_USEC=30000000" in until(manager, "READY=1")


@pytest.mark.skipif(not WARM, reason="the profiles of cold starts keep no interpreter warm")
def test_three_that_hang_at_once_are_replaced_and_the_watchdog_is_fed_meanwhile(manager, start_service, own_module):
    service = start_service(policy=own_module.profile(""))
    until(manager, "READY=1")
    hung = [service.launcher(), *service.zygotes()]
    assert len(hung) == 3
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    # It is fed in time, again and again, until they have been replaced.
    while set(hung) & set(service.processes()):
        until(manager, "WATCHDOG=1")
    assert service.supervisor.poll() is None
    assert service.client.execute("def main(): return 1").result == 1
    assert service.client.execute("def main(): return 1", profile="own").result == 1
