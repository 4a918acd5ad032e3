"""What `learn` prints: a piece of policy under which the script runs, and nothing that no policy may give."""

import json
import os
import subprocess
import tempfile
import textwrap
import uuid
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

from prelude import attack
from service import CGROUPS, binary, host_processes, name_of, own_policy

# A job is as nice as who has it run; these tests may be run by somebody nice.
NICE = str(os.getpriority(os.PRIO_PROCESS, 0))
PROFILES = """
[profile.tight]
extends = "default"
seccomp.allow = ["-times", "-socketpair", "-wait4", "-getpriority"]
[profile.ruled]
extends = "default"
seccomp.rules = [{ call = "getpriority", action = "errno", errno = "EBUSY" }]
[profile.short]
extends = "default"
wall_time = "1s"
cpu_time = "1s"
seccomp.allow = ["-times"]
[profile.closed]
extends = "default"
landlock.rules = [{ path = "/dev/shm", access = ["read", "list"] }]
[profile.tight-learned]
extends = "tight"
"""


class Learned:
    """One run of `learn`."""

    def __init__(self, done):
        self.code, self.piece, self.errors = done.returncode, done.stdout, done.stderr
        # A script's answer comes first, if it ran.
        self.answer = json.loads(done.stderr.splitlines()[0]) if done.returncode in (0, 3) else None

    @property
    def lines(self):
        """What is no comment."""
        return [line for line in self.piece.splitlines() if not line.startswith("#")]

    def profile(self, name):
        return tomllib.loads(self.piece)["profile"][name]

    def said(self, *words):
        return any(all(word in line for word in words) for line in self.piece.splitlines())


@pytest.fixture
def policy():
    """The shipped policy with cold starts, and profiles that lack something."""
    with tempfile.TemporaryDirectory(prefix="suite-learn-") as directory:
        text = own_policy()
        assert "warm = {" in text
        path = Path(directory) / "policy.toml"
        path.write_text(text.replace("warm = {", "warm = false # {", 1) + PROFILES)
        path.chmod(0o644)
        yield path


def cloister(command, policy, script, profile="default", options=(), within=()):
    arguments = [*within, binary("cloister"), command, "--policy", policy, "--profile", profile, *options, "-"]
    return subprocess.run(list(map(str, arguments)), input=textwrap.dedent(script), capture_output=True, text=True, timeout=300)


@pytest.fixture
def learn(policy):
    return lambda script, profile="default": Learned(cloister("learn", policy, script, profile))


@pytest.fixture
def data():
    """A directory of the host that sandboxes do not have, with files to read; not below /tmp, which they do."""
    with tempfile.TemporaryDirectory(prefix="suite-learn-", dir="/opt") as directory:
        place = Path(directory)
        place.chmod(0o755)
        for name in ("one", "two"):
            (place / name).write_text(name)
            (place / name).chmod(0o644)
        yield place


def run(policy, script, profile):
    return json.loads(cloister("run", policy, script, profile).stdout)


def paste(policy, learned):
    policy.write_text(f"{policy.read_text()}\n{learned.piece}")
    checked = subprocess.run([binary("cloister"), "policy", "check", "--strict", str(policy)], capture_output=True, text=True)
    assert checked.returncode == 0, (checked, learned.piece)


TIGHT = """
    import os, socket, subprocess, sys
    def main():
        for end in socket.socketpair():
            end.close()
        started = subprocess.run([sys.executable, "-I", "-c", "import os; print(os.getpriority(0, 0))"], capture_output=True, text=True, check=True)
        return [os.times().user >= 0, started.stdout.strip()]
"""


@pytest.mark.layer("seccomp")
def test_pasted_below_the_policy_it_lets_the_script_run(policy, learn):
    assert "error" in run(policy, TIGHT, "tight")
    learned = learn(TIGHT, "tight")
    assert learned.code == 0 and learned.answer["result"] == [True, NICE], learned.errors
    # The name that comes to mind first is taken.
    assert learned.lines[:2] == ["[profile.tight-learned-2]", 'extends = "tight"']
    assert learned.said('"times",', "# CPU time used") and learned.said('"wait4",', "# waiting for processes")
    assert learned.said('"getpriority",', "made once"), "what a child does is seen as well"
    assert learned.said('{ call = "socketpair", when = ["int0 == 0x1"], action = "allow" },', "# connected sockets")
    assert learned.profile("tight-learned-2")["seccomp"] == {
        "allow": ["wait4", "times", "getpriority"], "rules": [{"call": "socketpair", "when": ["int0 == 0x1"], "action": "allow"}],
    }
    paste(policy, learned)
    assert run(policy, TIGHT, "tight-learned-2")["result"] == [True, NICE]
    again = Learned(cloister("learn", policy, TIGHT, "tight-learned-2"))
    assert again.code == 0 and again.lines == [] and again.said("nothing beyond profile \"tight-learned-2\"")


