"""Namespaces: no new one, no other's, and nothing of the host in one's own."""

import pytest

UNSHARE = "def main(): return {name: syscall(272, flag) for name, flag in NAMESPACES.items()}"

CLONES = """
def main():
    tried = {}
    for name, flag in NAMESPACES.items():
        if name != "time":
            tried["clone " + name] = syscall(56, flag | 17, 0, 0, 0, 0)
        arguments = (ctypes.c_uint64 * 11)(flag, 0, 0, 0, 17)
        tried["clone3 " + name] = syscall(435, arguments, 88)
    return tried
"""


@pytest.mark.layer("seccomp", "user namespace")
def test_unshare_is_refused(attempt):
    assert set(attempt(UNSHARE).values()) == {"EPERM"}


@pytest.mark.layer("seccomp")
def test_clone_and_clone3_make_no_namespace(attempt):
    tried = attempt(CLONES)
    assert {how for name, how in tried.items() if name.startswith("clone ")} == {"EPERM"}
    assert {how for name, how in tried.items() if name.startswith("clone3 ")} == {"ENOSYS"}


@pytest.mark.layer("userns-limit", "capabilities")
@pytest.mark.parametrize("attack", [UNSHARE, CLONES])
def test_without_seccomp_namespaces_are_still_refused(attempt_without, attack):
    answer = attempt_without(attack, "seccomp")
    # A user namespace is beyond the limit; for any other a job lacks the power.
    assert answer["result"] == {name: "ENOSPC" if name.endswith("user") else "EPERM" for name in answer["result"]}


@pytest.mark.layer("seccomp")
def test_without_the_limit_seccomp_still_refuses_user_namespaces(attempt_without):
    assert attempt_without(UNSHARE, "userns-limit")["result"]["user"] == "EPERM"


@pytest.mark.layer("userns-limit")
def test_the_limit_is_what_refuses_a_user_namespace_without_seccomp(attempt_without):
    user = "def main(): return syscall(272, NAMESPACES['user'])"
    assert attempt_without(user, "seccomp")["result"] == "ENOSPC"
    assert attempt_without(user, "seccomp", "userns-limit")["result"] == 0, "the layer under test was not the one that held"


@pytest.mark.layer("namespaces")
def test_even_a_new_user_namespace_gives_power_over_nothing(attempt_without):
    attack = """
    def main():
        made = syscall(272, NAMESPACES["user"])
        return [made, syscall(165, b"none", b"/tmp", b"tmpfs", 0, None), syscall(170, b"owned", 5),
                attempt(lambda: open("/usr/x", "w"))]
    """
    made, *attempts = attempt_without(attack, "seccomp", "userns-limit")["result"]
    assert made == 0 and attempts == ["EPERM", "EPERM", "EROFS"]


@pytest.mark.layer("seccomp", "PID namespace")
def test_setns_reaches_nothing(attempt, attempt_without):
    attack = """
    def main():
        tried = [syscall(308, fd, 0) for fd in (0, 1, 2, 3)]
        for name in ("pid", "mnt", "net", "user", "ipc"):
            fd = attempt(os.open, "/proc/self/ns/" + name, 0)
            tried.append(syscall(308, int(fd), 0) if fd.isdigit() else fd)
        tried.append(syscall(308, syscall(434, os.getpid(), 0), 0x7E020000))
        return tried
    """
    assert set(attempt(attack)) <= {"EPERM", "EACCES"}
    assert set(attempt_without(attack, "seccomp")["result"]) <= {"EPERM", "EACCES", "EINVAL"}


@pytest.mark.layer("namespaces")
def test_namespaces_are_not_the_hosts_and_not_shared(execute):
    import os

    script = "import os\ndef main(): return {n: os.readlink('/proc/self/ns/' + n) for n in ('pid', 'mnt', 'ipc', 'uts', 'cgroup', 'net', 'user')}"
    answer = execute(script)
    if answer.status == 200:
        assert all(answer.result[name] != os.readlink(f"/proc/self/ns/{name}") for name in answer.result)
    else:
        assert answer.error["exception"] == "PermissionError"  # an undumpable process hides them even from itself


@pytest.mark.layer("user namespace")
def test_one_unprivileged_id_is_mapped(service, attempt):
    maps = attempt("def main(): return {n: open('/proc/self/' + n).read().split() for n in ('uid_map', 'gid_map', 'setgroups')}")
    assert maps["setgroups"] == ["deny"]
    for name in ("uid_map", "gid_map"):
        inside, outside, count = map(int, maps[name])
        assert (inside, count) == (1000, 1) and outside != 0


@pytest.mark.layer("user namespace")
def test_jobs_that_run_together_have_host_ids_of_their_own(service, execute):
    from concurrent.futures import ThreadPoolExecutor

    from client import eventually
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(execute, "import time\ndef main(): time.sleep(8)") for _ in range(3)]

        def ids():
            return {service.id_of(pid) for pid in service.job_processes()} - {None}

        eventually(lambda: len(ids()) == 3)
        assert [future.result().status for future in running] == [200] * 3


@pytest.mark.layer("UTS namespace", "seccomp")
def test_the_hosts_name_is_neither_seen_nor_changed(attempt):
    import socket

    assert attempt("def main(): return [os.uname().nodename, syscall(170, b'owned', 5), syscall(171, b'owned', 5)]") == ["cloister", "EPERM", "EPERM"]
    assert socket.gethostname() != "owned"


@pytest.mark.layer("cgroup namespace")
def test_control_groups_are_out_of_reach(attempt):
    attack = """
    def main():
        paths = ["/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/cgroup.procs", "/proc/sys/kernel/core_pattern", "/proc/1/cgroup"]
        groups = {line.strip().rsplit(":", 1)[1] for line in open("/proc/self/cgroup")}
        return [sorted(groups), [attempt(open, path, "w") for path in paths], syscall(165, b"x", b"/tmp", b"cgroup", 0, b"memory")]
    """
    groups, opened, mounted = attempt(attack)
    assert "/" in groups and not any("cloister" in group for group in groups)
    assert set(opened) == {"ENOENT"} or set(opened) <= {"ENOENT", "EACCES"}
    assert mounted == "EPERM"
