"""Credentials: no capability, no other identity, no privilege to come back."""

import signal
import subprocess
import sys

import pytest


@pytest.mark.layer("capabilities", "no_new_privs", "seccomp")
def test_status_shows_nothing_left(attempt):
    status = dict(line.split(":\t", 1) for line in attempt("def main(): return open('/proc/self/status').read()").splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"], status["Groups"].strip()) == ("1", "2", "")
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"1000"}


CHANGES = """
def main():
    return {
        "setuid": syscall(105, 0), "setgid": syscall(106, 0), "setresuid": syscall(117, 0, 0, 0), "setresgid": syscall(119, 0, 0, 0),
        "setgroups": syscall(116, 0, 0), "setfsuid": attempt(lambda: syscall(122, 0)),
        "capset": syscall(126, struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", *[0xFFFFFFFF] * 6)),
        "chown": attempt(os.chown, "/tmp", 0, 0),
        "securebits": syscall(157, 28, 0, 0, 0, 0), "keepcaps": syscall(157, 8, 1, 0, 0, 0), "dumpable": syscall(157, 4, 1, 0, 0, 0),
        "ambient": syscall(157, 47, 2, 0, 0, 0), "bounding": syscall(157, 24, 0, 0, 0, 0), "new privileges": syscall(157, 38, 0, 0, 0, 0),
        "nice": attempt(os.setpriority, 0, 0, -5), "ioprio": syscall(251, 1, 0, 1 << 13), "rlimit": syscall(302, 0, 4, struct.pack("QQ", 2**63, 2**63), None),
        "sched": syscall(144, 0, 1, struct.pack("i", 10)), "iopl": syscall(172, 3), "ioperm": syscall(173, 0x70, 1, 1),
    }
"""


@pytest.mark.layer("seccomp", "capabilities")
@pytest.mark.parametrize("without", [None, "seccomp"])
def test_no_identity_or_privilege_can_be_gained(attempt, attempt_without, without):
    tried = attempt_without(CHANGES, without)["result"] if without else attempt(CHANGES)
    allowed = {name: said for name, said in tried.items() if said not in ("EPERM", "EINVAL", "EACCES", "ENOSYS")}
    # setfsuid returns the old id and changes nothing; dumpable is the job's own business without seccomp.
    if without:
        allowed = {name: said for name, said in allowed.items() if name not in ("setfsuid", "dumpable", "ioprio", "setgroups")}
    allowed.pop("setfsuid", None)
    assert not allowed, tried


@pytest.mark.layer("PID namespace", "Landlock")
@pytest.mark.parametrize("without", [None, "seccomp", "landlock"])
def test_signals_reach_no_process_outside(attempt, attempt_without, without):
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        attack = f"""
        def main():
            tried = [attempt(os.kill, {victim.pid}, 9), attempt(os.kill, 1, 9), attempt(os.killpg, {victim.pid}, 9)]
            # Everyone that can be reached, which is nobody.
            tried.append(attempt(os.kill, -1, 0))
            tried.append(attempt(os.pidfd_open, {victim.pid}))
            return tried
        """
        tried = attempt_without(attack, without)["result"] if without else attempt(attack)
        assert set(tried) <= {"ESRCH", "EPERM"}, tried
        assert victim.poll() is None
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()


LOOKING = """
def main():
    buffer = ctypes.create_string_buffer(64)
    iov = struct.pack("QQ", ctypes.addressof(buffer), 64)
    tried = {}
    child = os.fork()
    if child == 0:
        import time
        time.sleep(60)
    for name, pid in (("child", child), ("init", 1)):
        tried["attach " + name] = syscall(101, 16, pid, 0, 0)
        tried["seize " + name] = syscall(101, 0x4206, pid, 0, 0)
        tried["readv " + name] = syscall(310, pid, iov, 1, iov, 1, 0)
        tried["writev " + name] = syscall(311, pid, iov, 1, iov, 1, 0)
        tried["mem " + name] = attempt(open, f"/proc/{pid}/mem", "rb")
        tried["maps " + name] = attempt(lambda p: open(p).read(), f"/proc/{pid}/maps")
        tried["environ " + name] = attempt(lambda p: open(p).read(), f"/proc/{pid}/environ")
        tried["root " + name] = attempt(os.listdir, f"/proc/{pid}/root")
        tried["kcmp " + name] = syscall(312, os.getpid(), pid, 0, 0, 0)
        tried["pidfd_getfd " + name] = syscall(438, syscall(434, pid, 0), 0, 0)
    os.kill(child, 9)
    os.waitpid(child, 0)
    # Last: where it is allowed, the next signal would stop the caller for good.
    tried["traceme"] = syscall(101, 0, 0, 0, 0)
    return tried
"""


@pytest.mark.layer("seccomp", "not dumpable")
@pytest.mark.parametrize("without", [None, "seccomp"])
def test_no_process_can_be_looked_into(attempt, attempt_without, without):
    tried = attempt_without(LOOKING, without)["result"] if without else attempt(LOOKING)
    if without:
        tried.pop("traceme")
    # pidfd_getfd is newer than what the filter says EPERM to.
    assert set(tried.values()) <= {"EPERM", "EACCES", "ENOENT", "ENOSYS", "ESRCH", "EBADF"}, tried


@pytest.mark.layer("seccomp", "capabilities")
@pytest.mark.parametrize("without", [None, "seccomp"])
def test_the_machine_cannot_be_changed(attempt, attempt_without, without):
    attack = """
    def main():
        path = b"/tmp/x"
        return {
            "settimeofday": syscall(164, struct.pack("qq", 0, 0), None), "clock_settime": syscall(227, 0, struct.pack("qq", 0, 0)),
            "adjtimex": syscall(159, struct.pack("I", 1) + bytes(300)), "reboot": syscall(169, 0xFEE1DEAD, 672274793, 0x89ABCDEF, None),
            "swapon": syscall(167, path, 0), "swapoff": syscall(168, path), "kexec_load": syscall(246, 0, 0, None, 0),
            "kexec_file_load": syscall(320, -1, -1, 0, None, 0), "init_module": syscall(175, b"x", 1, b""), "finit_module": syscall(313, 0, b"", 0),
            "delete_module": syscall(176, b"x", 0), "acct": syscall(163, path), "syslog": syscall(103, 3, bytes(10), 10), "quotactl": syscall(179, 0x800007, path, 0, None),
            "fanotify_init": syscall(300, 0, 0), "vhangup": syscall(153),
        }
    """
    tried = attempt_without(attack, without)["result"] if without else attempt(attack)
    if without:
        # Refused for its arguments, before anybody asks for a power.
        assert tried.pop("quotactl") in ("EINVAL", "ENOSYS")
        # What this kernel was built without is not there; all else is for who has a power that a job lacks.
        assert set(tried.values()) <= {"EPERM", "ENOSYS"}, tried
        assert {tried[name] for name in ("settimeofday", "clock_settime", "adjtimex", "reboot", "acct", "vhangup")} == {"EPERM"}, tried
    else:
        assert set(tried.values()) == {"EPERM"}, tried


@pytest.mark.layer("rlimits")
def test_no_core_is_dumped(service, execute):
    from pathlib import Path

    before = set(Path("/").glob("core*")) | set(Path("/tmp").glob("core*"))
    assert execute("import os\ndef main(): os.abort()").error["signal"] == "SIGABRT"
    assert set(Path("/").glob("core*")) | set(Path("/tmp").glob("core*")) == before