@pytest.mark.parametrize("script", ["def main(): return 1", """
    import decimal, json, sqlite3, threading
    def main():
        thread = threading.Thread(target=print, args=("here",))
        thread.start(); thread.join()
        with open("file", "w") as file:
            file.write("own")
        return [json.loads('1'), sqlite3.connect(":memory:").execute("select 1").fetchone()]
"""])
def test_a_script_that_needs_nothing_more_is_told_so(learn, script):
    learned = learn(script)
    assert learned.code == 0 and learned.lines == [] and learned.said("uses nothing beyond profile \"default\""), learned.piece
    assert not learned.said("refused here"), learned.piece


@pytest.mark.layer("seccomp")
def test_what_no_policy_may_allow_is_refused_and_never_suggested(learn):
    learned = learn(attack("""
        def main():
            return {
                "ptrace": syscall(101, 0, 0, 0, 0), "mount": syscall(165, 0, 0, 0, 0, 0), "unshare": syscall(272, 0x10000000),
                "bpf": syscall(321, 0, 0, 0), "setns": syscall(308, 0, 0), "clone of namespaces": syscall(56, 0x10000000 | 17, 0, 0, 0, 0),
                "TIOCSTI": syscall(16, 0, 0x5412, b"x"), "internet": syscall(41, 2, 1, 0), "packet": syscall(41, 17, 3, 0),
                "clone3": syscall(435, 0, 0), "shmget": syscall(29, 0, 4096, 0o1600) >= 0,
            }
    """))
    tried = learned.answer["result"]
    assert tried.pop("clone3") == "ENOSYS" and tried.pop("shmget") is True
    assert set(tried.values()) == {"EPERM"}, tried
    assert learned.profile("default-learned") == {"extends": "default", "seccomp": {"allow": ["shmget"]}}
    refused = learned.piece.split("Allowed in no policy")[1]
    assert all(name in refused for name in ("ptrace", "mount", "unshare", "bpf", "setns", "clone", "ioctl", "0x5412", "0x11"))
    assert learned.said('Takes network = "loopback"') and "socket(argument 0 = 0x2)" in learned.piece.split("Takes network")[1].split("# Allowed in no")[0]


@pytest.mark.layer("seccomp")
def test_a_rule_that_refuses_is_a_decision_and_stays_in_force(learn):
    learned = learn("import os\ndef main():\n    try: os.getpriority(0, 0)\n    except OSError as error: return error.errno", "ruled")
    assert learned.answer["result"] == 16 and learned.lines == []
    assert learned.said("getpriority, made once", 'seccomp.rules = ["-getpriority"]')


@pytest.mark.layer("landlock")
def test_a_path_that_a_rule_closes_stays_closed_and_is_named(learn):
    learned = learn(attack("""
        def main():
            return [attempt(os.listdir, "/dev/shm"), attempt(open, "/dev/shm/x", "w"), attempt(lambda: open("/tmp/x", "w").close())]
    """), "closed")
    assert learned.answer["result"] == ["[]", "EACCES", "None"] and learned.lines == []
    closed = learned.piece.split("landlock.rules")[1].splitlines()
    assert len(closed) == 2 and closed[1].split() == ["#", "/dev/shm/x:", "write"], learned.piece


def test_paths_of_the_host_become_the_fewest_mounts(policy, learn, data):
    script = f"""
        import os
        def main():
            first = os.path.realpath("{data}/one")
            os.chdir("/")
            return [open(first).read(), open("{data}/two".lstrip("/")).read()]
    """
    learned = learn(script)
    # The first file is missing, which ends the script: what comes after it is learned in a second run.
    assert learned.code == 3 and learned.said("came to no result")
    assert learned.profile("default-learned") == {"extends": "default", "filesystem": {"read_only": [f"{data}/one"]}}
    assert learned.said(f'"{data}/one",', "# opened for reading")
    both = learn(f"import os\nos.path.exists('{data}/two')\n{textwrap.dedent(script)}")
    assert both.profile("default-learned") == {"extends": "default", "filesystem": {"read_only": [str(data)]}}
    assert both.said(f'"{data}",', "one, two")
    paste(policy, both)
    assert run(policy, script, "default-learned")["result"] == ["one", "two"]


