"""Attempts that must fail in every sandbox. Returns {attempt: what happened}, "held" where it failed as it must, and beside
them what the interpreter is, for whoever writes scripts for it.

Which attempts there are the supervisor knows too, and takes one that is not told of for one that did not hold. Each is
such that it comes to something else where its layer is missing: calls have arguments for which the kernel itself
would do them, or refuse them with another error than the filter does.
"""

import ctypes
import errno
import os
import resource
import signal
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

ALLOWED, OTHER = 0, 255

VERSION = ".".join(map(str, sys.version_info[:3]))

# What every host has somewhere, and no job.
HOST = ("/etc", "/etc/passwd", "/etc/shadow", "/etc/hostname", "/home", "/root", "/sys", "/sys/kernel", "/var", "/var/lib", "/var/log",
        "/run", "/run/systemd", "/boot", "/media", "/mnt", "/srv")

# Calls of files by which Python may make an attempt, for which a profile may have rules of its own.
OPENS, LISTS, SOCKETS = (2, 257), (2, 257, 217), (41,)

# The first call for which the filter answers as an older kernel would, and earlier ones that are probed as well.
FIRST_PROBED, PROBED = 424, (435, 437)


def main(hostname, loopback, shown, environment, namespaces, filters, rules):
    """`shown`: paths that the profile itself shows. `namespaces`: those of the supervisor. `filters`: how many it
    is under. `rules`: what the profile's own
    rules answer to calls, by their numbers: errors, and 0 for death."""
    now = status()

    def outcome(call, numbers, expected):
        """What becomes of a call that should fail with this error; its profile's own rules may answer in its place."""
        answers = {answer for number in numbers for answer in rules.get(str(number), ())}
        found = tried(call)
        if found == expected or found in answers or (found == -signal.SIGSYS and 0 in answers):
            return "held"
        if found == ALLOWED:
            return "it was allowed"
        return f"it failed with {name(found)}, expected {name(expected)}"

    def filtered(number, *arguments):
        """What becomes of a call that the filter refuses."""
        answer = errno.ENOSYS if number >= FIRST_PROBED or number in PROBED else errno.EPERM
        return outcome(syscall(number, *arguments), (number,), answer)

    def is_shown(path):
        """Whether the profile itself shows this path, something below it, or what it lies in."""
        return any(f"{path}/".startswith(f"{mount}/") or mount.startswith(f"{path}/") for mount in shown)

    def no_family(*kinds):
        return first_broken({str(kind): outcome(lambda: socket.socket(*kind), SOCKETS, errno.EPERM) for kind in kinds})

    own = f"/proc/{os.getpid()}"
    attempts = {
        "user namespace: one unprivileged id": lambda: equal((now["uid_map"][0], now["uid_map"][2:], os.getuid()), ("1000", ["1"], 1000)),
        "user namespace: no second one (unshare)": lambda: filtered(272, 0x10000000),
        "user namespace: setgroups denied": lambda: equal(read("/proc/self/setgroups").strip(), "deny"),
        "PID namespace: alone, its parent outside": lambda: equal(([f"/proc/{n}" for n in os.listdir("/proc") if n.isdigit()], now["PPid"]), ([own], "0")),
        "namespaces: none is the host's": lambda: equal([kind for kind, inode in namespaces.items() if os.stat(f"/proc/self/ns/{kind}").st_ino == inode], []),
        "UTS namespace: the host's name is not seen": lambda: equal(os.uname().nodename, hostname),
        "cgroup namespace: the group is the root": lambda: equal({line.split(":", 2)[2] for line in read("/proc/self/cgroup").splitlines()}, {"/"}),
        "mount namespace: nothing of the host": lambda: equal([p for p in HOST if os.path.exists(p) and not is_shown(p)], []),
        # The kernel looks for the place before it looks for the power to mount there.
        "mount namespace: mount refused": lambda: filtered(165, text(b"none"), text(b"/tmp/nowhere"), text(b"tmpfs"), 0, None),
        "root: read-only": lambda: outcome(lambda: open("/x", "w"), OPENS, errno.EROFS),
        "root: the runtime is read-only": lambda: outcome(lambda: open(os.path.join(os.path.dirname(os.__file__), "x"), "w"), OPENS, errno.EROFS),
        "/proc: the job's processes only": lambda: equal([p for p in ("/proc/sys", "/proc/kcore", "/proc/meminfo") if os.path.exists(p)], []),
        "credentials: no capability": lambda: equal({now[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {"0" * 16}),
        "credentials: no_new_privs": lambda: equal(now["NoNewPrivs"], "1"),
        "credentials: not dumpable": lambda: equal(libc.prctl(3, 0, 0, 0, 0), 0),
        "credentials: securebits locked": lambda: equal(libc.prctl(27, 0, 0, 0, 0) & 0xEF, 0xEF),
        # There is no root in the job's user namespace, which the kernel would say in another way.
        "credentials: root stays away": lambda: filtered(105, 0),
        "rlimits: no core, no locked memory": lambda: equal([resource.getrlimit(r)[1] for r in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK)], [0, 0]),
        "Landlock: what is not granted is refused": lambda: outcome(lambda: os.listdir("/"), LISTS, errno.EACCES),
        "seccomp: a filter beside the supervisor's": lambda: equal((now["Seccomp"], int(now["Seccomp_filters"]) > filters), ("2", True)),
        "seccomp: ptrace refused": lambda: filtered(101, 1, 0x7FFFFFFF, 0, 0),
        "seccomp: io_uring refused": lambda: filtered(425, 8, ctypes.create_string_buffer(256)),
        # More than any of these calls takes, or what none of them knows: told before it is asked for a privilege.
        "seccomp: bpf refused": lambda: filtered(321, 1, ctypes.create_string_buffer(64), 1 << 20),
        "seccomp: perf refused": lambda: filtered(298, ctypes.create_string_buffer(256), 0, -1, -1, 1 << 20),
        "seccomp: userfaultfd refused": lambda: filtered(323, 1),
        "seccomp: keyctl refused": lambda: filtered(250, 9999, 0, 0, 0, 0),
        "seccomp: clone3 is not there": lambda: filtered(435, None, 0),
        "descriptors: 0 to 3": lambda: equal([fd for fd in range(64) if is_open(fd)], [0, 1, 2, 3]),
        "environment: the profile's alone": lambda: equal(dict(os.environ), environment),
    }
    if loopback:
        attempts |= {
            "network namespace: loopback works": lambda: works(knock),
            "network namespace: no way out": lambda: outcome(
                lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 53)), (41, 42), errno.ENETUNREACH),
            "network namespace: no family but Unix, TCP and UDP": lambda: no_family((2, 3, 1), (2, 1, 132), (10, 2, 58), (16, 3, 0), (17, 3, 0), (40, 1, 0)),
        }
    else:
        attempts["network namespace: no family but Unix"] = lambda: no_family((2, 1, 0), (10, 1, 0), (16, 3, 0))
    return {what: said(attempt) for what, attempt in attempts.items()} | {"interpreter": {"version": VERSION, "packages": packages()}}


