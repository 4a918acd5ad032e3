"""Interpreters that are started, for their request or ahead of it, run the runner as code that one of them has compiled."""

import pytest

from client import eventually
from prelude import attack

# The runner's text alone is longer.
SHORT = 20_000

PROFILES = """
[profile.cold]
extends = "default"
warm = false

[profile.ahead]
extends = "default"
warm = { imports = [], parked = 2, children = "started" }
"""


@pytest.fixture(scope="module")
def execute(start_for_module):
    return start_for_module(policy=PROFILES).client.execute


def arguments():
    def main():
        return len(open("/proc/self/cmdline").read())


@pytest.mark.parametrize("profile", ["cold", "ahead"])
def test_the_runner_is_not_compiled_for_each(execute, profile):
    eventually(lambda: execute(arguments, profile=profile).result < SHORT)
    assert all(execute(arguments, profile=profile).result < SHORT for _ in range(5))


def test_nothing_of_it_is_open_in_a_script(execute):
    """And nothing is mapped from it but the library, so that no job can find what the next will run, to lock it or to change it."""
    eventually(lambda: execute(arguments, profile="cold").result < SHORT)
    script = attack("""
        def main():
            numbers = sorted(map(int, os.listdir("/proc/self/fd")))[:-1]
            reopened = [attempt(os.open, f"/proc/self/fd/{number}", os.O_RDWR) for number in (5, 6)]
            init = attempt(os.listdir, "/proc/1/fd")
            return [numbers, reopened, init, len({line.split()[4] for line in open("/proc/self/maps") if "memfd:" in line})]
    """)
    for _ in range(3):
        assert execute(script, profile="cold").result == [[0, 1, 2, 3], ["ENOENT"] * 2, "ENOENT", 1]