def test_what_shows_secrets_or_cannot_be_shown_is_said_and_not_suggested(learn, data):
    (data / "line\n[profile.x]").write_text("not a line of its own")
    learned = learn(f"""
        import os
        def main():
            for path in ("/etc/shadow", "/proc/meminfo", "/sys/kernel", {str(data / "line") + chr(10) + "[profile.x]"!r}, "/no/such/path", "/proc/self/status"):
                os.path.exists(path)
            try: open("/usr/new", "w")
            except OSError: pass
    """)
    assert learned.code == 0 and learned.lines == [], learned.piece
    assert learned.said("/etc/shadow", "secrets") and learned.said("/proc/meminfo") and learned.said("/sys/kernel") and learned.said("/usr/new")
    assert learned.said(r"line\n[profile.x]", "cannot be written in a policy")
    assert not learned.said("/no/such/path") and not learned.said("/proc/self")


def test_all_but_the_filter_is_as_in_any_job(policy, learn):
    script = attack("""
        import resource
        def main():
            status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
            # Not how many filters: a job of the daemon's has its own beside the job's, and who answers for calls has none.
            names = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NSpid", "FDSize")
            return {
                "status": {name: status[name] for name in names},
                # Not whose devices they are: each has a group's name of its own.
                "mounts": sorted([line.split()[3].split("/cloister-")[0], *line.split()[4:6]] for line in open("/proc/self/mountinfo")),
                "interfaces": [line.split(":")[0] for line in open("/proc/net/dev")] if os.path.exists("/proc/net/dev") else None,
                "limits": [resource.getrlimit(which) for which in range(16)], "descriptors": sorted(os.listdir("/proc/self/fd"), key=int),
                "host name": os.uname().nodename, "environment": dict(os.environ),
                "landlock": [attempt(os.listdir, "/"), attempt(os.listdir, "/dev")],
                "writes": [attempt(open, "/usr/x", "w"), attempt(open, "/dev/x", "w")],
                "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
            }
    """)
    learned = learn(script)
    assert learned.code == 0, learned.errors
    assert learned.answer["result"] == run(policy, script, "default")["result"]
    told = learned.answer["result"]
    assert told["landlock"] == ["EACCES", "EACCES"] and told["descriptors"][:4] == ["0", "1", "2", "3"]
    assert int(told["status"]["CapBnd"], 16) == 0 and told["status"]["NoNewPrivs"].strip() == "1"


def test_a_script_that_fails_has_a_code_of_its_own(learn):
    learned = learn("import os\ndef main():\n    os.times()\n    raise ValueError('told')", "tight")
    assert learned.code == 3 and learned.answer["error"]["code"] == "exception" and learned.said('"times",') and learned.said("no result")


def test_calls_without_end_do_not_outlive_the_deadline(learn):
    learned = learn("import os\ndef main():\n    while True: os.times()", "short")
    assert learned.code == 3 and learned.answer["error"]["code"] == "timeout" and learned.said('"times",'), learned.errors


@pytest.mark.parametrize("options, within, said", [
    (["--socket", "/run/cloister/supervisor.sock"], [], "never for the socket of a daemon"),
    ([], ["env", "LISTEN_FDS=1"], "never for the socket of a daemon"),
    ([], ["unshare", "--user"], "needs root"),
])
def test_it_is_for_root_at_a_terminal(policy, options, within, said):
    done = cloister("learn", policy, "def main(): return 1", options=options, within=within)
    assert done.returncode == 1 and done.stdout == "" and said in done.stderr, done


def test_an_unknown_profile_is_told_with_those_there_are(policy):
    done = cloister("learn", policy, "def main(): return 1", "tihgt")
    assert done.returncode == 1 and 'no profile "tihgt"' in done.stderr and "tight" in done.stderr, done


def test_nothing_is_left_of_a_sandbox_that_was_learned_from(learn, names):
    name = f"left-{uuid.uuid4().hex[:8]}"
    learned = learn(f"""
        import ctypes, os, time
        def main():
            ready, tell = os.pipe()
            if os.fork() == 0:
                os.setsid()
                ctypes.CDLL(None).prctl(15, b"{name}")
                os.write(tell, b"x")
                time.sleep(600)
            os.read(ready, 1)
            return os.times().user >= 0
    """, "tight")
    assert learned.code == 0 and learned.answer["result"] is True, learned.errors
    assert not [process for process, _ in host_processes() if name_of(process) == name]
    assert not [path for path, _, _ in os.walk(CGROUPS) if "cloister-learn-" in path]
