"""What a container takes away is told by its name, with the line of YAML that gives it back: one context for each cause.

Each is the least one of test_run.py, in which doctor is satisfied, without one thing.
"""

import json

import pytest
from podman import APPARMOR, CAPABILITIES, SECCOMP, VERSION_TWO, least

ALL = "[CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID, SETPCAP]"
needs_version_one = pytest.mark.skipif(VERSION_TWO, reason="on version 2 what unmasks /proc makes this writable too")


@pytest.fixture
def doctor(podman, images):
    """What fails, as layer and what was found."""

    def ask(options, *more):
        told = podman.run(images["supervisor"].name, "doctor", options=[*options, *more, "--entrypoint", "/usr/bin/cloister"], check=False)
        assert told.returncode == 1, told
        rows = [line.removeprefix("FAIL").split("  ") for line in told.stdout.splitlines() if line.startswith("FAIL")]
        return {row[1].strip(): row[-1].strip() for row in rows} or told.stderr

    return ask


def without(tmp_path, call):
    profile = json.loads(SECCOMP.read_text())
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name != call]
    if call == "clone3":
        # As the profiles of others have it, so that the C library does without.
        profile["syscalls"].append({"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
    file = tmp_path / "seccomp.json"
    file.write_text(json.dumps(profile))
    return file


@needs_version_one
def test_a_masked_proc(doctor):
    failed = doctor(least(unmask=False))
    assert set(failed) == {"sandbox"}
    assert "fsmount proc" in failed["sandbox"] and "/proc is masked" in failed["sandbox"] and "procMount: Unmasked" in failed["sandbox"]
    assert "filter" not in failed["sandbox"]


@pytest.mark.skipif(not VERSION_TWO, reason="on version 1 the control groups are mounted by themselves")
def test_a_masked_proc_leaves_control_groups_read_only(doctor):
    failed = doctor(least(unmask=False))
    assert set(failed) == {"cgroup"} and "read-only" in failed["cgroup"], failed


@needs_version_one
def test_control_groups_that_are_mounted_read_only(doctor):
    failed = doctor(least(cgroups=False))
    assert set(failed) == {"cgroup"}
    assert "is mounted read-only" in failed["cgroup"] and "hostPath: {path: /sys/fs/cgroup}" in failed["cgroup"]


@pytest.mark.parametrize("call", ["clone3", "keyctl", "pivot_root", "sethostname"])
def test_the_containers_filter_and_the_call_that_it_refuses(doctor, tmp_path, call):
    failed = doctor(least(seccomp=without(tmp_path, call)))
    [found] = failed.values()
    assert f"filter of system calls refuses {call}: securityContext.seccompProfile" in found, failed


@pytest.mark.parametrize("capability", [name for name in CAPABILITIES if name != "SETPCAP"])
def test_a_missing_capability(doctor, capability):
    failed = doctor(least(without=[capability]))
    assert failed == {"capabilities": f"CAP_{capability} missing: securityContext.capabilities: {{drop: [ALL], add: {ALL}}} "
                                      "(systemd: CapabilityBoundingSet=)"}


@pytest.mark.skipif(not APPARMOR, reason="there is no AppArmor here")
def test_the_profile_that_containers_have_by_default(doctor):
    failed = doctor(least(apparmor=None))
    assert any("AppArmor profile containers-default" in found and "appArmorProfile: {type: Unconfined}" in found for found in failed.values()), failed


def test_another_user_than_root(doctor):
    assert "securityContext.runAsUser: 0" in doctor(least(), "--user", "1000")


def test_ids_of_a_user_namespace(doctor):
    failed = doctor(least(), "--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536")
    assert "user namespace" in failed["host ids"] and "hostUsers: true" in failed["host ids"], failed


def test_a_network_that_a_profile_with_loopback_would_have_to_leave(doctor, tmp_path, images):
    policy = tmp_path / "policy.toml"
    policy.write_bytes(policy_of(images) + b'\n[profile.net]\nextends = "default"\nnetwork = "loopback"\n')
    options = [option if option != "none" else "host" for option in least()]
    told = doctor(options, "--volume", f"{policy}:/etc/cloister/policy.toml:ro")
    assert "capabilities.add: [SYS_ADMIN]" in told


def policy_of(images):
    *_, top = images["supervisor"].layers()
    return top.extractfile("etc/cloister/policy.toml").read()
