"""System calls that reach too deep into the kernel, and other ways to make one."""

import pytest

DEEP = """
def main():
    zeros = bytes(256)
    return {
        "io_uring_setup": syscall(425, 8, zeros), "io_uring_enter": syscall(426, 0, 0, 0, 0, None, 0), "io_uring_register": syscall(427, 0, 0, None, 0),
        "bpf": syscall(321, 0, zeros, 72), "perf_event_open": syscall(298, zeros, 0, -1, -1, 0), "userfaultfd": syscall(323, 1),
        "add_key": syscall(248, b"user", b"x", b"secret", 6, -3), "request_key": syscall(249, b"user", b"x", None, -3), "keyctl": syscall(250, 0, -3, 1),
        "personality": syscall(135, 0x0400000), "modify_ldt": syscall(154, 0, zeros, 16), "seccomp": syscall(317, 1, 0, None),
        "landlock": syscall(444, None, 0, 1), "process_madvise": syscall(440, 0, None, 0, 0, 0), "move_pages": syscall(279, 0, 0, None, None, None, 0),
        "lookup_dcookie": syscall(212, 0, zeros, 10), "memfd_secret": syscall(447, 0), "mq_open": syscall(240, b"x", 66, 384, None),
        "shmget": syscall(29, 7, 4096, 0o1666), "semget": syscall(64, 7, 1, 0o1666), "msgget": syscall(68, 7, 0o1666),
        "process_mrelease": syscall(448, 0, 0), "pidfd_getfd": syscall(438, 0, 0, 0), "kcmp": syscall(312, 1, 1, 0, 0, 0), "migrate_pages": syscall(256, 0, 0, None, None),
        "quotactl_fd": syscall(443, 0, 0, 0, None), "uselib": syscall(134, b"x"), "nfsservctl": syscall(180, 0, None, None),
    }
"""


# Of these what is newer than Linux 5.0 is not there, as on an older kernel.
NOT_THERE = {"io_uring_setup", "io_uring_enter", "io_uring_register", "landlock", "process_madvise", "memfd_secret", "process_mrelease",
             "pidfd_getfd", "quotactl_fd"}

# Each such that nothing but the want of a privilege is wrong with it, and what the kernel then says.
PRIVILEGED = """
def main():
    words = lambda *values: struct.pack(f"{len(values)}I", *values).ljust(128, b"\\0")
    one = ctypes.create_string_buffer(8)
    vector = struct.pack("QQ", ctypes.addressof(one), 8)
    return {
        "bpf, a trie": syscall(321, 0, words(11, 8, 4, 1, 1), 72), "perf_event_open, a processor's": syscall(298, words(1, 112), -1, 0, -1, 0),
        "kcmp": syscall(312, 1, 1, 2, 0, 0), "move_pages of all": syscall(279, 0, 0, None, None, None, 4), "migrate_pages": syscall(256, 1, 8, b"\\1" + bytes(7), b"\\1" + bytes(7)),
        "process_vm_readv": syscall(310, 1, vector, 1, vector, 1, 0), "ptrace, attach": syscall(101, 16, 1, 0, 0), "pidfd_getfd": syscall(438, syscall(434, 1, 0), 0, 0),
        "clock_settime": syscall(227, 0, struct.pack("qq", 0, 0)), "settimeofday": syscall(164, struct.pack("qq", 0, 0), None), "sethostname": syscall(170, b"x", 1),
        "swapoff": syscall(168, b"/tmp"), "acct": syscall(163, None),
        "chroot": syscall(161, b"/tmp"), "mknod, a device": syscall(133, b"/tmp/disk", 0o60600, 0x100),
        "setgroups": syscall(116, 0, None), "mount": syscall(165, b"none", b"/tmp", b"tmpfs", 0, None), "umount": syscall(166, b"/tmp", 0),
        "pivot_root": syscall(155, b"/tmp", b"/tmp"), "vhangup": syscall(153), "open_by_handle_at": syscall(304, -100, words(8, 1), 0),
    }
"""


@pytest.mark.layer("seccomp")
def test_deep_calls_are_refused(attempt):
    tried = attempt(DEEP)
    assert NOT_THERE < set(tried)
    assert tried == {name: "ENOSYS" if name in NOT_THERE else "EPERM" for name in tried}


