"""The file system: nothing of the host's is seen, nothing that is seen can be changed."""

import os
import re
import uuid
from pathlib import Path

import pytest

from service import TREE

HOST_PATHS = ["/etc/shadow", "/etc/hostname", "/etc/machine-id", "/etc/os-release", "/etc/ssl", "/root", "/home", "/var", "/sys", "/boot", "/run", "/proc/1/environ", "/proc/kcore", "/proc/sys",
              "/proc/sysrq-trigger", "/proc/kallsyms", "/proc/meminfo", "/proc/net/tcp", "/proc/keys", "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda",
              "/dev/pts", "/dev/tty", "/dev/ptmx", "/dev/fuse", "/dev/kvm"]


@pytest.mark.layer("mount namespace")
def test_nothing_of_the_host_is_there(attempt):
    tried = attempt("def main(paths): return {p: attempt(os.stat, p) for p in paths}", args=[HOST_PATHS])
    assert set(tried.values()) <= {"ENOENT", "EACCES"}, tried


@pytest.mark.layer("mount namespace")
def test_of_accounts_there_is_the_jobs_own_and_none_of_the_hosts(attempt):
    read = "def main(): return [open('/etc/passwd').read(), open('/etc/group').read(), sorted(os.listdir('/etc'))]"
    assert attempt(read) == ["sandbox:x:1000:1000::/tmp:/usr/sbin/nologin\n", "sandbox:x:1000:\n", ["group", "passwd"]]


@pytest.mark.layer("mount namespace")
@pytest.mark.parametrize("without", [(), ("landlock",), ("seccomp",), ("landlock", "seccomp")])
def test_a_file_of_the_host_cannot_be_read_by_any_way(attempt, attempt_without, without):
    secret = uuid.uuid4().hex
    path = Path(f"/tmp/cloister-secret-{secret}")
    path.write_text(secret)
    path.chmod(0o644)
    attack = f"""
    import glob
    def main():
        name = "{path.name}"
        ways = ["/tmp/" + name, "/proc/1/root/tmp/" + name, "/proc/self/root/tmp/" + name, "/../../tmp/" + name, "/dev/fd/3/../../tmp/" + name,
                "/proc/self/cwd/../tmp/" + name]
        attempt(os.symlink, "/proc/1/root", "/tmp/link")
        ways.append("/tmp/link/tmp/" + name)
        return [attempt(lambda p: open(p).read(), way) for way in ways]
    """
    try:
        said = attempt_without(attack, *without)["result"] if without else attempt(attack)
        assert not any(secret in text for text in said) and set(said) <= {"ENOENT", "EACCES", "ENOTDIR", "ELOOP"}, said
    finally:
        path.unlink()


MOUNTS = """
def main():
    zeros = ctypes.create_string_buffer(256)
    return {
        "mount": syscall(165, b"none", b"/tmp", b"tmpfs", 0, None),
        "bind": syscall(165, b"/", b"/tmp", None, 4096, None),
        "remount": syscall(165, None, b"/usr", None, 32, None),
        "umount": syscall(166, b"/proc", 2),
        "pivot_root": syscall(155, b"/tmp", b"/tmp"),
        "chroot": syscall(161, b"/tmp"),
        "fsopen": syscall(430, b"tmpfs", 0),
        "fsconfig": syscall(431, 3, 6, None, None, 0),
        "fsmount": syscall(432, 3, 0, 0),
        "fspick": syscall(433, -100, b"/", 0),
        "open_tree": syscall(428, -100, b"/usr", 1),
        "move_mount": syscall(429, -100, b"/usr", -100, b"/tmp", 0),
        "mount_setattr": syscall(442, -100, b"/usr", 0, zeros, 32),
    }
"""


@pytest.mark.layer("seccomp")
def test_mounts_cannot_be_changed(attempt):
    # The new mount API is as if the kernel were older than it.
    assert set(attempt(MOUNTS).values()) <= {"EPERM", "ENOSYS"}


