"""Rules of a profile for single system calls and single paths, as a job meets them."""

import tempfile
from pathlib import Path

import pytest

from prelude import attack

POLICY = """
[profile.calls]
extends = "default"
warm = false
seccomp.allow = ["-times", "-getpgid", "-socket", "sched_setscheduler"]
seccomp.rules = [
  {{ call = "getcpu", action = "errno", errno = "ENOSYS" }},
  {{ call = "kill", when = ["int1 == 10"], action = "errno", errno = "EBUSY" }},
  {{ call = "kill", when = ["int1 >= 30", "int1 < 40"], action = "errno" }},
  {{ call = "umask", when = ["int0 & 0o7 == 0o7"], action = "errno", errno = "EINVAL" }},
  {{ call = "setpriority", when = ["int0 == 1"], action = "kill" }},
  {{ call = "ptrace", action = "kill" }},
  {{ call = "mq_unlink", action = "log" }},
  {{ call = "getpgid", when = ["int0 == 0"], action = "allow" }},
  {{ call = "socket", when = ["int1 & 0xf == 1"], action = "allow" }},
  {{ call = "sched_setscheduler", when = ["int1 != 0"], action = "errno", errno = "EACCES" }},
]

[profile.paths]
extends = "default"
warm = false
filesystem.read_only = ["{data}/open:/data", "{data}/closed:/closed"]
landlock.rules = [
  {{ path = "/closed", access = ["read"] }},
  {{ path = "/dev/shm", access = ["read", "list"] }},
]

[profile.heir]
extends = "paths"
filesystem.read_only = ["-/closed"]
landlock.rules = ["-/closed", "-/dev/shm", {{ path = "/tmp", access = ["read", "write"] }}]

[profile.shut]
extends = "paths"
landlock.rules = [{{ path = "/dev/shm", access = [] }}, {{ path = "/data", access = [] }}, {{ path = "/data/model", access = ["list"] }}]
"""


def make(data):
    """Two directories that jobs are shown, with a file to read and a program to run."""
    data.chmod(0o755)
    for place in ("open", "closed"):
        (data / place).mkdir()
        (data / place / "model").write_text("weights")
        (data / place / "program").write_text("#!/usr/bin/python3\nprint('ran')\n")
        for path in (data / place, data / place / "program"):
            path.chmod(0o755)


@pytest.fixture(scope="module")
def ruled(start_for_module):
    with tempfile.TemporaryDirectory(prefix="suite-data-") as data:
        make(Path(data))
        yield start_for_module(policy=POLICY.format(data=data))


@pytest.fixture
def run(ruled):
    return lambda body, profile, **fields: ruled.client.execute(attack(body), profile=profile, **fields)


@pytest.mark.layer("seccomp")
def test_calls_are_answered_as_the_rules_say(run):
    tried = run("""
    def main():
        me = os.getpid()
        import signal
        signal.signal(31, signal.SIG_IGN); signal.signal(12, signal.SIG_IGN); signal.signal(41, signal.SIG_IGN)
        return {
            "allowed by the parent, taken away": syscall(100, ctypes.create_string_buffer(64)),
            "errno": syscall(309, None, None, None),
            "by argument": [attempt(os.kill, me, 0), attempt(os.kill, me, 10), attempt(os.kill, me, 12)],
            "two conditions": [attempt(os.kill, me, 31), attempt(os.kill, me, 41)],
            "upper bits do not help": syscall(62, me, 10 | 1 << 32),
            "some bits": [syscall(95, 0o777), syscall(95, 0o70), syscall(95, 0o27)],
            "logged, so made": syscall(241, b"none"),
            "allowed for one argument": [isinstance(syscall(121, 0), int), syscall(121, 1)],
            "allowed but for some": [syscall(144, 0, 0, struct.pack("i", 0)), syscall(144, 0, 3, struct.pack("i", 0))],
        }
    """, "calls").result
    assert tried.pop("some bits") == ["EINVAL", 0o77, "EINVAL"]
    assert tried == {
        "allowed by the parent, taken away": "EPERM", "errno": "ENOSYS", "by argument": ["None", "EBUSY", "None"],
        "two conditions": ["EPERM", "None"], "upper bits do not help": "EBUSY", "logged, so made": "ENOENT",
        "allowed for one argument": [True, "EPERM"], "allowed but for some": [0, "EACCES"],
    }


@pytest.mark.layer("seccomp")
@pytest.mark.parametrize("call", ["syscall(141, 1, 0, 0)", "syscall(101, 0, 0, 0, 0)"])
def test_a_call_that_kills_ends_the_job(ruled, run, call):
    answer = run(f"def main(): return {call}", "calls")
    assert answer.code == "killed" and answer.error["signal"] == "SIGSYS", answer
    assert not ruled.job_processes()


@pytest.mark.layer("seccomp")
def test_what_a_rule_allows_stays_within_what_is_safe(run):
    families = "def main(): return [attempt(lambda: socket.socket(f, k).close()) for f, k in ((1, 1), (1, 5), (2, 1), (16, 3))]"
    assert run(families, "calls").result == ["None", "EPERM", "EPERM", "EPERM"]


@pytest.mark.layer("seccomp")
def test_another_profile_has_none_of_these_rules(run):
    body = "def main(): return [attempt(os.kill, os.getpid(), 0), isinstance(syscall(100, ctypes.create_string_buffer(64)), int), syscall(241, b'none')]"
    assert run(body, "paths").result == ["None", True, "EPERM"]


@pytest.mark.layer("landlock")
def test_paths_are_granted_as_the_rules_say(run):
    tried = run("""
    def main():
        import subprocess
        start = lambda path: subprocess.run([path], capture_output=True, text=True).stdout
        return {
            place: [attempt(lambda: open(place + "/model").read()), attempt(os.listdir, place), attempt(start, place + "/program")]
            for place in ("/data", "/closed")
        } | {
            "shm": [attempt(os.listdir, "/dev/shm"), attempt(open, "/dev/shm/x", "w")], "tmp": attempt(lambda: open("/tmp/x", "w").close()),
            "root": attempt(os.listdir, "/"),
            "data": attempt(open, "/data/new", "w"),
        }
    """, "paths").result
    listed = tried["/data"].pop(1)
    assert "'model'" in listed and "'program'" in listed
    assert tried.pop("data") in ("EROFS", "EACCES")
    assert tried == {
        "/data": ["'weights'", "'ran\\n'"], "/closed": ["'weights'", "EACCES", "EACCES"], "shm": ["[]", "EACCES"], "tmp": "None",
        "root": "EACCES",
    }


@pytest.mark.layer("landlock")
def test_a_profile_that_inherits_takes_away_and_adds(run):
    tried = run("""
    def main():
        return [os.path.exists("/closed"), attempt(lambda: open("/dev/shm/x", "w").close()), attempt(lambda: open("/tmp/x", "w").close()), attempt(os.listdir, "/tmp")]
    """, "heir").result
    assert tried == [False, "None", "None", "EACCES"]


@pytest.mark.layer("landlock")
def test_nothing_is_granted_where_a_rule_grants_nothing_or_what_cannot_be(run):
    """Directories, and a file that would have to be listed."""
    tried = run("""
    def main():
        return [attempt(os.listdir, "/dev/shm"), attempt(open, "/dev/shm/x", "w"), attempt(lambda: open("/data/model").read()), attempt(os.listdir, "/data"),
                attempt(lambda: open("/tmp/x", "w").close())]
    """, "shut").result
    assert tried == ["EACCES"] * 4 + ["None"]
