"""Sockets: no family but Unix, and of that nothing that reaches outside or another job."""

from concurrent.futures import ThreadPoolExecutor
import socket
import threading
import uuid

import pytest

FAMILIES = """
def main():
    tried = {}
    for family in range(0, 47):
        if family == 1: continue
        for kind in (1, 2, 3, 5, 10):
            said = syscall(41, family, kind, 0)
            tried.setdefault(str(said), []).append([family, kind])
    tried["pair"] = syscall(53, 2, 1, 0, ctypes.create_string_buffer(8))
    return tried
"""


@pytest.mark.layer("seccomp")
def test_no_family_but_unix(attempt):
    tried = attempt(FAMILIES)
    assert set(tried) == {"EPERM", "pair"} and tried["pair"] == "EPERM"


@pytest.mark.layer("network namespace")
def test_without_seccomp_there_is_no_way_out(attempt_without):
    attack = """
    def main():
        def reach(family, kind, address):
            s = socket.socket(family, kind)
            s.settimeout(2)
            return s.sendto(b"x", address) if kind == socket.SOCK_DGRAM else s.connect(address)
        import fcntl
        return {
            "tcp": attempt(reach, socket.AF_INET, socket.SOCK_STREAM, ("10.0.0.1", 80)), "loopback": attempt(reach, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 8080)),
            "udp": attempt(reach, socket.AF_INET, socket.SOCK_DGRAM, ("10.0.0.1", 53)), "udp6": attempt(reach, socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 53)),
            "raw": attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1), "packet": attempt(socket.socket, 17, socket.SOCK_RAW, 0),
            "interfaces": [name for _, name in socket.if_nameindex()],
            "up": attempt(lambda: fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1) + bytes(16))),
        }
    """
    tried = attempt_without(attack, "seccomp")["result"]
    assert tried.pop("interfaces") in ([], ["lo"])
    assert set(tried.values()) <= {"ENETUNREACH", "EACCES", "EPERM", "EADDRNOTAVAIL", "EAFNOSUPPORT"}, tried


@pytest.mark.layer("seccomp")
def test_out_of_band_data_is_refused(attempt):
    attack = """
    def main():
        a, b = socket.socketpair()
        return [attempt(a.send, b"x", socket.MSG_OOB), attempt(b.recv, 1, socket.MSG_OOB | socket.MSG_DONTWAIT), attempt(a.sendmsg, [b"x"], [], socket.MSG_OOB),
                attempt(b.recvmsg, 1, 0, socket.MSG_OOB | socket.MSG_DONTWAIT), attempt(a.send, b"plain"), attempt(b.recv, 9)]
    """
    assert attempt(attack) == ["EPERM"] * 4 + ["5", "b'plain'"]


@pytest.mark.layer("network namespace", "mount namespace")
@pytest.mark.parametrize("without", [None, "seccomp", "landlock"])
def test_unix_sockets_of_the_host_are_out_of_reach(service, attempt, attempt_without, without):
    name = "\0cloister-suite-" + uuid.uuid4().hex
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        attack = f"""
        def main():
            def reach(address):
                socket.socket(socket.AF_UNIX).connect(address)
            return [attempt(reach, {name!r}), attempt(reach, {str(service.socket)!r}), attempt(reach, "/run/cloister/supervisor.sock")]
        """
        tried = attempt_without(attack, without)["result"] if without else attempt(attack)
        assert set(tried) <= {"ECONNREFUSED", "ENOENT", "EACCES", "EPERM"}, tried


MEET = """
import time
def main(role, name):
    deadline = time.monotonic() + 3
    if role == "host":
        abstract, path, shm = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), "/dev/shm/" + name
        abstract.bind("\\0" + name); abstract.listen()
        path.bind("/tmp/" + name); path.listen()
        open(shm, "w").write("shared")
        open("/tmp/file-" + name, "w").write("shared")
        time.sleep(3)
        return [os.getpid(), sorted(n for n in os.listdir("/proc") if n.isdigit())]
    met = []
    while time.monotonic() < deadline:
        for address in ("\\0" + name, "/tmp/" + name):
            if attempt(socket.socket(socket.AF_UNIX).connect, address) == "None": met.append(address)
        met += [p for p in ("/dev/shm/" + name, "/tmp/file-" + name) if os.path.exists(p)]
        met += [n for n in os.listdir("/proc") if n.isdigit() and int(n) != os.getpid()]
        for pid in range(1, 50):
            if pid != os.getpid() and attempt(os.kill, pid, 0) not in ("ESRCH", "EPERM"): met.append(pid)
        time.sleep(0.05)
    return met
"""


@pytest.mark.layer("namespaces")
def test_two_jobs_at_once_never_meet(attempt):
    name = uuid.uuid4().hex
    with ThreadPoolExecutor(2) as pool:
        host = pool.submit(attempt, MEET, args=["host", name])
        guest = pool.submit(attempt, MEET, args=["guest", name])
        pid, processes = host.result()
        assert processes == [str(pid)] and guest.result() == []


@pytest.mark.layer("IPC namespace")
def test_system_v_objects_are_not_shared_even_without_seccomp(attempt_without):
    # One after another, and each other's key.
    attack = "def main(): return [syscall(29, 4711, 4096, 0), syscall(29, 4711, 4096, 0o1666), syscall(68, 4711, 0), syscall(64, 4711, 1, 0)]"
    for _ in range(2):
        shm, made, msg, sem = attempt_without(attack, "seccomp")["result"]
        assert (shm, msg, sem) == ("ENOENT", "ENOENT", "ENOENT") and isinstance(made, int)


@pytest.mark.layer("keyrings")
def test_keys_are_not_shared_even_without_seccomp(attempt_without):
    attack = "def main(): return [syscall(249, b'user', b'cloister-test', None, 0), syscall(248, b'user', b'cloister-test', b'secret', 6, -3)]"
    for _ in range(2):
        found, made = attempt_without(attack, "seccomp")["result"]
        assert found in ("ENOKEY", "ENOSYS", "EACCES", "E?"), (found, made)


def test_threads_of_the_suite_are_not_left(request):
    assert threading.active_count() < 20