@pytest.mark.layer("capabilities", "Landlock")
@pytest.mark.parametrize("without", [("seccomp",), ("seccomp", "landlock")])
def test_without_seccomp_mounts_still_cannot_be_changed(attempt_without, without):
    tried = attempt_without(MOUNTS, *without)["result"]
    assert set(tried.values()) <= {"EPERM", "EBADF", "EINVAL"}, tried


@pytest.mark.layer("mount namespace")
def test_every_mount_is_read_only_but_the_jobs_own(attempt):
    lines = attempt("def main(): return open('/proc/self/mountinfo').read().splitlines()")
    writable = set()
    for line in lines:
        before, after = line.split(" - ")
        point, options = before.split()[4], set(before.split()[5].split(","))
        assert "nosuid" in options, line
        assert "nodev" in options or point.startswith("/dev"), line
        assert "shared:" not in before and "master:" not in before, line
        if "ro" not in options:
            writable.add(point)
        # Of the host's /dev, the slot's own part alone.
        assert "devtmpfs" not in after.split() or (point == "/dev" and re.fullmatch(r"/cloister/[\w-]+/slots/\d+", before.split()[3])), line
    assert writable == {"/tmp", "/dev/shm", "/proc"}


WRITES = """
def main():
    targets = ["/x", "/usr/x", "/usr/bin/python3", os.__file__, "/proc/self/exe", "/proc/self/mem", "/proc/self/uid_map", "/proc/self/oom_score_adj",
               "/dev/x", "/dev/null/x", "/proc/self/attr/current", "/lib64/ld-linux-x86-64.so.2"]
    tried = {t: attempt(lambda p: os.close(os.open(p, os.O_WRONLY | os.O_CREAT)), t) for t in targets}
    tried["chmod"] = attempt(os.chmod, os.__file__, 0o777)
    tried["unlink"] = attempt(os.unlink, os.__file__)
    tried["rename"] = attempt(os.rename, "/usr", "/tmp/usr")
    tried["link"] = attempt(os.link, os.__file__, "/tmp/hard")
    return tried
"""


@pytest.mark.layer("root file system", "Landlock")
@pytest.mark.parametrize("without", [(), ("landlock",), ("seccomp", "landlock")])
def test_nothing_outside_tmp_can_be_written(attempt, attempt_without, without):
    tried = attempt_without(WRITES, *without)["result"] if without else attempt(WRITES)
    if without:
        # Anyone may open it; what can be written to it concerns the process's own label only.
        tried.pop("/proc/self/attr/current")
    assert set(tried.values()) <= {"EROFS", "EACCES", "EPERM", "ENOENT", "EXDEV", "ENOTDIR", "EBUSY", "ETXTBSY", "EINVAL"}, tried


CHROOTS = """
def main():
    # The old way out: a root further down while the working directory stays above it.
    os.makedirs("/tmp/jail", exist_ok=True)
    directory = os.open("/tmp", os.O_RDONLY)
    tried = [syscall(161, b"/tmp/jail"), syscall(155, b"/tmp", b"/tmp/jail")]
    os.fchdir(directory)
    for _ in range(64): os.chdir("..")
    tried.append(attempt(os.listdir, "."))
    tried.append(sorted(n for n in ("home", "var", "root", "sys", "cell") if os.path.exists(n)))
    return tried
"""


@pytest.mark.layer("seccomp", "capabilities", "pivot_root")
@pytest.mark.parametrize("without", [(), ("seccomp",), ("landlock",), ("seccomp", "landlock")])
def test_chroot_leads_nowhere(attempt, attempt_without, without):
    *refused, listed, above = attempt_without(CHROOTS, *without)["result"] if without else attempt(CHROOTS)
    assert set(refused) == {"EPERM"} and above == []
    assert listed == "EACCES" or "'usr'" in listed and "'cell'" not in listed, listed


