"""What cannot be served is refused before anything is started, by the daemon as by `cloister policy check`."""

import json
import os
import re
import socket
import subprocess
import tempfile
import uuid
from functools import partial
from pathlib import Path

import pytest

from service import POLICY, binary, of_tree, standard_library


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
            path.write_text(of_tree(text + more))
            path.chmod(0o644)
            return path

        yield write


def run(program, *arguments):
    return subprocess.run([binary(program), *map(str, arguments)], input="def main(): return 1", capture_output=True, text=True, timeout=300)


def looks(policy):
    """All that look at a policy before anything is started of it."""
    yield run("cloister", "policy", "check", policy)
    yield run("cloister", "run", "--policy", policy, "-")
    yield run("cloister-supervisor", "serve", "--policy", policy, "--socket", policy.with_suffix(".sock"), "--cgroup", f"cloister-check-{uuid.uuid4().hex[:8]}")


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
    tried = run("cloister", "policy", "check", "--try", policy)
    assert tried.returncode == 1 and tried.stdout == "", tried
    assert "profile \"tight\" does not run a script" in tried.stderr
    assert "profile \"wrong\" does not run a script" in tried.stderr and "no_such_module" in tried.stderr
    assert "profile \"cold\" does" not in tried.stderr and "profile \"default\" does" not in tried.stderr
    told = json.loads(run("cloister", "policy", "check", "--try", "--json", policy).stdout)
    assert {attempt["profile"]: attempt["ran"] for attempt in told["tried"]} == {"cold": True, "default": True, "tight": False, "wrong": False}


def test_what_runs_is_well(write):
    tried = run("cloister", "policy", "check", "--try", write("", ("warm = {", "warm = false #")))
    assert tried.returncode == 0 and "profiles: default; each ran a script; digest " in tried.stdout, tried


def test_a_socket_of_the_host_is_shown_to_no_job(write):
    with tempfile.TemporaryDirectory(prefix="suite-app-") as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/app.sock")
        # For everybody, as what jobs are shown has to be: the daemon looks at it without a privilege.
        Path(directory).chmod(0o755)
        policy = write(f'[profile.app]\nextends = "default"\nfilesystem.read_only = ["{directory}:/app"]\n')
        for refused in looks(policy):
            assert refused.returncode == 1 and "app.sock is a Unix socket of the host" in refused.stderr, refused


@pytest.mark.parametrize("old, new, said", [
    ("uid_count = 8192", "uid_count = 2", "256 sessions, the launchers and the supervisor need 263 ids"),
    ('memory = "512MiB"', 'memory = "512"', "a size needs a unit"),
    ("/var/lib/cloister/python/usr:/usr", "/nonexistent/usr:/usr", "does not exist on this host"),
    ("/var/lib/cloister/python/usr:/usr", "/etc:/usr", "host's secrets"),
    ('allow = ["@python"]', 'allow = ["ptrace"]', "may not be allowed in any profile"),
])
def test_the_daemon_does_not_start_with_what_check_refuses(write, old, new, said):
    policy = write("", (old, new))
    for refused in looks(policy):
        assert refused.returncode == 1 and said in refused.stderr, refused


def test_more_rules_than_the_kernel_takes_are_refused(write):
    rule = '{ call = "getpid", when = ["int0 == 1"], action = "errno" },'
    refused = run("cloister", "run", "--policy", write("", ("rules = []\n\n", f"rules = [{rule * 600}]\n\n")), "-")
    assert refused.returncode == 1 and "the kernel takes 4096" in refused.stderr, refused


# What keeps each sandbox from being built, or each script from running, and is found before one is started.
NO_PLACE = [
    ('links = {', 'links = { tmp = "usr/lib", ', "/tmp is a directory of the sandbox's own"),
    ('links = {', 'links = { cell = "usr/lib", ', "/cell is a directory of the sandbox's own"),
    ('links = {', 'links = { usr = "usr/lib", ', "/usr is mounted there"),
    ("read_only = []", 'read_only = ["DATA:/lib/data"]', "lies behind the link /lib"),
    ("read_only = []", 'read_only = ["DATA:/usr/none/data"]', "/usr/none/data has no place"),
    ("read_only = []", 'read_only = ["DATA/file:/usr/lib"]', "/usr/lib is a directory, and"),
    ("read_only = []", 'read_only = ["DATA:/usr/bin/VERSIONED"]', "is a file, and"),
    ('working_directory = "/tmp"', 'working_directory = "/"', "the working directory cannot be /"),
    ('working_directory = "/tmp"', 'working_directory = "/proc/x"', "would be in the sandbox's own /proc"),
    ('working_directory = "/tmp"', 'working_directory = "/etc/x"', "would be in the sandbox's own /etc"),
    ('working_directory = "/tmp"', 'working_directory = "/lib/x"', "lies behind the link /lib of the runtime"),
    ("RULES", ']\nworking_directory = "/mnt/data"\nfilesystem.read_only = ["DATA:/mnt/data/models"', "would hide /mnt/data/models"),
    ("RULES", '{ path = "/tmp/cache", access = ["read"] }', "/tmp/cache does not exist when a job begins"),
    ("RULES", '{ path = "/usr/none", access = ["read"] }', "/usr/none is not there"),
    ("RULES", '{ path = "/usr", access = ["read", "list"] }', "/usr/bin/python3 may not be read and executed"),
]