def packages():
    """The packages beside Python's own library with their versions, as the names of their folders of metadata tell them."""
    found = set()
    for place in sys.path:
        try:
            names = os.listdir(place or ".")
        except OSError:
            continue
        for stem, kind in map(os.path.splitext, names):
            name, _, version = stem.partition("-")
            if kind in (".dist-info", ".egg-info") and version:
                found.add(f"{name.replace('_', '-').lower()} {version.split('-')[0]}")
    return sorted(found)


def said(attempt):
    """One attempt that cannot be made is one that did not hold, and keeps no other from being made."""
    try:
        return attempt()
    except Exception as error:
        return f"it could not be tried: {type(error).__name__}: {error}"


def tried(call):
    """The error of a call, or 0. Tried in a child where there can be one: a profile's own rule may answer with death."""
    try:
        child = os.fork()
    except OSError:
        return fails(call)
    if child == 0:
        code = OTHER
        try:
            code = fails(call)
        finally:
            os._exit(code)
    ended = os.waitpid(child, 0)[1]
    return -os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended)


def fails(call):
    try:
        call()
    except OSError as error:
        return error.errno or OTHER
    return ALLOWED


def syscall(number, *arguments):
    # Whole registers: what is left in the upper half of one is an argument too.
    whole = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]

    def call():
        if libc.syscall(ctypes.c_long(number), *whole) == -1:
            raise OSError(ctypes.get_errno(), "")
    return call


def text(value):
    return ctypes.c_char_p(value)


def name(found):
    return signal.Signals(-found).name if found < 0 else errno.errorcode.get(found, f"error {found}")


def equal(found, expected):
    return "held" if found == expected else f"found {found!r}, expected {expected!r}"


def first_broken(outcomes):
    return next((f"{what}: {outcome}" for what, outcome in outcomes.items() if outcome != "held"), "held")


def works(call):
    try:
        call()
    except OSError as error:
        return str(error)
    return "held"


def knock():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def read(path):
    with open(path) as file:
        return file.read()


def status():
    told = {key: value.strip() for key, value in (line.split(":", 1) for line in read("/proc/self/status").splitlines())}
    return told | {"uid_map": read("/proc/self/uid_map").split()}


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False