OWN_PROGRAM = """
def main():
    tried = {}
    for path in ("/proc/self/exe", "/usr/bin/python3", os.path.realpath("/proc/self/exe")):
        for name, flags in (("write", os.O_WRONLY), ("both", os.O_RDWR), ("append", os.O_WRONLY | os.O_APPEND), ("truncate", os.O_WRONLY | os.O_TRUNC)):
            tried[name + " " + path] = attempt(os.open, path, flags)
        tried["chmod " + path] = attempt(os.chmod, path, 0o777)
        tried["truncate by name " + path] = attempt(os.truncate, path, 0)
    # Through a descriptor of it that a child inherits, as runc was overcome: CVE-2019-5736.
    fd = os.open("/proc/self/exe", os.O_PATH)
    tried["through a descriptor"] = attempt(os.open, f"/proc/self/fd/{fd}", os.O_WRONLY)
    return tried
"""


@pytest.mark.layer("mount flags", "Landlock")
@pytest.mark.parametrize("without", [(), ("landlock",), ("seccomp", "landlock")])
def test_the_interpreter_cannot_be_overwritten(attempt, attempt_without, without):
    runtime = Path(os.path.realpath(f"{TREE}/usr/bin/python3"))
    before = runtime.stat() if runtime.exists() else None
    tried = attempt_without(OWN_PROGRAM, *without)["result"] if without else attempt(OWN_PROGRAM)
    assert set(tried.values()) <= {"EROFS", "EACCES", "EPERM", "ETXTBSY"}, tried
    if before:
        now = runtime.stat()
        assert (now.st_size, now.st_mtime_ns, now.st_mode) == (before.st_size, before.st_mtime_ns, before.st_mode)


@pytest.mark.layer("cgroup", "mount namespace", "user namespace", "capabilities")
def test_the_kernels_helpers_cannot_be_set_even_with_one_layer_only(attempt_without):
    # release_agent and core_pattern would run a program as the host's root.
    attack = """
    def main():
        tried = [syscall(165, b"x", b"/tmp", kind, 0, data) for kind in (b"cgroup", b"cgroup2", b"proc", b"sysfs", b"binfmt_misc", b"devtmpfs", b"debugfs", b"overlay")
                 for data in (None, b"memory", b"none,name=x")]
        paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/vm/overcommit_memory", "/proc/sys/user/max_user_namespaces",
                 "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/kernel/uevent_helper", "/proc/sysrq-trigger", "/proc/self/coredump_filter/../../sys/kernel/core_pattern"]
        return [sorted(set(tried)), {p: attempt(lambda p: open(p, "w").write("|/tmp/x"), p) for p in paths}]
    """
    for without in (("seccomp",), ("seccomp", "landlock")):
        mounted, written = attempt_without(attack, *without)["result"]
        assert mounted == ["EPERM"], mounted
        assert set(written.values()) <= {"ENOENT", "EACCES", "ENOTDIR"}, written
    assert "/tmp/x" not in Path("/proc/sys/kernel/core_pattern").read_text()


@pytest.mark.layer("Landlock")
def test_landlock_refuses_what_mounts_alone_would_show(attempt, attempt_without):
    listing = "def main(): return attempt(os.listdir, '/')"
    assert attempt(listing) == "EACCES"
    assert "usr" in attempt_without(listing, "landlock")["result"]


@pytest.mark.layer("Landlock")
def test_landlock_holds_in_a_child_interpreter(attempt):
    attack = """
    import subprocess, sys
    def main():
        return subprocess.run([sys.executable, "-c", "import os; os.listdir('/')"], capture_output=True, text=True).stderr[-100:]
    """
    assert "PermissionError" in attempt(attack)


@pytest.mark.layer("nosuid", "no_new_privs", "mount flags")
def test_set_user_id_programs_and_foreign_programs_give_nothing(attempt):
    attack = """
    import shutil, stat, subprocess
    def main():
        shutil.copy("/usr/lib64/ld-linux-x86-64.so.2", "/tmp/x")
        os.chmod("/tmp/x", 0o6755)
        return [oct(os.stat("/tmp/x").st_mode & 0o7000), attempt(os.setxattr, "/tmp/x", "security.capability", b"\\1" * 20),
                attempt(subprocess.run, ["/tmp/x", "--version"])]
    """
    _, xattr, ran = attempt(attack)
    assert xattr in ("EPERM", "EINVAL", "ENOTSUP", "EOPNOTSUPP") and ran in ("EACCES", "EPERM")