@pytest.mark.layer("capabilities", "user namespace")
def test_without_seccomp_what_needs_privilege_is_still_refused(attempt_without):
    tried = attempt_without(PRIVILEGED, "seccomp")["result"]
    # Landlock is asked about a device before anybody looks for a capability.
    other = {"perf_event_open, a processor's": "EACCES", "mknod, a device": "EACCES"}
    assert tried == {name: other.get(name, "EPERM") for name in tried}


@pytest.mark.layer("seccomp")
def test_calls_that_do_not_exist_yet_are_not_there(attempt):
    tried = attempt("def main(): return [syscall(n, 0, 0, 0, 0, 0, 0) for n in (471, 500, 1000, 0x3FFFFFFF)]")
    assert set(tried) == {"ENOSYS"}


@pytest.mark.layer("seccomp")
@pytest.mark.parametrize("number", ["0x40000000", "0x40000000 | 39", "0x40000000 | 520", "0x7FFFFFFF", "-1"])
def test_the_x32_interface_is_death(execute, number):
    from prelude import attack

    answer = execute(attack(f"def main(): return syscall({number}, 0, 0, 0)"))
    assert (answer.code, answer.error["signal"]) == ("killed", "SIGSYS")


@pytest.mark.layer("seccomp")
def test_the_32_bit_interface_is_death(execute):
    from prelude import attack

    # mov eax, 20 (getpid in the 32-bit table); int 0x80; ret
    answer = execute(attack("""
    import mmap
    def main():
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("b814000000cd80c3"))
        return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    """))
    assert (answer.code, answer.error["signal"]) == ("killed", "SIGSYS"), answer


@pytest.mark.layer("seccomp")
def test_machine_code_gets_no_further_than_python(attempt):
    # mov eax, 272 (unshare); mov edi, 0x10000000 (CLONE_NEWUSER); syscall; ret
    attack = """
    import mmap
    def main():
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("b810010000bf000000100f05c3"))
        return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    """
    assert attempt(attack) == -1  # -EPERM


@pytest.mark.layer("seccomp")
def test_terminals_cannot_be_fed(attempt):
    attack = """
    import fcntl
    def main():
        numbers = (0x5412, 0x541C, 0x5412 | 1 << 32, 0x541C | 1 << 40, 0x5403, 0x89A2, 0x4C00, 0x5310)
        return [syscall(16, fd, number, ctypes.create_string_buffer(8)) for fd in (0, 1) for number in numbers]
    """
    assert set(attempt(attack)) == {"EPERM"}


@pytest.mark.layer("seccomp")
def test_flags_in_the_upper_half_of_a_register_change_nothing(attempt):
    # The kernel reads 32 bits of these arguments; the filter must read the same.
    attack = "def main(): return [syscall(41, (1 << 32) | 2, 1, 0), syscall(41, 2, 1, 0), syscall(53, (1 << 40) | 2, 1, 0, bytes(8))]"
    assert set(attempt(attack)) == {"EPERM"}


@pytest.mark.layer("seccomp")
def test_what_programs_need_is_allowed(attempt):
    attack = """
    import concurrent.futures, multiprocessing, signal, sqlite3, subprocess, sys, tempfile, threading
    from multiprocessing import shared_memory
    def square(x): return x * x
    def main():
        with multiprocessing.Pool(2) as pool: pooled = pool.map(square, range(4))
        with multiprocessing.Manager() as manager:
            shared = manager.dict(a=1); managed = dict(shared)
        with concurrent.futures.ThreadPoolExecutor(2) as pool: threaded = list(pool.map(square, range(4)))
        block = shared_memory.SharedMemory(create=True, size=100); block.buf[0] = 7; first = block.buf[0]; block.close(); block.unlink()
        child = subprocess.run([sys.executable, "-c", "print(6*7)"], capture_output=True, text=True).stdout
        with tempfile.TemporaryDirectory() as d, open(d + "/f", "w") as f: f.write("x")
        rows = sqlite3.connect("/tmp/db").execute("select 1").fetchall()
        return [pooled, managed, threaded, first, child, rows]
    """
    assert attempt(attack) == [[0, 1, 4, 9], {"a": 1}, [0, 1, 4, 9], 7, "42\n", [[1]]]
