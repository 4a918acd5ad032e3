"""Attempts that must fail in every sandbox. Returns {attempt: what happened}, "held" where it failed."""

import ctypes
import errno
import os
import resource
import signal
import socket

libc = ctypes.CDLL(None, use_errno=True)


def refused(call):
    """Whether a call fails, tried in a child: a profile's own rule may answer it with death."""
    try:
        child = os.fork()
    except OSError:
        return "held" if fails(call) else "it was allowed"
    if child == 0:
        os._exit(0 if fails(call) else 1)
    ended = os.waitpid(child, 0)[1]
    return "held" if ended == 0 or os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGSYS else "it was allowed"


def fails(call):
    try:
        call()
    except OSError as error:
        return bool(error.errno)
    return False


def syscall(number, *arguments):
    def call():
        if libc.syscall(number, *arguments) == -1:
            raise OSError(ctypes.get_errno(), "")
    return call


def equal(found, expected):
    return "held" if found == expected else f"found {found!r}, expected {expected!r}"


def network():
    if not LOOPBACK:
        return {"network namespace: no family but Unix": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))}
    return {
        "network namespace: loopback works": works(lambda: socket.create_server(("127.0.0.1", 0))),
        "network namespace: no way out": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 53))),
        "network namespace: no family but Unix, TCP and UDP": equal(
            [refused(lambda: socket.socket(*kind)) for kind in ((2, 3, 1), (2, 1, 132), (10, 2, 58), (16, 3, 0), (17, 3, 0), (40, 1, 0))], ["held"] * 6),
    }


def works(call):
    try:
        call()
    except OSError as error:
        return str(error)
    return "held"


# What every host has somewhere, and no job.
HOST = ("/etc", "/etc/passwd", "/etc/shadow", "/etc/hostname", "/home", "/root", "/sys", "/sys/kernel", "/var", "/var/lib", "/var/log",
        "/run", "/run/systemd", "/boot", "/media", "/mnt", "/srv")


def shown(path):
    """Whether the profile itself shows this path, something below it, or what it lies in."""
    return any(f"{path}/".startswith(f"{mount}/") or mount.startswith(f"{path}/") for mount in MOUNTS)


def status():
    with open("/proc/self/status") as lines:
        return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def main():
    now = status()
    nowhere = ctypes.c_char_p(b"none"), ctypes.c_char_p(b"/tmp"), ctypes.c_char_p(b"tmpfs")
    uid_map = open("/proc/self/uid_map").read().split()
    return {
        "user namespace: one unprivileged id": equal((len(uid_map), uid_map[0], uid_map[2], os.getuid()), (3, "1000", "1", 1000)),
        "user namespace: no second one (unshare)": refused(syscall(272, 0x10000000)),
        "user namespace: setgroups denied": equal(open("/proc/self/setgroups").read().strip(), "deny"),
        "PID namespace: alone": equal([name for name in os.listdir("/proc") if name.isdigit()], [str(os.getpid())]),
        **network(),
        "UTS namespace: the host's name is not seen": equal(os.uname().nodename == HOSTNAME, True),
        "cgroup namespace: the group is the root": equal({line.rsplit(":", 1)[1].strip() for line in open("/proc/self/cgroup")} & {"/"}, {"/"}),
        "mount namespace: nothing of the host": equal([p for p in HOST if os.path.exists(p) and not shown(p)], []),
        "mount namespace: mount refused": refused(syscall(165, *nowhere, 0, None)),
        "root: read-only": refused(lambda: open("/x", "w")),
        "root: the runtime is read-only": refused(lambda: open(os.path.join(os.path.dirname(os.__file__), "x"), "w")),
        "/proc: the job's processes only": equal([p for p in ("/proc/sys", "/proc/kcore", "/proc/meminfo") if os.path.exists(p)], []),
        "credentials: no capability": equal({now[set] for set in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {"0" * 16}),
        "credentials: no_new_privs": equal(now["NoNewPrivs"], "1"),
        "credentials: not dumpable": equal(libc.prctl(3, 0, 0, 0, 0), 0),
        "credentials: securebits locked": equal(libc.prctl(27, 0, 0, 0, 0) & 0xEF, 0xEF),
        "credentials: root stays away": refused(lambda: os.setuid(0)),
        "rlimits: no core, no locked memory": equal([resource.getrlimit(r)[1] for r in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK)], [0, 0]),
        "Landlock: what is not granted is refused": refused(lambda: os.listdir("/")),
        "seccomp: in force": equal(now["Seccomp"], "2"),
        "seccomp: ptrace refused": refused(syscall(101, 0, 0, 0, 0)),
        "seccomp: io_uring, bpf, perf, userfaultfd, keyctl refused": equal(
            [refused(syscall(number, 0, 0, 0, 0, 0)) for number in (425, 321, 298, 323, 250)], ["held"] * 5),
        "seccomp: clone3 is not there": equal((libc.syscall(435, 0, 0), ctypes.get_errno()), (-1, errno.ENOSYS)),
        "descriptors: 0 to 3": equal([fd for fd in range(64) if is_open(fd)], [0, 1, 2, 3]),
        "environment: nothing of the host": equal(set(os.environ) >= {"PATH", "HOME"} and "USER" not in os.environ and len(os.environ) < 32, True),
    }


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False