@pytest.mark.layer("exec")
def test_a_program_run_from_memory_is_just_as_confined(attempt):
    attack = """
    def main():
        fd = os.memfd_create("x")
        with open("/usr/lib64/ld-linux-x86-64.so.2", "rb") as loader:
            os.write(fd, loader.read())
        read, write = os.pipe()
        if os.fork() == 0:
            os.dup2(write, 1)
            os.dup2(write, 2)
            code = "import os\\ntry: print(os.listdir('/'))\\nexcept OSError as e: print(e.errno)\\ntry: os.setuid(0)\\nexcept OSError as e: print(e.errno)"
            try:
                os.execve(fd, ["x", "/usr/bin/python3", "-c", code], {})
            except OSError as error:
                os.write(1, str(error.errno).encode())
            os._exit(0)
        os.close(write)
        os.wait()
        return os.read(read, 1000).decode()
    """
    # The loader may not read the interpreter, which is there to be run and not to be read; if it
    # could, what it ran would be told no all the same.
    said = attempt(attack)
    assert said and "usr" not in said.replace("/usr", ""), said


@pytest.mark.layer("capabilities", "seccomp")
def test_no_device_node_can_be_made(attempt, attempt_without):
    attack = "import stat\ndef main(): return [attempt(os.mknod, '/tmp/d', stat.S_IFCHR | 0o666, os.makedev(1, 1)), attempt(os.mknod, '/tmp/b', stat.S_IFBLK, 0)]"
    assert set(attempt(attack)) == {"EPERM"}
    assert set(attempt_without(attack, "seccomp", "landlock")["result"]) == {"EPERM"}


@pytest.mark.layer("seccomp", "capabilities")
def test_handles_open_nothing(attempt, attempt_without):
    attack = """
    def main():
        handle = struct.pack("Ii", 8, 1) + struct.pack("II", 2, 0) + bytes(120)
        buffer = ctypes.create_string_buffer(handle)
        mount = ctypes.c_int()
        return [syscall(303, -100, b"/usr", buffer, ctypes.addressof(mount), 0), syscall(304, 0, buffer, 0)]
    """
    assert set(attempt(attack)) == {"EPERM"}
    assert attempt_without(attack, "seccomp")["result"][1] in ("EPERM", "EBADF", "ESTALE")


@pytest.mark.layer("/proc")
def test_proc_shows_the_jobs_processes_only(attempt):
    attack = "def main(): return [sorted(os.listdir('/proc')), os.getpid()]"
    names, pid = attempt(attack)
    assert set(names) == {str(pid), "self", "thread-self"}


@pytest.mark.layer("descriptors")
def test_descriptors_are_four_pipes_and_lead_nowhere(attempt):
    attack = """
    import stat
    def main():
        fds = [fd for fd in range(1024) if attempt(os.fstat, fd) != "EBADF"]
        kinds = [stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in fds]
        links = [attempt(os.readlink, f"/proc/self/fd/{fd}") for fd in fds]
        return [fds, kinds, links, [attempt(os.listdir, f"/proc/self/fd/{fd}/..") for fd in fds]]
    """
    fds, kinds, links, beyond = attempt(attack)
    assert fds == [0, 1, 2, 3] and all(kinds)
    assert all(link.startswith("'pipe:") or link == "EACCES" for link in links)
    assert set(beyond) <= {"ENOTDIR", "EACCES"}


@pytest.mark.layer("environment")
def test_environment_is_the_sandboxes_own(attempt):
    seen = attempt("def main(): return dict(os.environ)")
    threads = {name for name in seen if name.endswith(("_NUM_THREADS", "_MAX_THREADS", "_MAX_CPU_COUNT"))}
    assert set(seen) - {"LC_CTYPE"} - threads == {"PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME"}
    assert {seen[name] for name in threads} == {"1"} and len(threads) == 7
    # Of what the host has by the same names.
    assert not {seen[name] for name in set(seen) - threads} & set(os.environ.values()) - {"C.UTF-8"}
