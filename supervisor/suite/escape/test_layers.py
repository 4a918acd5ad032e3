"""The layers are told and tried: by `doctor` for a person, and before anything is served."""

import subprocess
import uuid

import pytest

from service import binary, own_policy

LAYERS = ("kernel", "Landlock", "cgroup", "user namespace", "PID namespace", "network namespace", "UTS namespace", "cgroup namespace", "mount namespace",
          "root", "/proc", "credentials", "rlimits", "seccomp", "descriptors", "environment", "time")


def doctor(policy):
    return subprocess.run([binary("cloister"), "doctor", "--policy", policy], capture_output=True, text=True, timeout=120)


@pytest.fixture
def policy_of(tmp_path):
    """Write a policy; its path."""

    def write(text):
        path = tmp_path / "policy.toml"
        path.write_text(text)
        path.chmod(0o644)
        return path

    return write


def test_doctor_shows_every_layer_tried_and_held(policy_of):
    told = doctor(policy_of(own_policy()))
    assert told.returncode == 0, told
    heading, *rows = told.stdout.splitlines()
    assert heading.split() == ["layer", "needed", "found"]
    assert rows and all(row.startswith("ok ") for row in rows), told.stdout
    for layer in LAYERS:
        assert any(row[6:].startswith(layer) for row in rows), (layer, told.stdout)
    assert sum(row.endswith("tried, held") for row in rows) > 20


def test_what_a_profile_sets_for_its_jobs_is_not_the_hosts(policy_of):
    text = own_policy()
    policy = policy_of(text.replace("environment = {}", 'environment = { USER = "someone", DSN = "a=b" }'))
    assert policy.read_text() != text
    told = doctor(policy)
    assert told.returncode == 0, told.stdout


def test_one_layer_that_does_not_hold_is_shown_and_stops_the_start(policy_of, tmp_path, names):
    # What cannot be looked at does not hold: here a rule keeps an attempt from asking whether the job is dumpable.
    text = own_policy()
    policy = policy_of(text.replace("\nrules = []\n\n", '\nrules = [{ call = "prctl", when = ["int0 == 3"], action = "errno" }]\n\n', 1))
    assert policy.read_text() != text
    told = doctor(policy)
    [failed] = [row for row in told.stdout.splitlines() if row.startswith("FAIL")]
    assert told.returncode == 1 and "credentials: not dumpable" in failed
    group = f"cloister-{uuid.uuid4().hex[:8]}"
    names.append(group)
    command = [binary("cloister-supervisor"), "serve", "--policy", policy, "--socket", tmp_path / "s", "--cgroup", group]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "nothing is served" in ended.stderr and "credentials: not dumpable" in ended.stderr, ended.stderr
