"""Two supervisors on one host: who has a group name or host ids keeps them, and the other is told who that is."""

import signal
import subprocess

import pytest

from client import eventually
from service import HOLD, binary

RUN = "def main(): return 'served'"


@pytest.fixture
def second(tmp_path):
    """Start another supervisor on a group name and with a policy; what it says when it does not start."""

    def start(policy, group, *options):
        command = [binary("cloister-supervisor"), "serve", "--policy", policy, "--socket", tmp_path / "s", "--cgroup", group, *options]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 1, ended
        return ended.stderr

    return start


def policy_with(service, tmp_path, uid_base):
    policy = tmp_path / "policy.toml"
    text = service.policy.read_text()
    policy.write_text(text.replace(f"uid_base = {service.uid_base}", f"uid_base = {uid_base}"))
    policy.chmod(0o644)
    return policy


def serves_on(service, before):
    """Nothing of the first's has gone: the same processes, groups, and new jobs."""
    assert before <= set(service.cgroup_directories())
    assert [service.client.execute(RUN).result for _ in range(8)] == ["served"] * 8
    assert service.client.http.get("/readyz").status_code == 200


def test_the_same_group_name_is_refused_and_its_holder_named(start_service, second, tmp_path):
    service = start_service()
    before = set(service.cgroup_directories())
    said = second(policy_with(service, tmp_path, service.uid_base + 0x2000), service.cgroup)
    assert service.cgroup in said and f"process {service.supervisor.pid} (" in said and "--cgroup" in said, said
    assert "serve" in said, said
    serves_on(service, before)


@pytest.mark.parametrize("moved", [0, 1, 8191, -8191])
def test_ids_of_which_one_is_in_use_are_refused_and_their_holder_named(start_service, second, tmp_path, names, moved):
    service = start_service()
    before, group = set(service.cgroup_directories()), f"{service.cgroup}-second"
    said = second(policy_with(service, tmp_path, service.uid_base + moved), group)
    assert f"process {service.supervisor.pid} (" in said and "uid_base" in said, said
    assert f"{service.uid_base} to {service.uid_base + 8191}" in said, said
    serves_on(service, before)


def test_beside_the_first_it_takes_the_next_ids(start_service, tmp_path):
    service = start_service()
    group = f"{service.cgroup}-beside"
    process = service.spawn("supervisor", "serve", "--policy", service.policy, "--socket", tmp_path / "s",
                            "--cgroup", group, "--beside", *service.supervisor_options)
    try:
        eventually(lambda: process.poll() is not None or service.log("supervisor").count(" ready socket=") == 2, within=60)
        assert process.poll() is None, service.log("supervisor")
        assert {owner for pid, owner in owners() if group in groups(pid)} > {service.uid_base + 8192}
        assert service.client.execute(RUN).result == "served"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    serves_on(service, set(service.cgroup_directories()))


def test_what_a_killed_one_had_is_free(start_service):
    service = start_service()
    service.supervisor.kill()
    service.supervisor.wait()
    service.start_supervisor()
    service.wait_until_ready()
    assert service.client.execute(RUN).result == "served"


def test_an_operators_own_sandboxes_stand_beside_each_other_and_the_service(start_service, tmp_path):
    service = start_service(warm=False)
    script = tmp_path / "held.py"
    script.write_text(HOLD.replace("main(seconds)", "main(seconds=2)"))
    command = [binary("cloister"), "run", "--policy", service.policy, script]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0] for process in running]
    assert all('"result":"held"' in answer for answer in answers), answers
    assert service.client.execute(RUN).result == "served"


def owners():
    from service import host_processes

    return list(host_processes())


def groups(pid):
    try:
        with open(f"/proc/{pid}/cgroup") as listed:
            return listed.read()
    except OSError:
        return ""
