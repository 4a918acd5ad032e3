"""docs/security.md: "the start tries each layer with jobs that attempt what must fail". Each line of that is red when its layer is missing.

The layers are left out by a build of the same program that can do so (cargo feature `leave-out`), which `make suite` makes.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from service import INSTALLED, REPOSITORY, own_policy

pytestmark = pytest.mark.skipif(bool(INSTALLED), reason="needs a build of the tests' own")

PROFILES = """
[profile.warm]
extends = "default"
warm = { imports = [], parked = 1 }
[profile.loop]
extends = "default"
network = "loopback"
"""

# What a profile lets its jobs start little by, and say little.
LITTLE = {
    "one": "processes = 1", "two": "processes = 2", "three": "processes = 3", "own": 'seccomp.allow = ["-setsid"]', "silent": 'stdout_bytes = "0B"',
}

# For each line, the layers without which it must be red. More than one where another holds what the first lets through.
LINES = {
    "user namespace: one unprivileged id": ["user-namespace"],
    "user namespace: no second one (unshare)": ["seccomp"],
    "user namespace: setgroups denied": ["user-namespace"],
    "PID namespace: alone, its parent outside": ["pid-namespace"],
    "namespaces: none is the host's": ["ipc-namespace"],
    "UTS namespace: the host's name is not seen": ["uts-namespace"],
    "cgroup namespace: the group is the root": ["cgroup-namespace"],
    "mount namespace: nothing of the host": ["host-tree"],
    "mount namespace: mount refused": ["seccomp"],
    "root: read-only": ["read-only-root"],
    "root: the runtime is read-only": ["read-only-runtime"],
    "/proc: the job's processes only": ["proc-subset"],
    "credentials: no capability": ["capabilities"],
    # Landlock and filters need it and set it for themselves.
    "credentials: no_new_privs": ["no-new-privileges", "landlock", "seccomp", "confinement"],
    "credentials: not dumpable": ["not-dumpable"],
    "credentials: securebits locked": ["capabilities"],
    "credentials: root stays away": ["seccomp"],
    "rlimits: no core, no locked memory": ["rlimits"],
    "Landlock: what is not granted is refused": ["landlock"],
    "seccomp: a filter beside the supervisor's": ["seccomp"],
    # These the supervisor's own filter refuses too.
    "seccomp: ptrace refused": ["seccomp", "confinement"],
    "seccomp: io_uring refused": ["seccomp", "confinement"],
    "seccomp: bpf refused": ["seccomp", "confinement"],
    "seccomp: perf refused": ["seccomp", "confinement"],
    "seccomp: userfaultfd refused": ["seccomp", "confinement"],
    "seccomp: keyctl refused": ["seccomp", "confinement"],
    "seccomp: clone3 is not there": ["seccomp"],
    "descriptors: 0 to 3": ["descriptors"],
    "environment: the profile's alone": ["environment"],
    "network namespace: no family but Unix": ["seccomp"],
    "network namespace: loopback works": ["network-namespace"],
    # The supervisor leaves the host's network where a profile has a loopback one.
    "network namespace: no way out": ["network-namespace", "confinement"],
    "network namespace: no family but Unix, TCP and UDP": ["seccomp"],
}

# Lines of which something is red without these too.
ALSO = {
    "namespaces: none is the host's": [["network-namespace"], ["uts-namespace"]],
    "user namespace: no second one (unshare)": [["seccomp", "userns-limit"]],
}

# What a cold start has anyway, for `execve` brings it about.
WARM_ONLY = {"descriptors: 0 to 3", "credentials: not dumpable"}

# Is tried when all others hold, and judged by the verdict alone.
LAST = "time: a job that ignores signals and forks is dead at its deadline"


def program():
    place = Path(os.environ.get("CLOISTER_LEAVE_OUT") or REPOSITORY / "target/leave-out")
    path = place.resolve() / "cloister"
    assert path.exists(), f"{path} is not built; run `make leave-out`"
    return str(path)


@pytest.fixture(scope="module")
def doctor(tmp_path_factory):
    """Try every layer but those left out: {(line, profile): what was found, or None where it held}."""
    policy = tmp_path_factory.mktemp("canary") / "policy.toml"
    text = re.sub(r"(?m)^warm = \{.*\}", "warm = false", own_policy())
    policy.write_text(text.replace("slots = 32", "slots = 1") + PROFILES)
    policy.chmod(0o644)
    told = {}

    def run(*without):
        if without not in told:
            options = [option for layer in without for option in ("--without", layer)]
            # A name that no job may see.
            environment = {**os.environ, "CLOISTER_TEST_SECRET": "of the host"}
            command = ["unshare", "--uts", "sh", "-c", 'hostname the-real-host && exec "$@"', "-", program(), "doctor", "--policy", policy, *options]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
            rows = re.findall(r"(?m)^(ok  |FAIL)  (.+?)  +profile (\w+) +(.*)$", ended.stdout)
            assert rows and ended.returncode == int(any(mark == "FAIL" for mark, *_ in rows)), ended
            told[without] = {(line, profile): found if mark == "FAIL" else None for mark, line, profile, found in rows}
        return told[without]

    return run


def test_all_hold_and_these_are_all_lines(doctor):
    told = doctor()
    assert set(told.values()) == {None}
    assert {line for line, _ in told} - {LAST} == set(LINES)


def test_every_layer_that_can_be_left_out_is_missed_by_a_line():
    told = subprocess.run([program(), "doctor", "-h"], capture_output=True, text=True, check=True).stdout
    [offered] = re.findall(r"\[possible\s+values:\s+([^]]+)\]", told)
    used = [*LINES.values(), *(layers for ways in ALSO.values() for layers in ways)]
    assert set(re.split(r",\s+", offered)) == {layer for layers in used for layer in layers}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_red_without_its_layer(doctor, line):
    profiles = {profile for what, profile in doctor() if what == line}
    for layers in [LINES[line], *ALSO.get(line, ())]:
        for profile in profiles & {"warm"} if line in WARM_ONLY else profiles:
            told = doctor(*layers)
            assert told.get((line, profile)), (line, profile, layers, told)


def test_the_limit_on_user_namespaces_holds_behind_the_filter(doctor):
    line = "user namespace: no second one (unshare)"
    assert "ENOSPC" in doctor("seccomp")[line, "default"]
    assert "it was allowed" in doctor("seccomp", "userns-limit")[line, "default"]


def test_no_other_build_leaves_these_out():
    from service import binary

    refused = subprocess.run([binary("cloister"), "run", "--without", "user-namespace", "-"], capture_output=True, text=True)
    assert refused.returncode == 2 and "invalid value" in refused.stderr, refused
    assert "--without" not in subprocess.run([binary("cloister"), "doctor", "-h"], capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["LOOPBACK", "MOUNTS", "HOSTNAME", "shown"])
def test_a_host_name_is_no_part_of_the_script(tmp_path, name):
    from service import binary

    policy = tmp_path / "policy.toml"
    policy.write_text(re.sub(r"(?m)^warm = \{.*\}", "warm = false", own_policy()) + f'\n[profile.named]\nextends = "default"\nhostname = "{name}"\n')
    policy.chmod(0o644)
    told = subprocess.run([binary("cloister"), "doctor", "--policy", policy], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stdout


def test_profiles_in_which_a_job_may_start_little_hold_too(start_service):
    """The job that has to be dead at its deadline leaves behind what it may."""
    some = "".join(f'[profile.{name}]\nextends = "default"\nwarm = false\n{more}\n' for name, more in LITTLE.items())
    client = start_service(policy=some).client
    assert [client.execute("def main(): return 1", profile=name).result for name in LITTLE] == [1] * len(LITTLE)
