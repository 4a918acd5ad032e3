"""What cannot be served is refused before anything is started, by the daemon as by `cloister-policy`."""

import json
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from service import POLICY, binary


@pytest.fixture
def write():
    """Write a policy that is the shipped one and more; its path."""
    with tempfile.TemporaryDirectory(prefix="suite-check-") as directory:

        def write(more, *replaced):
            text = POLICY.read_text()
            for old, new in [("slots = 32", "slots = 1"), *replaced]:
                assert old in text
                text = text.replace(old, new, 1)
            path = Path(directory) / "policy.toml"
            path.write_text(text + more)
            path.chmod(0o644)
            return path

        yield write


def run(program, *arguments):
    return subprocess.run([binary(program), *map(str, arguments)], input="def main(): return 1", capture_output=True, text=True, timeout=300)


def test_each_profile_is_tried_and_the_one_that_is_too_tight_is_named(write):
    policy = write("""
    [profile.cold]
    extends = "default"
    warm = false
    [profile.tight]
    extends = "cold"
    seccomp.allow = ["-mmap"]
    [profile.wrong]
    extends = "default"
    warm = { imports = ["no_such_module"] }
    """)
    tried = run("cloister-policy", "check", "--try", policy)
    assert tried.returncode == 1 and tried.stdout == "", tried
    assert "profile \"tight\" does not run a script" in tried.stderr
    assert "profile \"wrong\" does not run a script" in tried.stderr and "no_such_module" in tried.stderr
    assert "profile \"cold\" does" not in tried.stderr and "profile \"default\" does" not in tried.stderr
    told = json.loads(run("cloister-policy", "check", "--try", "--json", policy).stdout)
    assert {attempt["profile"]: attempt["ran"] for attempt in told["tried"]} == {"cold": True, "default": True, "tight": False, "wrong": False}


def test_what_runs_is_well(write):
    tried = run("cloister-policy", "check", "--try", write("", ("warm = {", "warm = false #")))
    assert tried.returncode == 0 and "profiles: default; each ran a script; digest " in tried.stdout, tried


def test_a_socket_of_the_host_is_shown_to_no_job(write):
    with tempfile.TemporaryDirectory(prefix="suite-app-") as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/app.sock")
        policy = write(f'[profile.app]\nextends = "default"\nfilesystem.read_only = ["{directory}:/app"]\n')
        for program, command in (("cloister-policy", ["check", policy]), ("cloister-supervisor", ["run", "--policy", policy, "-"])):
            refused = run(program, *command)
            assert refused.returncode == 1 and "app.sock is a Unix socket of the host" in refused.stderr, refused


@pytest.mark.parametrize("old, new, said", [
    ("uid_count = 8192", "uid_count = 2", "need 6 ids"),
    ('memory = "512MiB"', 'memory = "512"', "a size needs a unit"),
    ("/var/lib/cloister/python/usr:/usr", "/nonexistent/usr:/usr", "does not exist on this host"),
    ("/var/lib/cloister/python/usr:/usr", "/etc:/usr", "host's secrets"),
    ('allow = ["@python"]', 'allow = ["ptrace"]', "may not be allowed in any profile"),
])
def test_the_daemon_does_not_start_with_what_check_refuses(write, old, new, said):
    policy = write("", (old, new))
    for program, command in (("cloister-policy", ["check", policy]), ("cloister-supervisor", ["run", "--policy", policy, "-"])):
        refused = run(program, *command)
        assert refused.returncode == 1 and said in refused.stderr, refused


def test_more_rules_than_the_kernel_takes_are_refused(write):
    rule = '{ call = "getpid", when = ["int0 == 1"], action = "errno" },'
    refused = run("cloister-supervisor", "run", "--policy", write("", ("rules = []\n\n", f"rules = [{rule * 600}]\n\n")), "-")
    assert refused.returncode == 1 and "the kernel takes 4096" in refused.stderr, refused