# What looks odd and is served.
ODD = [
    ('links = {', 'links = { mnt = "tmp", home = "tmp/home", srv = "usr/lib", '),
    ('working_directory = "/tmp"', 'working_directory = "/tmp/mnt/work"'),
    ('working_directory = "/tmp"', 'working_directory = "/mnt/data"'),
    ('working_directory = "/tmp"', 'working_directory = "/home/user"'),
    ('working_directory = "/tmp"', 'working_directory = "/srv"'),
    ('working_directory = "/tmp"', 'working_directory = "/var/lib/jobs/of/all"'),
    ("RULES", ']\nworking_directory = "/mnt/data"\nfilesystem.read_only = ["DATA:/mnt/models"'),
    ("RULES", '{ path = "/tmp", access = ["read", "list"] }]\nworking_directory = "/home/user"\nrlimits.open_files = 64\nfilesystem.read_only = ["DATA:/home/data"'),
    ("environment = {}", 'environment = { USER = "someone", LOGNAME = "x", PYTHONPATH = "/opt", PYTHONHASHSEED = "0" }'),
    ('hostname = "cloister"', 'hostname = "LOOPBACK"'),
    ('result_bytes = "8MiB"', 'result_bytes = "1KiB"'),
    ("read_only = []", 'read_only = ["DATA:/etc/data", "DATA:/var/lib/data", "DATA/file:/home/file"]'),
    ("read_only = []", 'read_only = ["DATA:/usr/lib/VERSIONED/wsgiref"]'),
    ("RULES", '{ path = "/tmp/out", access = ["read", "write"] }, { path = "/usr/bin/python3", access = ["execute"] }'),
    ("RULES", '{ path = "/tmp", access = ["read", "list"] }'),
    ("CALLS", '{ call = "ptrace", action = "kill" }, { call = "keyctl", action = "errno", errno = "ENOSYS" }'),
    ("CALLS", '{ call = "mount", action = "errno", errno = "ENODEV" }, { call = "setuid", action = "kill" }'),
    ('network = "none"', 'network = "loopback"'),
]


@pytest.fixture
def changed(write):
    """The shipped policy with cold starts and one thing changed; its path."""
    with tempfile.TemporaryDirectory(prefix="suite-data-") as directory:
        data = Path(directory) / "data"
        data.mkdir()
        (data / "file").write_text("x")
        for path, mode in ((data, 0o755), (data / "file", 0o644), (Path(directory), 0o711)):
            path.chmod(mode)
        yield partial(change, write, data)


def change(write, data, old, new):
    new = new.replace("DATA", str(data)).replace("VERSIONED", Path(standard_library()).name)
    if old in ("RULES", "CALLS"):
        table = {"RULES": "landlock", "CALLS": "seccomp"}[old]
        return write(f'\n[profile.changed]\nextends = "default"\n{table}.rules = [{new}]\n', ("warm = {", "warm = false #"))
    return write("", ("warm = {", "warm = false #"), (old, new))


@pytest.mark.parametrize("old, new, said", NO_PLACE, ids=[said for *_, said in NO_PLACE])
def test_what_no_sandbox_could_be_built_with_is_told_with_its_place(changed, old, new, said):
    refused = run("cloister", "policy", "check", changed(old, new))
    assert refused.returncode == 1 and said in refused.stderr, refused
    assert "policy.toml:" in refused.stderr and "^" in refused.stderr, refused


@pytest.mark.parametrize("old, new", ODD, ids=[new for _, new in ODD])
def test_what_check_accepts_the_canary_accepts(changed, old, new):
    policy = changed(old, new)
    for program, *command in (("cloister", "policy", "check"), ("cloister", "doctor", "--policy")):
        accepted = run(program, *command, policy)
        assert accepted.returncode == 0, accepted


def test_variables_that_an_isolated_interpreter_does_not_read_are_told(changed):
    told = run("cloister", "policy", "check", changed("environment = {}", 'environment = { PYTHONPATH = "/opt", PYTHONTZPATH = "/usr/share/zoneinfo" }'))
    assert told.returncode == 0 and "isolated (-I) and does not read PYTHONPATH" in told.stderr and "PYTHONTZPATH" not in told.stderr.split("-->")[0], told


def test_slots_can_be_a_share_of_the_processors_that_there_are(write):
    policy = write("", ("slots = 1", 'slots = "3/cpu"'))
    for processors in ({0}, os.sched_getaffinity(0)):
        def explain():
            os.sched_setaffinity(0, processors)

        said = subprocess.run([binary("cloister"), "policy", "explain", "--policy", str(policy)], capture_output=True, text=True, timeout=300, preexec_fn=explain)
        [slots] = re.findall(r"(?m)^ *slots += ([0-9]+)", said.stdout)
        assert int(slots) == 3 * len(processors)
